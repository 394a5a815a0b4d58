"""The tutorials: their code runs, and each ends in a picture with a description and an answer computed from the run."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "index.md")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cells(page):
    """Options and code of every cell."""
    found = []
    for text in CELL.findall(page.read_text(encoding="utf-8")):
        options, code = text.split("---\n", 2)[1:] if text.startswith("---\n") else ("", text)
        found.append((options, code))
    return found


def test_the_index_lists_every_page():
    listed = re.search(r"```\{toctree\}(.*?)```", (FOLDER / "index.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    assert sorted(line for line in listed.splitlines() if line and not line.startswith(":")) == [p.stem for p in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_ends_in_a_picture_and_an_answer(page):
    assert page.read_text(encoding="utf-8").startswith("---\nfile_format: mystnb\n")
    *_, (options, code), (last, answer) = cells(page)
    assert "alt: " in options
    assert "plt.show()" in code
    assert "hide-input" in last
    assert "print(f" in answer


@pytest.mark.slow  # the build of the site runs them as well
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs(page, tmp_path, monkeypatch, capsys):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    drawn = []
    monkeypatch.setattr(plt, "show", lambda: drawn.append(len(plt.gcf().axes)) or plt.close("all"))
    names = {"__name__": "tutorial"}
    for _, code in cells(page):
        capsys.readouterr()
        exec(compile(code, page.name, "exec"), names)
    assert drawn
    assert "%" in (said := capsys.readouterr().out) or any(letter.isdigit() for letter in said)
