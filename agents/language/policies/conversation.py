"""The state of ``predict``: episodes that are stepped outside of the training loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agentgym.agents.language.policies.policy import Decision, Policy, Sampler, Session
from agentgym.errors import InvalidParameter

__all__ = ["Conversation", "episodes_to_begin"]


@dataclass
class _SessionEpisode:
    """One episode: its session, its number there, and its length in tokens."""

    session: Session
    number: int
    length: int


@dataclass
class Conversation:
    """The state between two calls of ``predict``, for one or several episodes.

    Attributes:
        policy: the policy.
        episodes: the episodes; None where none has started.
        overlong: which of them no longer fit into the policy's context; they get empty commands.
    """

    policy: Policy
    episodes: list[_SessionEpisode | None]
    overlong: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, policy: Policy, count: int) -> "Conversation":
        """``count`` episodes that have not started."""
        return cls(policy, [None] * count, [False] * count)

    def begin(self, fresh: Sequence[int]) -> None:
        """Start new episodes at these indices, in one session."""
        policy = self.policy
        session = policy.session(len(fresh))
        for number, index in enumerate(fresh):
            self.episodes[index] = _SessionEpisode(session, number, 0)
            self.overlong[index] = False

    def answer(
        self,
        observations: Sequence[str | None],
        commands: Sequence[Sequence[str] | None],
        limit: int,
        sampler: Sampler,
        choosing: bool,
        strict: bool,
    ) -> list[str]:
        """The command that follows each observation; "" without an observation or if the episode no longer fits.

        Args:
            observations: a text for each episode, None if it waits.
            commands: the admissible commands of each episode; None if they are not known and not needed.
            limit: the most tokens of a written command.
            sampler: draws commands or tokens.
            choosing: whether commands are chosen from ``commands`` instead of written.
            strict: raise an error if an episode no longer fits.

        Raises:
            InvalidParameter: ``strict``, and the episode has become longer than the policy's context.
        """
        policy, answers = self.policy, [""] * len(observations)
        asked: dict[int, list[tuple[int, list[list[int]] | None]]] = {}
        sessions: dict[int, Session] = {}
        for index, (observation, offered) in enumerate(zip(observations, commands, strict=True)):
            episode = self.episodes[index]
            if observation is None or episode is None or self.overlong[index]:
                continue
            read = policy.observed(observation, offered, first=not episode.length)
            options = policy.encoded(offered) if choosing and offered else None
            need = limit if options is None else max(map(len, options)) + 1
            if episode.length + len(read) + need > policy.context:
                if strict:
                    raise InvalidParameter(
                        f"The episode no longer fits into the context of {policy.context} tokens: train with a larger "
                        "context."
                    )
                self.overlong[index] = True
                continue
            episode.session.read(episode.number, read)
            episode.length += len(read)
            sessions[id(episode.session)] = episode.session
            asked.setdefault(id(episode.session), []).append((index, options))
        for key, session in sessions.items():
            for index, decision in self._decide(session, asked[key], limit, sampler):
                answers[index] = self._said(index, decision, commands[index] if choosing else None)
        return answers

    def _decide(
        self, session: Session, asked: list[tuple[int, list[list[int]] | None]], limit: int, sampler: Sampler
    ) -> "list[tuple[int, Decision]]":
        episodes = [self.episodes[index] for index, _ in asked]
        numbers = [episode.number for episode in episodes if episode is not None]
        options = [each for _, each in asked if each is not None]
        chosen = session.choose(numbers, options, sampler) if options else session.generate(numbers, limit, sampler)
        return list(zip((index for index, _ in asked), chosen, strict=True))

    def _said(self, index: int, decision: Decision, offered: Sequence[str] | None) -> str:
        policy, episode = self.policy, self.episodes[index]
        assert episode is not None
        episode.length += len(decision.ids)
        if offered is not None:
            return offered[decision.choice]
        if decision.ids[-1] == policy.closing:
            return policy.decode(decision.ids[:-1])
        episode.session.read(episode.number, [policy.closing])
        episode.length += 1
        return policy.decode(decision.ids)


def episodes_to_begin(state: Conversation | None, count: int, episode_start: object) -> list[int]:
    """Indices of the episodes that start now.

    Args:
        state: None: all start.
        count: number of episodes.
        episode_start: a bool for all, or one for each; None: none starts.
    """
    if state is None:
        return list(range(count))
    flags = np.broadcast_to(np.asarray(False if episode_start is None else episode_start, bool), (count,))
    return np.flatnonzero(flags).tolist()
