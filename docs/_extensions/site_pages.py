"""The Sphinx extension of this site: pages made from cards, modules, the catalog and the command line."""

import builtins
import os
import re
from pathlib import Path
from typing import Any

import api
from docutils import nodes
from inventories import FOREIGN
from links import LinkError, rewritten
from places import DOCS, ROOT, card_pages, pages, write
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)

_ELSEWHERE = {*FOREIGN, *dir(builtins)}
GENERATED = ("agents", "api", "cards", "commands", "gallery")


def _write_pages(app: Sphinx) -> None:
    """Write every generated page, and remove those whose source is gone."""
    made = api.write_pages()
    for card, page in card_pages().items():
        write(f"{page}.md", f"```{{include}} {os.path.relpath(ROOT / card, (DOCS / page).parent)}\n```\n")
        made.add(page)
    for folder in GENERATED:
        for path in (DOCS / folder).rglob("*.*"):
            if path.suffix in (".md", ".rst") and path.relative_to(DOCS).with_suffix("").as_posix() not in made:
                path.unlink()
    pages.cache_clear()


def _rewrite(text: str, folder: Path, where: str) -> str:
    try:
        return rewritten(text, folder, DOCS, pages())
    except LinkError as error:
        log.warning("%s: %s", where, error)
        return text


def _source_read(app: Sphinx, document: str, content: list[str]) -> None:
    path = Path(app.env.doc2path(document))
    if path.suffix == ".md":
        content[0] = _rewrite(content[0], path.parent, document)


def _include_read(app: Sphinx, relative: Path, document: str, content: list[str]) -> None:
    path = (DOCS / relative).resolve()
    if path.suffix == ".md":
        content[0] = _rewrite(content[0], path.parent, path.relative_to(ROOT).as_posix())


# Code and emphasis stay. A star before a shape ([N, *shape]) or an argument is escaped, and so are bars (|x|).
_MARKS = re.compile(r"(?P<kept>``.*?``|\\.|\*{1,2}[^\s*](?:[^*]*[^\s*])?\*{1,2}(?!\w))|(?P<mark>\*{1,2}(?=\w)|\|)")


def escaped(line: str) -> str:
    """A line of a docstring in which reStructuredText finds no markup that is not meant."""
    return _MARKS.sub(lambda found: found["kept"] or re.sub(r"(.)", r"\\\1", found["mark"]), line)


def _manual(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Manuals of environments are Markdown and have pages of their own: the reference says where."""
    if any(re.match(r"#+ ", line) for line in lines):
        lines[:] = ["Its manual is in the :doc:`gallery of environments </gallery/index>`.", ""]
    lines[:] = [escaped(line) for line in lines]


def _by_other_name(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Node | None:
    """Resolve a name by which something is imported (``agentgym.agents.SAC``) to where it is defined.

    What is there but not in the reference stays a name without a link. What is not there is a broken reference.
    """
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not target or target.split(".")[0] in _ELSEWHERE:
        return None
    scope = [str(node.get(key)) for key in ("py:module", "py:class") if node.get(key)]
    for name in [target] if target.startswith("agentgym.") else [".".join([*scope[:n], target]) for n in (1, 2)]:
        real = api.real_name(name)
        if real is not None and real.startswith("agentgym"):
            found = env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", real, node, content)
            return found or content
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", _write_pages)
    app.connect("source-read", _source_read)
    app.connect("include-read", _include_read)
    app.connect("autodoc-process-docstring", _manual)
    app.connect("missing-reference", _by_other_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
