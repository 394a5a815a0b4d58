"""Episodes as they are acted in from outside: what was read and said so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agentgym.agents.language.policies.policy import Decision, Policy, Sampler, Session
from agentgym.errors import InvalidParameter

__all__ = ["Conversation", "lanes_to_begin"]


@dataclass
class _Lane:
    """One episode: which session's which lane it is, and how many tokens it has."""

    session: Session
    number: int
    length: int


@dataclass
class Conversation:
    """The state between two calls of ``predict``: one episode, or several side by side.

    Attributes:
        policy: who answers.
        lanes: the episodes.
        overlong: which of them no longer fitted into the policy's context; they are answered with empty commands.
    """

    policy: Policy
    lanes: list[_Lane | None]
    overlong: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, policy: Policy, count: int) -> "Conversation":
        """``count`` episodes that have not begun."""
        return cls(policy, [None] * count, [False] * count)

    def begin(self, fresh: Sequence[int]) -> None:
        """Begin new episodes in some lanes, together."""
        policy = self.policy
        session = policy.session(len(fresh))
        for number, lane in enumerate(fresh):
            self.lanes[lane] = _Lane(session, number, 0)
            self.overlong[lane] = False

    def answer(
        self,
        observations: Sequence[str | None],
        commands: Sequence[Sequence[str] | None],
        limit: int,
        sampler: Sampler,
        choosing: bool,
        strict: bool,
    ) -> list[str]:
        """The command that follows each observation; "" where there is none, or the episode no longer fits.

        Args:
            observations: a text a lane, None where the lane waits.
            commands: the admissible ones, one list a lane; None where they are not known, and nobody chooses.
            limit: the most tokens of a written command.
            sampler: draws.
            choosing: among the commands; otherwise they are written freely.
            strict: refuse an episode that no longer fits.

        Raises:
            InvalidParameter: ``strict``, and the episode has become longer than the policy's context.
        """
        policy, answers = self.policy, [""] * len(observations)
        asked: dict[int, list[tuple[int, list[list[int]] | None]]] = {}
        sessions: dict[int, Session] = {}
        for index, (observation, offered) in enumerate(zip(observations, commands, strict=True)):
            lane = self.lanes[index]
            if observation is None or lane is None or self.overlong[index]:
                continue
            read = policy.observed(observation, offered, first=not lane.length)
            options = policy.encoded(offered) if choosing and offered else None
            need = limit if options is None else max(map(len, options)) + 1
            if lane.length + len(read) + need > policy.context:
                if strict:
                    raise InvalidParameter(
                        f"The episode no longer fits into the context of {policy.context} tokens: train with a larger "
                        "context."
                    )
                self.overlong[index] = True
                continue
            lane.session.read(lane.number, read)
            lane.length += len(read)
            sessions[id(lane.session)] = lane.session
            asked.setdefault(id(lane.session), []).append((index, options))
        for key, session in sessions.items():
            for index, decision in self._decide(session, asked[key], limit, sampler):
                answers[index] = self._said(index, decision, commands[index] if choosing else None)
        return answers

    def _decide(
        self, session: Session, asked: list[tuple[int, list[list[int]] | None]], limit: int, sampler: Sampler
    ) -> "list[tuple[int, Decision]]":
        lanes = [self.lanes[index] for index, _ in asked]
        numbers = [lane.number for lane in lanes if lane is not None]
        options = [each for _, each in asked if each is not None]
        chosen = session.choose(numbers, options, sampler) if options else session.generate(numbers, limit, sampler)
        return list(zip((index for index, _ in asked), chosen, strict=True))

    def _said(self, index: int, decision: Decision, offered: Sequence[str] | None) -> str:
        policy, lane = self.policy, self.lanes[index]
        assert lane is not None
        lane.length += len(decision.ids)
        if offered is not None:
            return offered[decision.choice]
        if decision.ids[-1] == policy.closing:
            return policy.decode(decision.ids[:-1])
        lane.session.read(lane.number, [policy.closing])
        lane.length += 1
        return policy.decode(decision.ids)


def lanes_to_begin(state: Conversation | None, count: int, episode_start: object) -> list[int]:
    """Which of ``count`` lanes start an episode now.

    Args:
        state: None starts all.
        count: how many there are.
        episode_start: a bool for all, or one a lane; None: none of them.
    """
    if state is None:
        return list(range(count))
    flags = np.broadcast_to(np.asarray(False if episode_start is None else episode_start, bool), (count,))
    return np.flatnonzero(flags).tolist()
