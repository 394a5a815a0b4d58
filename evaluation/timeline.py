"""Single episodes turn by turn, for suites of text worlds that show them in the report."""

from collections.abc import Sequence
from typing import Any

from agentgym.contracts.agent import acting_in
from agentgym.evaluation.conditions import Condition
from agentgym.make import make_env, perturbed
from agentgym.play.player import Transition, Watcher, play
from agentgym.play.worlds import Environments, Episode, close
from agentgym.seeding import episode_seed

__all__ = ["timeline"]

LONGEST = 400  # characters kept of an observation


def timeline(
    agent: Any,
    name: str,
    conditions: Sequence[Condition],
    episodes: int,
    seed: int,
    max_steps: int,
    deterministic: bool,
) -> list[dict[str, Any]]:
    """Play the first episodes of an evaluation once more, and write down every turn.

    Args:
        agent, name: who plays, with the name in the rows.
        conditions: where.
        episodes: how many of each condition.
        seed, max_steps, deterministic: as of the evaluation.

    Returns:
        One dictionary an episode: agent, condition, episode, ``turns`` (pairs of command and observation), ``success``
        (None if unknown), ``stopped`` (a control of turns has submitted the work), and the error that ended it ("" if
        none). A sampled command may differ from the evaluation's.
    """
    found = []
    for condition in (each.played_by(name) for each in conditions):
        env: Any = perturbed(make_env(condition.env, dict(condition.env_kwargs)), condition.perturbations)
        try:
            for number in range(episodes):
                found.append(_one(agent, name, env, condition, number, seed, max_steps, deterministic))
        finally:
            close(env)
    return found


def _one(
    agent: Any, name: str, env: Any, condition: Condition, number: int, seed: int, max_steps: int, deterministic: bool
) -> dict[str, Any]:  # fmt: skip
    watched = _Turns()
    worlds = Environments([env], env.observation_space)
    episode = Episode(episode_seed(seed, number), condition.options, max_steps)
    error: Exception | None = None
    for ended in play(acting_in(agent, env), worlds, [episode], deterministic, [watched]):
        error = ended.error
    measures = episode.info.get("measures", {})
    success, stopped = measures.get("success"), bool(measures.get("auto_submitted"))
    return {
        "agent": name, "condition": condition.name, "episode": number,
        "turns": watched.turns[:-1] if stopped else watched.turns,  # the last command was not the agent's
        "success": None if success is None else bool(success), "stopped": stopped,
        "error": "" if error is None else str(error),
    }  # fmt: skip


class _Turns(Watcher):
    """Records commands and what they brought."""

    def __init__(self) -> None:
        self.turns: list[list[str]] = []

    def stepped(self, transition: Transition) -> None:
        """Record a turn."""
        self.turns.append([str(transition.action)[:LONGEST], str(transition.next_observation)[:LONGEST]])
