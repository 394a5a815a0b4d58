"""Demonstrations as batches: the start that a policy needs before its own episodes can teach it anything."""

from collections.abc import Iterable
from typing import Any

from agentgym.agents.language.loop.trajectory import Batch, Episode, Turn, collate
from agentgym.agents.language.policies.policy import Policy

__all__ = ["demonstrated"]


def demonstrated(policy: Policy, shown: Iterable[Any], choosing: bool) -> Batch:
    """Expert episodes as a batch whose decisions are the expert's.

    Written commands are learned only in turns in which the expert's command was the one that was given, since what
    follows a command's first word depends on it; choosing, in every turn.

    Args:
        policy: makes the tokens.
        shown: episodes with ``rows`` of (observation, commands, action, given), as a text environment's
            ``demonstrations`` gives them.
        choosing: among commands; otherwise written.
    """
    episodes = []
    for one in shown:
        episode = Episode(0, one.seed, won=one.won, ended="terminated" if one.won else "truncated")
        for observation, commands, action, given in one.rows:
            episode.ids += policy.observed(observation, commands, first=not episode.turns)
            said = [*policy.encode(given), policy.closing]
            if len(episode.ids) + len(said) > policy.context:
                break
            first = len(episode.ids)
            turn = Turn(0, command=given)
            if choosing:
                turn.positions, turn.choice = [first], commands.index(action)
                turn.choices = [policy.encode(command) for command in commands]
            elif action == given:
                turn.positions = list(range(first, first + len(said)))
            turn.logps = turn.entropies = [0.0] * len(turn.positions)
            episode.ids += said
            episode.turns.append(turn)
        episode.ids = episode.ids[: policy.context]
        episode.sampled = [False] * len(episode.ids)
        if episode.turns:
            episodes.append(episode)
    return collate(episodes, choosing)
