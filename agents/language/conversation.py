"""One episode as it is acted in from outside: what was read and said so far."""

from collections.abc import Sequence

from agentgym.agents.language.policy import Policy, Sampler
from agentgym.errors import InvalidParameter

__all__ = ["Conversation"]


class Conversation:
    """The state between two calls of ``predict``.

    Args:
        policy: who answers.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.session = policy.session(1)
        self.length = 0

    def answer(
        self, observation: str, commands: Sequence[str] | None, limit: int, sampler: Sampler, choosing: bool
    ) -> str:
        """The command that follows an observation.

        Args:
            observation: a text.
            commands: the admissible ones; None where they are not known, and nobody chooses.
            limit: the most tokens of a written command.
            sampler: draws.
            choosing: among the commands; otherwise one is written freely.

        Raises:
            InvalidParameter: the episode has become longer than the policy's context.
        """
        policy = self.policy
        read = policy.observed(observation, commands, first=not self.length)
        options = [policy.encode(command) for command in commands] if choosing and commands else None
        need = limit if options is None else max(map(len, options)) + 1
        if self.length + len(read) + need > policy.context:
            raise InvalidParameter(
                f"The episode no longer fits into the context of {policy.context} tokens: train with a larger context."
            )
        self.session.read(0, read)
        if options is None or commands is None:
            ids = self.session.generate([0], limit, sampler)[0].ids
            self.length += len(read) + len(ids)
            if ids[-1] == policy.closing:
                return policy.decode(ids[:-1])
            self.session.read(0, [policy.closing])
            self.length += 1
            return policy.decode(ids)
        decision = self.session.choose([0], [options], sampler)[0]
        self.length += len(read) + len(decision.ids)
        return commands[decision.choice]
