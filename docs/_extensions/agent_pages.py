"""Pages of agents and of everything else that the catalog names, read from the catalog."""

import html
from typing import get_args

from commands import command, definitions
from places import card_pages, write

from agentgym import catalog
from agentgym.contracts.agent import traits_of

__all__ = ["card_of", "write_pages"]

_HEARS = {"environment": "environments, by acting in them", "dataset": "a dataset, offline"}
_TITLES = {
    "suite": "Suites", "perturbation": "Perturbations", "attack": "Attacks on observations", "solver": "Solvers",
    "method": "Methods of language agents", "estimator": "Advantage estimators of language agents",
    "recipe": "Recipes of datasets",
}  # fmt: skip


def card_of(entry: catalog.Entry) -> str | None:
    """The page of the entry's card (``/cards/agents/sac.md``)."""
    pages = {page: f"/{page}.md" for page in card_pages().values()}
    path = entry.card.removeprefix("agentgym.").replace(".", "/")
    return pages.get(f"cards/{path}") or pages.get(f"cards/agentgym/{path}")


def _page(entry: catalog.Entry) -> str:
    agent = catalog.load(entry)
    traits = traits_of(agent)
    name = f"{agent.__module__}.{agent.__qualname__}"
    card = card_of(entry)
    data = "--dataset RECIPE" if traits.learns_from == "dataset" else "--env ID"
    lines = [
        f"# {entry.id}", "", f"{html.escape(entry.summary, quote=False)}.", "",
        f"| class | {{py:class}}`~{name}` |", "|---|---|",
        f"| learns from | {_HEARS[traits.learns_from]} |",
        f"| card: paper, deviations, results | [{entry.card.removeprefix('agentgym.')}]({card}) |" if card else "",
        f"| suite to begin with | `{traits.suite}` |", "",
        "```bash", f"agentgym train {entry.id} {data} --name mine",
        f"agentgym evaluate runs/mine --suite {traits.suite}", "```", "",
    ]  # fmt: skip
    lines = [line for n, line in enumerate(lines) if line or n != 7]
    presets = agent.Config.presets
    if presets:
        lines += ["## Presets", "", *(f"`--preset {name}`\n: {html.escape(str(p))}\n" for name, p in presets.items())]
    lines += ["## Hyperparameters", "", f"Options of `agentgym train {entry.id}`."]
    lines += ["", "In Python they are arguments of the constructor: `--config.n-steps` is `n_steps`.", ""]
    options = command("train", [entry.id]).options
    lines += definitions([option for option in options if "--config." in option.flags])
    return "\n".join(lines)


def write_pages() -> set[str]:
    """Write agents/ID.md, agents/index.md and the lists of other kinds; return the documents."""
    entries = catalog.entries("agent")
    index = ["# Agents", "", "Every agent of the catalog. A card has the paper, what differs from it, and results.", ""]
    index += ["| agent | method | card |", "|---|---|---|"]
    for entry in entries:
        write(f"agents/{entry.id}.md", _page(entry))
        card = card_of(entry)
        shown = f"[card]({card})" if card else ""
        index.append(f"| [`{entry.id}`](/agents/{entry.id}.md) | {html.escape(entry.summary, quote=False)} | {shown} |")
    index += ["", "```{toctree}", ":hidden:", "", *(entry.id for entry in entries), "```", ""]
    write("agents/index.md", "\n".join(index))
    write("agents/catalog.md", "\n".join(_lists()))
    return {f"agents/{entry.id}" for entry in entries} | {"agents/index", "agents/catalog"}


def _lists() -> list[str]:
    """What has a name and no page of its own."""
    lines = [
        "# Suites, perturbations and other names",
        "",
        "What `agentgym list` prints, without environments and agents.",
        "",
    ]
    for kind in get_args(catalog.Kind):
        entries = catalog.entries(kind)
        if kind not in _TITLES or not entries:
            continue
        lines += [f"## {_TITLES[kind]}", "", "| name | |", "|---|---|"]
        for entry in entries:
            target = entry.target.replace(":", ".")
            lines.append(f"| {{py:obj}}`{entry.id} <{target}>` | {html.escape(entry.summary, quote=False)} |")
        cards = sorted({card for entry in entries if (card := card_of(entry))})
        lines += [
            "",
            "Cards: " + ", ".join(f"[{card.removeprefix('/cards/').removesuffix('.md')}]({card})" for card in cards),
            "",
        ]
    return lines
