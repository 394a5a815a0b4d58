"""The tree of pages in the sidebar, made once and marked for every page.

Sphinx and furo make it anew for every page, from the headings of all of them: more than half of the time of a build.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from furo.navigation import get_navigation_tree
from sphinx.application import Sphinx
from sphinx.environment.adapters.toctree import global_toctree_for_doc
from sphinx.util.osutil import relative_uri

__all__ = ["Tree", "connect"]

_TAG = re.compile(r'(?P<item><li class=")|(?P<end></li>)|(?P<link><a class=")|(?P<box><input )')
_TARGET = re.compile(r'href="([^"#]+)"')


@dataclass
class _Item:
    """Where an item's tags begin in the pieces of the tree, and the item around it."""

    around: "_Item | None"
    tag: int
    link: int = -1
    box: int = -1


@dataclass
class Tree:
    """A tree of links that can be shown on any page.

    Args:
        html: the tree as the site's first page shows it: lists of links in furo's form, none of them current.
    """

    html: str
    _pieces: list[str] = field(default_factory=list)
    _items: dict[str, _Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        item: _Item | None = None
        begin = 0
        for tag in _TAG.finditer(self.html):
            self._pieces.append(self.html[begin : tag.start()])
            begin = tag.start()
            if tag["item"]:
                item = _Item(item, len(self._pieces))
            assert item is not None
            if tag["end"]:
                item = item.around
            elif tag["box"]:
                item.box = len(self._pieces)
            elif tag["link"]:
                item.link = len(self._pieces)
                if target := _TARGET.search(self.html, tag.end()):
                    self._items[target[1]] = item
        self._pieces.append(self.html[begin:])

    def seen_from(self, page: str) -> str:
        """The tree on a page: links lead from there, and the way to the page is open and marked.

        Args:
            page: address of the page from the root of the site, such as ``agents/sac.html``.
        """
        pieces = self._pieces.copy()
        item = self._items.get(page)
        if item is not None:
            pieces[item.tag] = pieces[item.tag].replace('class="', 'class="current-page ', 1)
            pieces[item.link] = pieces[item.link].replace('class="', 'class="current ', 1)
        while item is not None:
            pieces[item.tag] = pieces[item.tag].replace('class="', 'class="current ', 1)
            if item.box >= 0:
                pieces[item.box] = pieces[item.box].replace("<input ", '<input checked="" ', 1)
            item = item.around
        return _TARGET.sub(lambda link: f'href="{_relative(page, link[1])}"', "".join(pieces))


def _relative(page: str, target: str) -> str:
    if ":" in target:  # another site
        return target
    return "#" if page == target else relative_uri(page, target)


def _without(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Spare furo the work."""
    context["toctree"] = lambda **options: ""


def _with(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    builder: Any = app.builder
    if not hasattr(builder, "navigation"):
        tree = global_toctree_for_doc(
            app.env, app.config.root_doc, builder, tags=builder.tags, collapse=False, titles_only=True, maxdepth=-1
        )
        builder.navigation = Tree(get_navigation_tree(builder.render_partial(tree)["fragment"]))
    context["furo_navigation_tree"] = builder.navigation.seen_from(builder.get_target_uri(name))


def connect(app: Sphinx) -> None:
    """Take the navigation over from furo, whose own handler has the priority 500."""
    app.connect("html-page-context", _without, priority=400)
    app.connect("html-page-context", _with, priority=600)
