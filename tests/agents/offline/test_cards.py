"""Every offline agent has a card that explains what it logs."""

from pathlib import Path

import pytest

from agentgym import catalog
from agentgym.agents import offline

OFFLINE = [entry for entry in catalog.entries("agent") if ".offline." in entry.target]


@pytest.mark.parametrize("entry", OFFLINE, ids=[entry.id for entry in OFFLINE])
def test_the_card_names_the_agent_and_each_of_its_metrics(entry: catalog.Entry) -> None:
    folder = Path(catalog.resolve(f"{entry.card}:__file__")).parent
    assert catalog.card(entry).startswith("# ")
    text = "\n".join(page.read_text(encoding="utf-8") for page in folder.glob("*.md"))  # one folder may hold two forms
    assert f"`{entry.id}`" in text
    missing = [name for name in catalog.load(entry).metric_names if not {f"`{name}`", f"`train/{name}`"} & words(text)]
    assert not missing, f"{entry.card} does not explain {missing}"


@pytest.mark.parametrize("entry", OFFLINE, ids=[entry.id for entry in OFFLINE])
def test_the_overview_says_what_it_is_for(entry: catalog.Entry) -> None:
    assert offline.__file__ is not None
    overview = Path(offline.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert f"| `{entry.id}` |" in overview


def words(text: str) -> set[str]:
    """What stands between backticks, with them."""
    return {f"`{part}`" for part in text.split("`")}
