"""Text environments behind an OpenEnv server, for the trainers that read OpenEnv. Needs the extra ``openenv``."""

from typing import Any, ClassVar

from agentgym.contracts.settings import whole_number
from agentgym.envs.text.text_env import Info, TextEnv
from agentgym.envs.text.tool import text_environment
from agentgym.errors import MissingExtra
from agentgym.seeding import entropy

try:
    from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app
    from pydantic import Field
except ImportError as error:
    raise MissingExtra("openenv", "openenv") from error

__all__ = ["OpenEnvironment", "TextAction", "TextObservation", "TextState", "openenv_app"]


class TextAction(Action):
    """An action: one command."""

    command: str = Field(description="The command, one of those that were listed last.")


class TextObservation(Observation):
    """An observation; ``reward`` and ``done`` are OpenEnv's own fields."""

    text: str = Field(description="What the agent reads.")
    commands: list[str] = Field(description="The commands that are possible now; empty after the episode's end.")
    problem: str | None = Field(default=None, description="Why the last command had no effect; null if it had one.")
    turn: int = Field(default=0, description="The number of commands given.")
    won: bool = Field(default=False, description="Whether the task is solved.")


class TextState(State):
    """What a session is at, beside OpenEnv's ``episode_id`` and ``step_count``."""

    seed: int | None = Field(default=None, description="The seed of the episode; null before the first reset.")
    task: str = Field(default="", description="The episode's task.")
    instructions: str = Field(default="", description="What the environment says about its commands.")
    total_reward: float = Field(default=0.0, description="The sum of the episode's rewards.")


class OpenEnvironment(Environment[TextAction, TextObservation, TextState]):
    """A text environment with OpenEnv's interface. Each session of a server has its own.

    Args:
        env: id of a text environment.
        **arguments: its keyword arguments.

    Raises:
        UnknownId: there is no such environment.
        InvalidParameter: it is no text environment of this package, or an argument is not valid.
    """

    SUPPORTS_CONCURRENT_SESSIONS: ClassVar[bool] = True

    def __init__(self, env: str = "agentgym/Household-v0", **arguments: Any) -> None:
        super().__init__()
        self._env: TextEnv = text_environment(env, arguments)
        self._state = TextState(instructions=self._env.instructions)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **_: Any) -> TextObservation:
        """Start the episode of a seed. Without one, the seed is drawn and told in :attr:`state`.

        Raises:
            InvalidParameter: the seed is no whole number from 0.
        """
        seed = entropy() if seed is None else whole_number("seed", seed, 0)
        text, info = self._env.reset(seed=seed)
        self._state = TextState(
            episode_id=episode_id, seed=seed, task=info["task"], instructions=self._env.instructions
        )  # fmt: skip
        return _observation(text, info)

    def step(self, action: TextAction, timeout_s: float | None = None, **_: Any) -> TextObservation:
        """Give one command. ``timeout_s`` is not needed: a command takes less than a millisecond.

        Raises:
            ResetNeeded: there is no episode, or it is over.
        """
        text, reward, terminated, truncated, info = self._env.step(action.command)
        self._state.step_count += 1
        self._state.total_reward += float(reward)
        return _observation(text, info, float(reward), terminated or truncated)

    @property
    def state(self) -> TextState:
        """Seed, task and number of commands of the current episode."""
        return self._state

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def _observation(text: str, info: Info, reward: float | None = None, done: bool = False) -> TextObservation:
    commands = [] if done else info.get("admissible_commands", [])
    return TextObservation(
        text=text, commands=commands, problem=info["problem"], turn=info["turn"], won=info["won"], reward=reward,
        done=done,
    )  # fmt: skip


def openenv_app(env: str = "agentgym/Household-v0", max_sessions: int = 64, **arguments: Any) -> Any:
    """A FastAPI application that serves a text environment by OpenEnv's protocol; run it with uvicorn.

    A session is a WebSocket connection and has its own environment. (OpenEnv's HTTP routes ``/reset`` and ``/step``
    make a fresh environment for every request, so they cannot play an episode.)

    Args:
        env: id of a text environment.
        max_sessions: the most sessions at a time; OpenEnv refuses further ones.
        **arguments: keyword arguments of the environment.

    Raises:
        UnknownId, InvalidParameter: as :class:`OpenEnvironment`, before anything is served.
    """
    max_sessions = whole_number("max_sessions", max_sessions, 1)
    OpenEnvironment(env, **arguments).close()  # an error now, not in the first session

    def made() -> OpenEnvironment:
        return OpenEnvironment(env, **arguments)

    return create_fastapi_app(
        made, TextAction, TextObservation, max_sessions, env_name=env.split("/")[-1], state_cls=TextState
    )
