"""Relative links of included Markdown, rewritten so that they lead to pages of the site.

A card links to what lies beside it in the repository. On the site the card is part of another page, so its links are
made absolute (``/`` is docs/): to the page of a card or module where there is one, otherwise to the file itself, which
is then copied into the site.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["LinkError", "rewritten"]

# A fence of three or more, with everything up to its end; or code in a line; or a link, whose target is group 3.
_PIECES = re.compile(
    r"(?P<fence>^[ ]*(?P<mark>`{3,}|~{3,})[^\n]*\n.*?^[ ]*(?P=mark)[`~]*[ ]*$)"
    r"|(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<link>\]\((?P<target>[^)\s]+)(?P<title>\s+\"[^\"]*\")?\))"
    r"|(?P<definition>^\[[^\]]+\]:\s+(?P<place>\S+))",
    re.MULTILINE | re.DOTALL,
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:|//|#|<", re.IGNORECASE)


class LinkError(ValueError):
    """A relative link leads to no file."""


def rewritten(text: str, folder: Path, docs: Path, pages: Mapping[Path, str]) -> str:
    """The Markdown with every relative link absolute.

    Args:
        text: content of the file.
        folder: where the file lies, absolute.
        docs: root of the site's sources.
        pages: the site's page (``/cards/envs/robust.md``) or label (``#api-agentgym.stats``) of every file that has
            one, by absolute path.

    Raises:
        LinkError: a link leads to no file.
    """

    def moved(target: str) -> str:
        if _ADDRESS.match(target):
            return target
        name, mark, fragment = target.partition("#")
        path = docs / name[1:] if name.startswith("/") else folder / name
        path = Path(os.path.realpath(path))
        if path.is_dir() and path not in pages:
            candidates = (path / name for name in ("index.md", "README.md", "__init__.py"))
            path = next((candidate for candidate in candidates if candidate.exists()), path)
        if path in pages:
            return pages[path] if pages[path].startswith("#") else f"{pages[path]}{mark}{fragment}"
        if not path.is_file():
            raise LinkError(f"{target} leads to no file or page (from {folder})")
        relative = os.path.relpath(path, docs)
        return f"/{relative}{mark}{fragment}"

    def replaced(match: re.Match[str]) -> str:
        if match["link"]:
            return f"]({moved(match['target'])}{match['title'] or ''})"
        if match["definition"]:
            return match[0].replace(match["place"], moved(match["place"]))
        return match[0]

    return _PIECES.sub(replaced, text)
