"""Checks for errors and suspicious data in any Minari dataset. No code named in its files is executed."""

import json
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym import catalog
from agentgym.data.arrays import collect
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.faults import Columns, Finding, columns_of, value_findings
from agentgym.data.recorded_env import try_world
from agentgym.data.spaces import LEAVES
from agentgym.data.storage import arrays_of, description_of, minari_dataset, record_findings
from agentgym.errors import AskError, CorruptFile, SpaceMismatch

__all__ = ["Finding", "check_dataset"]


def check_dataset(name: str) -> list[Finding]:
    """All findings about a dataset, errors first; empty if it is sound.

    Training refuses exactly what is an error here, with the same message, since both run the same checks.

    Args:
        name: its Minari id, or the name of a recipe.

    Raises:
        MissingExtra: Minari is not installed.
        UnknownId, FileNotFoundError: there is no such dataset.
    """
    try:
        stored = minari_dataset(name)
        about = description_of(stored.id, stored.storage.metadata)
    except CorruptFile as error:
        return [Finding("error", "files", str(error))]
    findings = [*_world(stored, about), *_spaces(stored), *_data(stored, about)]
    if about.random_return is None or about.expert_return is None:
        findings.append(
            Finding("warning", "references", "it has no reference returns: there are no scores, only returns")
        )
    return sorted(findings, key=lambda finding: finding.level)  # error, then warning


def _world(stored: Any, about: Description) -> Iterator[Finding]:
    """Check that the recorded environment can be made, so that agents can be evaluated in it."""
    if not about.env:
        yield Finding("warning", "environment", "it names no environment: agents are not evaluated while they learn")
        return
    try:
        try_world(about, (stored.observation_space, stored.action_space))
    except AskError as error:
        yield Finding("error", "environment", str(error))
        return
    changed = {key: about.env_kwargs[key] for key in ("max_episode_steps", "additional_wrappers")
               if key in about.env_kwargs}  # fmt: skip
    if changed:
        yield Finding(
            "warning", "environment", f"its world is not {about.env} as it is registered but one with "
            f"{', '.join(f'{key}={json.dumps(value)}' for key, value in changed.items())}. Agents are evaluated in it "
            "unless --env names another, whose returns do not compare with the data's",
        )  # fmt: skip


def _spaces(stored: Any) -> Iterator[Finding]:
    """Check that offline agents support the spaces; Dict and Tuple spaces are reported by ``_data``."""
    asked: dict[str, tuple[Any, ...]] = {
        "Observations": (stored.observation_space, "An offline agent"),
        "Actions": (stored.action_space, "An offline agent", (spaces.Box, spaces.Discrete)),
    }
    for what, arguments in asked.items():
        if isinstance(arguments[0], LEAVES) and not isinstance(arguments[0], spaces.Discrete):
            try:
                catalog.resolve(f"agentgym.agents.common.interface:{what}")(*arguments)  # imports torch
            except SpaceMismatch as error:
                yield Finding("error", "spaces", str(error))


def _data(stored: Any, about: Description) -> Iterator[Finding]:
    """Check Minari's episodes in one pass, then the arrays used for training."""
    columns, faults = collect(stored)
    yield from faults
    try:
        dataset = arrays_of(stored)
    except AskError as error:
        if not faults:
            yield Finding("error", "spaces", str(error))
        if columns is not None:
            yield from value_findings(columns)
        return
    assert columns is not None
    if not _are_of(dataset, columns):
        yield Finding("warning", "arrays", "the arrays beside its files, which learning reads, were others: made again")
        dataset = arrays_of(stored, anew=True)
    yield from record_findings(dataset, stored.storage.metadata)
    yield from value_findings(columns_of(dataset))
    yield from _time_outs(dataset, about)


def _are_of(dataset: OfflineDataset, columns: Columns) -> bool:
    """Check that the stored arrays match Minari's files."""
    pairs = [(dataset.observations, columns.observations[0][2]), (dataset.actions, columns.actions[0][2])]
    for field in ("rewards", "terminations", "truncations", "starts"):
        pairs.append((getattr(dataset, field), getattr(columns, field)))
    with np.errstate(over="ignore"):
        return all(np.array_equal(kept, found.astype(kept.dtype), equal_nan=kept.dtype.kind == "f")
                   for kept, found in pairs)  # fmt: skip


def _time_outs(dataset: OfflineDataset, about: Description) -> Iterator[Finding]:
    """Warn of time-outs recorded as terminations, after which learners would not bootstrap."""
    spec = gymnasium.registry.get(about.env)
    limit = about.env_kwargs.get("max_episode_steps", None if spec is None else spec.max_episode_steps)
    ends = dataset.terminations[dataset.starts[1:] - 1][dataset.lengths == limit]
    if len(ends) > 1 and ends.all():
        yield Finding(
            "warning", "time-outs", f"all {len(ends)} episodes as long as the time limit of {limit} steps end in "
            "termination: are they time-outs? Learners would take the value of their ends for 0",
        )  # fmt: skip
