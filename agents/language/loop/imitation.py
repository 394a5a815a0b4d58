"""Batches of demonstrations, for imitation before the first iteration."""

from collections.abc import Iterable
from typing import Any

from agentgym.agents.language.loop.trajectory import Batch, Episode, Turn, collate
from agentgym.agents.language.policies.policy import Policy
from agentgym.errors import InvalidParameter

__all__ = ["demonstrated", "recorded"]


def demonstrated(policy: Policy, shown: Iterable[Any], choosing: bool) -> Batch:
    """A batch of expert episodes whose decisions are the expert's.

    When choosing, every turn is learned. When writing, only turns in which the expert's command was executed are
    learned, because the later words of a command depend on its first.

    Args:
        policy: encodes the texts.
        shown: episodes with ``rows`` of (observation, commands, expert's command, executed command), as returned by
            the environment's ``demonstrations``.
        choosing: whether commands are chosen from a list instead of written.

    Raises:
        InvalidParameter: the first turn of every episode is longer than the policy's context.
    """
    return collate(_checked(_episodes(policy, shown, choosing, expert=True), policy), choosing)


def recorded(policy: Policy, shown: Iterable[Any], choosing: bool) -> list[Episode]:
    """Episodes whose decisions are the commands that were executed, each a group of its own; a success is worth 1.

    Their log-probabilities are unknown (``Episode.told``). Arguments and errors as :func:`demonstrated`.
    """
    episodes = _checked(_episodes(policy, shown, choosing, expert=False), policy)
    for number, episode in enumerate(episodes):
        episode.group, episode.told = number, True
        episode.turns[-1].reward = float(episode.won)
    return episodes


def _episodes(policy: Policy, shown: Iterable[Any], choosing: bool, expert: bool) -> list[Episode]:
    """Episodes whose decisions are the expert's, or those that were executed."""
    episodes = []
    for one in shown:
        episode = Episode(0, one.seed, won=one.won, ended="terminated" if one.won else "truncated")
        for observation, commands, action, given in one.rows:
            episode.ids += policy.observed(observation, commands, first=not episode.turns)
            episode.sampled += [False] * (len(episode.ids) - len(episode.sampled))
            said = [*policy.encode(given), policy.closing]
            if len(episode.ids) + len(said) > policy.context:
                episode.won, episode.ended = False, "overlong"
                break
            first = len(episode.ids)
            turn = Turn(0, command=given)
            if choosing:
                turn.positions, turn.choice = [first], commands.index(action if expert else given)
                turn.choices = [policy.encode(command) for command in commands]
            elif action == given or not expert:
                turn.positions = list(range(first, first + len(said)))
            turn.logps = turn.entropies = [0.0] * len(turn.positions)
            episode.ids += said
            episode.sampled += [not expert] * len(said)
            episode.turns.append(turn)
        del episode.ids[policy.context :], episode.sampled[policy.context :]
        if episode.turns:
            episodes.append(episode)
    return episodes


def _checked(episodes: list[Episode], policy: Policy) -> list[Episode]:
    if not episodes:
        raise InvalidParameter(
            f"No demonstration has a turn that fits into the context of {policy.context} tokens: choose a larger "
            "context, or set imitation_batches to 0."
        )
    return episodes
