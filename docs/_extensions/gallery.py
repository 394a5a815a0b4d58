"""The gallery: a page of every environment of the catalog, with films or a transcript, and an overview."""

import html
import inspect
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from agent_pages import card_of
from films import Film, controller_of, films
from gymnasium.spaces import Text
from places import DOCS, write

from agentgym import catalog
from agentgym.contracts.environment import Generated, Stochastic, Uncertain
from agentgym.errors import AskError, MissingExtra
from agentgym.evaluation.transcript import transcript
from agentgym.make import make_env

__all__ = ["FILMS", "manual", "write_pages"]

FILMS = DOCS / "_static" / "films"
FAMILIES = {
    "robust": "Robots with uncertain bodies", "convection": "Convection", "swarm": "Swarms", "particles": "Teams",
    "fisheries": "Fisheries", "tabular": "Finite processes with known kernels", "bandit": "Bandits",
    "text": "Texts: households, archives, games, experiments", "code": "Coding agents", "atari": "Atari",
}  # fmt: skip
_TURNS, _LONGEST = 12, 600


def write_pages() -> set[str]:
    """Write gallery/NAME.md of every environment and gallery/index.md; return the documents."""
    families: dict[str, list[catalog.Entry]] = defaultdict(list)
    for entry in catalog.entries("env"):
        families[_family(entry)].append(entry)
    index = [
        "# Environments", "",
        "Every environment of the catalog, with random actions or with a controller.",
        "`agentgym list envs` prints them, and `gymnasium.make(ID)` makes one after `import agentgym`.", "",
    ]  # fmt: skip
    for family, entries in families.items():
        index += [f"## {FAMILIES.get(family, family.capitalize())}", ""]
        if card := card_of(entries[0]):
            index += [f"Card: [{family}]({card})", ""]
        index.append('<div class="gallery">')
        for entry in entries:
            index.append(_write_page(entry))
        index += ["</div>", "", "```{toctree}", ":hidden:", "", *map(_stem, entries), "```", ""]
    write("gallery/index.md", "\n".join(index))
    return {f"gallery/{_stem(entry)}" for entry in catalog.entries("env")} | {"gallery/index"}


def _family(entry: catalog.Entry) -> str:
    return entry.card.rpartition(".")[2] or entry.target.split(".")[0]


def _stem(entry: catalog.Entry) -> str:
    return entry.id.rpartition("/")[2]


def _write_page(entry: catalog.Entry) -> str:
    """Write the page of an environment; return its tile for the overview."""
    stem, summary = _stem(entry), html.escape(entry.summary, quote=False)
    try:
        world = make_env(entry.id, {})
    except AskError as missing:  # an extra that is not installed, or arguments that only a user has
        about = [] if isinstance(missing, MissingExtra) else manual(catalog.load(entry))
        lines = [f"# {stem}", "", f"{summary}.", "", html.escape(str(missing)), "", *about]
        write(f"gallery/{stem}.md", "\n".join(lines))
        return _tile(stem, summary, "<span>not drawn here</span>")
    try:
        facts, texts = list(_facts(entry, world)), isinstance(world.observation_space, Text)
        controller = controller_of(entry.id, world)
    finally:
        world.close()
    if texts:
        lines = _told(entry.id, controller)
        shown = ["```text", *lines, "```", ""]
        picture = f'<pre aria-hidden="true">{html.escape(_beginning(lines))}</pre>'
    else:
        made = films(entry.id, FILMS)
        shown = ['<div class="films">', *(_figure(stem, film) for film in made)]
        shown += ["</div>", ""]
        picture = _img(made[-1].name, f"{stem}, {made[-1].player}", made[-1].size)
    title = f"# {stem}"
    write(f"gallery/{stem}.md", "\n".join([title, "", f"{summary}.", "", *shown, *facts, *manual(catalog.load(entry))]))
    return _tile(stem, summary, picture)


def _tile(stem: str, summary: str, picture: str) -> str:
    return f'<a href="{stem}.html">{picture}<b>{stem.removesuffix("-v0")}</b><small>{summary}</small></a>'


def _img(name: str, words: str, size: tuple[int, int]) -> str:
    """A film that stands still for readers who ask their system for less motion."""
    source = f"../_static/films/{name}"
    still = f'<source media="(prefers-reduced-motion: reduce)" srcset="{source}.still.webp">'
    image = f'<img loading="lazy" src="{source}.webp" alt="{html.escape(words)}" width="{size[0]}" height="{size[1]}">'
    return f"<picture>{still}{image}</picture>"


def _figure(stem: str, film: Film) -> str:
    words = f"{film.player}: return {film.score:.4g} in {film.steps} steps"
    return f"<figure>{_img(film.name, f'{stem}, {words}', film.size)}<figcaption>{words}</figcaption></figure>"


