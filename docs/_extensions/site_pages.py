"""The Sphinx extension of this site: pages made from cards, modules, the catalog and the command line."""

import builtins
import os
import re
from pathlib import Path
from typing import Any

import agent_pages
import api
import commands
import gallery
import lookups
import navigation
import notebooks
from docutils import nodes
from inventories import FOREIGN
from links import LinkError, rewritten
from places import DOCS, ROOT, card_pages, pages, write
from sphinx.application import Sphinx
from sphinx.ext import napoleon
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util import logging

log = logging.getLogger(__name__)

_ELSEWHERE = {*FOREIGN, *dir(builtins)}
GENERATED = ("agents", "api", "cards", "commands", "gallery")


def _write_pages(app: Sphinx) -> None:
    """Write every generated page, and remove those whose source is gone."""
    made = api.write_pages() | commands.write_pages() | agent_pages.write_pages() | gallery.write_pages()
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


# Fields for several arguments at once. Sphinx takes the first of two words for a type.
_ONE_WORD = re.compile(r"^\s*:(param|ivar|keyword) [^:]*, [^:]*:")


def escaped(line: str) -> str:
    """A line of a docstring in which reStructuredText finds no markup that is not meant."""
    return _MARKS.sub(lambda found: found["kept"] or re.sub(r"(.)", r"\\\1", found["mark"]), line)


def _manual(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Manuals of environments are Markdown and have pages of their own: the reference says where."""
    if any(re.match(r"#+ ", line) for line in lines):
        lines[:] = ["Its manual is in the :doc:`gallery of environments </gallery/index>`.", ""]
    lines[:] = [escaped(_ONE_WORD.sub(lambda names: names[0].replace(", ", ","), line)) for line in lines]


def _by_other_name(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Node | None:
    """Resolve a name by which something is imported (``agentgym.agents.SAC``) to where it is defined.

    What is there but not in the reference stays a name without a link. What is not there is a broken reference.
    """
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not target or target.split(".")[0] in _ELSEWHERE:
        return None
    if not re.fullmatch(r"[A-Za-z_][\w.]*", target):  # part of an annotation: dict[str, ...
        return content
    domain = env.get_domain("py")
    real = next(filter(None, map(api.real_name, _candidates(target, node))), None)
    if real is None:
        matches = domain.find_obj(env, None, None, target, None, 1)
        real = matches[0][0] if len(matches) == 1 else None
    if real is None or not real.startswith("agentgym"):
        return None if real is None else content
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", real, node, content) or content


def _candidates(target: str, node: nodes.Element) -> list[str]:
    """Full names that a name may have where it stands: in its class, its module, or a package around it."""
    if target.startswith("agentgym."):
        return [target]
    places = []
    if module := node.get("py:module"):
        places = [f"{module}.{node['py:class']}"] if node.get("py:class") else []
        parts = str(module).split(".")
        places += [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [f"{place}.{target}" for place in places]


class _Docstring(GoogleDocstring):
    """Docstrings of properties, and what is returned, are prose: "The set: lowest and highest" begins with no type."""

    def _parse_attribute_docstring(self) -> list[str]:
        return list(self._consume_to_end())

    def _consume_returns_section(self, preprocess_types: bool = False) -> list[tuple[str, str, list[str]]]:
        lines = self._dedent(self._consume_to_next_section())
        return [("", "", lines)] if lines else []


napoleon.GoogleDocstring = _Docstring  # type: ignore[misc]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", _write_pages)
    app.connect("source-read", _source_read)
    app.connect("include-read", _include_read)
    app.connect("autodoc-process-docstring", _manual)
    app.connect("missing-reference", _by_other_name)
    lookups.connect(app)
    navigation.connect(app)
    notebooks.connect(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
