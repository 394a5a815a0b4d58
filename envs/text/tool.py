"""Text environments as tool environments of TRL: ``GRPOTrainer(environment_factory=...)``."""

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium

from agentgym.contracts.settings import whole_number
from agentgym.envs.text.text_env import TextEnv
from agentgym.errors import InvalidParameter
from agentgym.make import check_id

__all__ = ["ToolEnvironment", "text_environment", "tool_rows"]


def text_environment(env: str, arguments: Mapping[str, Any]) -> TextEnv:
    """Make a text environment, without wrappers, for other people's trainers.

    Raises:
        UnknownId: there is no such environment.
        InvalidParameter: it is no text environment of this package, or an argument is not valid.
    """
    check_id(env)
    made = gymnasium.make(env, **arguments).unwrapped
    if not isinstance(made, TextEnv):
        raise InvalidParameter(f"{env} is no text environment. Try agentgym/Household-v0.")
    return made


class ToolEnvironment:
    """A text environment with one tool, ``act``, for trainers that call an environment's methods as tools.

    TRL (``environment_factory``, 1.16) makes one instance a rollout, calls :meth:`reset` with the fields of a dataset's
    row, offers every public method but ``reset`` and ``get_reward`` to the model, and asks :meth:`get_reward` once at
    the end. The **seed must be in the row**: the episodes of a group start in the same state only if their row says
    which. TRL gives an environment no means to end an episode: a command after its end is an error, which the model
    reads.

    Args:
        env: id of a text environment.
        **arguments: its keyword arguments.

    Raises:
        UnknownId: there is no such environment.
        InvalidParameter: it is no text environment of this package.
    """

    def __init__(self, env: str = "agentgym/Household-v0", **arguments: Any) -> None:
        self._env = text_environment(env, arguments)
        self._return, self._over = 0.0, True

    def reset(self, seed: int | None = None, **row: Any) -> str:
        """Start the episode of a seed; other fields of the row are ignored.

        Returns:
            The first observation and the admissible commands.

        Raises:
            InvalidParameter: the row has no seed.
        """
        if seed is None:
            raise InvalidParameter(
                'A dataset row needs a field "seed": without one the episodes of a group would have different tasks.'
            )
        text, info = self._env.reset(seed=whole_number("seed", seed, 0))
        self._return, self._over = 0.0, False
        return self._told(text, info)

    def act(self, command: str) -> str:
        """Give one command in the environment.

        Args:
            command: the command, one of those that were listed last.

        Returns:
            What happens, and the commands that are possible next.
        """
        if self._over:
            raise ValueError("The episode is over: no further command is possible.")
        text, reward, terminated, truncated, info = self._env.step(command)
        self._return += float(reward)
        self._over = terminated or truncated
        return f"{text} The episode is over." if self._over else self._told(text, info)

    def get_reward(self) -> float:
        """The sum of the episode's rewards."""
        return self._return

    @staticmethod
    def _told(text: str, info: dict[str, Any]) -> str:
        commands = info.get("admissible_commands")
        return f"{text} Commands now: {'; '.join(commands)}." if commands else text


def tool_rows(
    seeds: Iterable[int], env: str = "agentgym/Household-v0", **arguments: Any
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows for ``datasets.Dataset.from_list``: a prompt with the environment's instructions, and the seed.

    Raises:
        UnknownId, InvalidParameter: as :class:`ToolEnvironment`, or a seed is not a whole number from 0.
    """
    instructions = ToolEnvironment(env, **arguments)._env.instructions
    text = f"Solve the task with the tool act, one command a call. {instructions} "
    return [{"prompt": [{"role": "user", "content": text}], "seed": whole_number("seed", seed, 0)} for seed in seeds]