def _told(env_id: str, controller: str | None) -> list[str]:
    """The first turns of an episode of random commands and of the controller's, unless they are on disk already."""
    path = FILMS / f"{env_id.rpartition('/')[2]}.txt"
    if not path.exists():
        lines = []
        for player in dict.fromkeys(("random", controller or "random")):
            told = itertools.islice(transcript(None, env_id, controllers=(player,), steps=_TURNS), 2 * _TURNS + 2)
            lines += [f"=== {player}: its first {_TURNS} turns ===", *map(_shortened, told), ""]
        path.write_text("\n".join(lines), encoding="utf-8")
    return path.read_text(encoding="utf-8").splitlines()


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} [...]"


def _beginning(lines: list[str]) -> str:
    return "\n".join(lines[1:8])


def _facts(entry: catalog.Entry, world: Any) -> Iterator[str]:
    """What the environment is, read from it."""
    limit = world.spec.max_episode_steps if world.spec else None
    base = world.unwrapped
    yield from ("```{list-table}", ":stub-columns: 1", "")
    for name, value in {
        "id": f"`{entry.id}`",
        "observation": _space(world.observation_space),
        "action": _space(world.action_space),
        "time limit": f"{limit} steps" if limit else "its own",
        "natively batched": "yes, `gymnasium.make_vec(id, num_envs=N)`" if entry.vector_target else "no",
        "PettingZoo": "yes, `agentgym.parallel_env(id)`" if entry.parallel_target else "no",
        "class": f"{{py:obj}}`{entry.target.replace(':', '.')}`",
    }.items():
        yield from (f"* - {name}", f"  - {value}")
    yield from ("```", "", "## What is uncertain", "")
    if isinstance(base, Uncertain) and base.parameter_ranges:
        yield from ("| parameter | lowest | highest |", "|---|---|---|")
        for name, (low, high) in base.parameter_ranges.items():
            yield f"| `{name}` | {np.round(low, 4):g} | {np.round(high, 4):g} |"
        yield from (
            "",
            '`reset(options={"parameters": {name: value}})` sets them; the suite `parameter-grid` covers them.',
        )
    elif isinstance(base, Stochastic):
        yield "Types of stochasticity: " + ", ".join(f"`{name}`" for name in base.stochastic_types) + "."
    elif isinstance(base, Generated):
        yield "Worlds are generated: `split` is train, seen or unseen."
        if base.dials:
            yield "Size: " + ", ".join(f"`{name}` {value}" for name, value in base.dials.items()) + "."
    else:
        yield "See the manual below. Any perturbation of observations, actions and rewards applies too."
    yield ""
    if presets := _presets(entry):
        yield from ("## Presets", "", ", ".join(f"`{name}`" for name in presets), "")
    if entry.kwargs:
        yield from (
            "This id sets " + ", ".join(f"`{name}={value!r}`" for name, value in entry.kwargs.items()) + ".",
            "",
        )


def _space(space: Any) -> str:
    if isinstance(space, Text):
        return f"text of {space.min_length} to {space.max_length} characters"
    if hasattr(space, "low"):
        same = np.unique(space.low).size == np.unique(space.high).size == 1
        bounds = f"{space.low.flat[0]:g}, {space.high.flat[0]:g}, " if same else ""
        return f"`Box({bounds}{space.shape}, {space.dtype})`"
    return f"`{space}`" if len(str(space)) < 100 else f"`{type(space).__name__}`"


def _presets(entry: catalog.Entry) -> Mapping[str, Any]:
    """The presets of the family, by name."""
    try:
        return catalog.resolve(f"{entry.card}.presets:PRESETS")
    except (ImportError, AttributeError):
        return {}


_ROLE = re.compile(r":(?P<kind>class|meth|func|mod|data|attr|exc|obj):`(?P<short>~?)(?P<name>[^`]+)`")


def manual(kind: type) -> list[str]:
    """The manual of a class, with roles as MyST writes them; its base's too where that holds the manual."""
    lines: list[str] = []
    for cls in kind.__mro__:
        text = inspect.cleandoc(cls.__doc__ or "") if cls.__module__.startswith("agentgym") else ""
        headed = re.search(r"^#+ ", text, re.MULTILINE) is not None
        if text and (headed or not lines):
            lines += ["", *_ROLE.sub(partial(_role, cls), text).splitlines(), ""]
        if headed:
            break
    return lines


def _role(cls: type, found: re.Match[str]) -> str:
    name = found["name"]
    if "." not in name and hasattr(inspect.getmodule(cls), name):
        name = f"~{cls.__module__}.{name}"
    elif "." not in name and hasattr(cls, name):
        name = f"~{cls.__module__}.{cls.__qualname__}.{name}"
    return f"{{py:{found['kind']}}}`{found['short']}{name}`"
