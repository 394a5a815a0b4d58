"""The links of an included card lead to the site's pages."""

import sys
from pathlib import Path

import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_extensions"
sys.path.insert(0, str(EXTENSIONS))
from links import LinkError, rewritten  # noqa: E402


@pytest.fixture
def moved(tmp_path):
    """Rewrites a text of envs/ours/README.md in a small repository."""
    for name in ("docs/start.md", "docs/a b.md", "envs/ours/README.md", "envs/ours/presets.py", "envs/other/README.md",
                 "envs/other/__init__.py", "envs/ours/rows.csv", "docs/results/index.md"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "agentgym").mkdir()
    (tmp_path / "agentgym/envs").symlink_to("../envs")
    pages = {
        tmp_path / "docs/start.md": "/start.md",
        tmp_path / "docs/results/index.md": "/results/index.md",
        tmp_path / "envs/ours/README.md": "/cards/ours.md",
        tmp_path / "envs/other/README.md": "/cards/other.md",
        tmp_path / "envs/ours/presets.py": "#api-agentgym.envs.ours.presets",
    }
    return lambda text: rewritten(text, tmp_path / "envs/ours", tmp_path / "docs", pages)


@pytest.mark.parametrize(
    ("link", "place"),
    [
        ("../other/README.md", "/cards/other.md"),
        ("../other/README.md#results", "/cards/other.md#results"),
        ("../other", "/cards/other.md"),
        ("../../docs/start.md", "/start.md"),
        ("../../docs/results", "/results/index.md"),
        ("../../agentgym/envs/other/README.md", "/cards/other.md"),
        ("presets.py", "#api-agentgym.envs.ours.presets"),
        ("presets.py#L10", "#api-agentgym.envs.ours.presets"),
        ("rows.csv", "/../envs/ours/rows.csv"),
        ("/start.md", "/start.md"),
        ("https://example.org/a(b", "https://example.org/a(b"),
        ("#here", "#here"),
        ("mailto:a@example.org", "mailto:a@example.org"),
    ],
)
def test_a_link_leads_to_the_page(moved, link, place):
    assert moved(f"See [it]({link}), and ![it]({link}).") == f"See [it]({place}), and ![it]({place})."


def test_titles_images_in_links_and_definitions(moved):
    text = '[![x](rows.csv "a title")](../other) and [y][1]\n\n[1]: presets.py\n'
    expected = (
        '[![x](/../envs/ours/rows.csv "a title")](/cards/other.md) and [y][1]\n\n[1]: #api-agentgym.envs.ours.presets\n'
    )
    assert moved(text) == expected


@pytest.mark.parametrize(
    "code",
    [
        "```python\nvalues[0](gone.md)\n```\n",
        "````\n```\n[a](gone.md)\n```\n````\n",
        "~~~\n[a](gone.md)\n~~~\n",
        "Write `[a](gone.md)` or ``[`a`](gone.md)``.",
        "- a list\n\n  ```bash\n  x [a](gone.md)\n  ```\n",
    ],
)
def test_code_stays_as_it_is(moved, code):
    assert moved(code) == code


def test_a_link_to_nothing_is_an_error(moved):
    with pytest.raises(LinkError, match=r"gone\.md"):
        moved("[a](gone.md)")
