"""How the site is built: its navigation is furo's, its tutorials are run as Jupyter runs them."""

import multiprocessing
import sys
from pathlib import Path

import pytest

bs4 = pytest.importorskip("bs4", reason="the site needs the docs extra")
application = pytest.importorskip("sphinx.application", reason="the site needs the docs extra")
pytest.importorskip("furo", reason="the site needs the docs extra")

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_extensions"))
import notebooks  # noqa: E402
from lookups import connect as connect_lookups  # noqa: E402
from navigation import connect as connect_navigation  # noqa: E402

PAGES = {
    "index": "Site\n====\n\n.. toctree::\n   :caption: First\n\n   a\n   many/index\n\n"
    ".. toctree::\n   :hidden:\n\n   Elsewhere <https://example.org/x.html>\n   b\n",
    "a": "A & a\n=====\n\nHeading\n-------\n\n"
    ".. py:function:: nearby\n\n   See :py:func:`.nearby` and :py:func:`far`.\n",
    "b": "B\n=\n",
    "many/index": "Many\n====\n\n.. toctree::\n\n   one\n   two\n",
    "many/one": "One\n===\n\n.. toctree::\n\n   deep/deepest\n",
    "many/two": "Two\n===\n\nrunning runners ran\n",
    "many/deep/deepest": "Deepest\n=======\n",
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """The same site with and without what docs/_extensions put in the place of Sphinx's and furo's own."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "conf.py").write_text("html_theme = 'furo'\n")
    for name, text in PAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.rst").write_text(text)
    built = {}
    for name in ("furo", "ours"):
        out = folder / "_out" / name
        app = application.Sphinx(folder, folder, out, out / "doctrees", "html", {"exclude_patterns": ["_out"]}, None)
        if name == "ours":
            connect_navigation(app)
            connect_lookups(app)
        app.build(force_all=True)
        built[name] = out
    return built


@pytest.mark.parametrize("page", [*PAGES, "search", "genindex"])
def test_the_navigation_is_that_of_furo(sites, page):
    trees = {name: bs4.BeautifulSoup((out / f"{page}.html").read_text(), "html.parser") for name, out in sites.items()}
    shown = {}
    for name, soup in trees.items():
        tree = soup.select_one(".sidebar-tree")
        for element in tree.find_all("ul"):
            del element["class"]  # "current", for which furo has no style
        for element in tree.find_all(class_=True):
            element["class"] = sorted(element["class"])
        for element in tree.find_all():
            element.attrs = dict(sorted(element.attrs.items()))
        shown[name] = str(tree)
    assert shown["ours"] == shown["furo"]
    assert "Deepest" in shown["ours"]


def test_references_and_search_are_those_of_sphinx(sites):
    for name in ("a.html", "searchindex.js"):
        ours, theirs = ((sites[who] / name).read_text().split('role="main"')[-1] for who in ("ours", "furo"))
        assert ours == theirs
    page = (sites["ours"] / "a.html").read_text()
    assert 'href="#nearby" title="nearby"' in page
    assert 'title="far"' not in page


def outcome(path):
    """Run a notebook as the build does: in a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(notebooks._outcome, [path])


NOTEBOOK = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# A page\n\n"


def test_a_notebook_is_run_in_an_empty_folder_and_keeps_what_it_printed(tmp_path):
    (tmp_path / "page.md").write_text(
        NOTEBOOK + "```{code-cell} python3\nimport os\nprint('one')\nprint('two')\nos.listdir()\n```\n\n"
        "```{code-cell} python3\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n```\n"
    )
    _, notebook, seconds, error = outcome(tmp_path / "page.md")
    assert error == ""
    assert notebook.metadata.language_info.pygments_lexer == "ipython3"
    assert seconds > 0
    first, second = (cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    assert [output.output_type for output in first] == ["stream", "execute_result"]
    assert first[0].text == "one\ntwo\n"
    assert first[1].data["text/plain"] == "[]"
    assert "image/png" in second[-1].data


def test_an_error_in_a_notebook_is_told_with_its_cell(tmp_path):
    (tmp_path / "page.md").write_text(NOTEBOOK + "```{code-cell} python3\nnumber = 1\nnumber / 0\n```\n")
    _, notebook, _, error = outcome(tmp_path / "page.md")
    assert notebook is None
    assert "number / 0" in error
    assert "ZeroDivisionError" in error
