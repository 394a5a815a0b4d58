"""What Sphinx looks up again and again, remembered: names of objects, and stems of words for the search."""

from functools import lru_cache
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.search.en import SearchEnglish

__all__ = ["connect"]


class _Python(PythonDomain):
    """Names of objects, of which those that end like no object of the site are not searched for."""

    def find_obj(self, env: Any, modname: str, classname: str, name: str, type: str | None, searchmode: int = 0) -> Any:
        if name.removesuffix("()").rpartition(".")[2] not in _ends(self, len(self.objects)):
            return []
        return super().find_obj(env, modname, classname, name, type, searchmode)


@lru_cache(1)
def _ends(domain: PythonDomain, count: int) -> frozenset[str]:
    """The last parts of all names; ``count`` makes them anew while documents are still being read."""
    return frozenset(name.rpartition(".")[2] for name in domain.objects)


class _English(SearchEnglish):
    """Words and their stems, of which every page has mostly the same."""

    def __init__(self, options: dict[str, str]) -> None:
        super().__init__(options)
        self.stem = lru_cache(None)(self.stem)  # type: ignore[method-assign]


def connect(app: Sphinx) -> None:
    """Put both in the place of Sphinx's own."""
    app.add_domain(_Python, override=True)
    app.add_search_language(_English)
