"""The single environment for any text world."""

from collections.abc import Mapping
from typing import Any, ClassVar

from gymnasium.error import ResetNeeded
from gymnasium.spaces import Text

from agentgym.contracts.settings import flag
from agentgym.envs.text.controllers import Controller, controllers
from agentgym.envs.text.world import World
from agentgym.errors import InvalidAction, InvalidParameter
from agentgym.seeding import entropy
from agentgym.vector.resets import check_options, seed_of_one
from agentgym.wrappers.time_limit import OwnTimeLimit

__all__ = ["Info", "TextEnv"]

Info = dict[str, Any]


class TextEnv(OwnTimeLimit[str, str]):
    """A :class:`agentgym.envs.text.world.World` as a Gymnasium environment with strings as observations and actions.

    This manual covers what all text environments have in common; each environment's own manual has the rest.

    ## Action Space

    ``Text``: a command. The space contains commands of plain characters up to a maximum length, but **any** Python
    string is accepted. A command that is empty, too long, unknown, or not possible now changes nothing, costs a turn
    and gets an observation that says so. Anything else raises :class:`agentgym.errors.InvalidAction`.

    ## Observation Space

    ``Text``: short English sentences. The first observation of an episode contains the task.

    ## Info

    At reset and after each step:

    | Key                   | Value                                                                               |
    |-----------------------|-------------------------------------------------------------------------------------|
    | `task`, `task_kind`   | the episode's task in words, and its kind                                           |
    | `turn`                | the number of commands given                                                        |
    | `valid`               | whether the last command was understood and possible                                |
    | `problem`             | None, "empty", "overlong", "unparsable", "impossible", or "failed" (a tool's fault) |
    | `won`                 | whether the task is solved                                                          |
    | `anchor`              | a hashable key of the world's state: equal keys in one episode mean equal states    |
    | `admissible_commands` | commands that are possible now (unless ``admissible=False``)                        |
    | `shortest`            | only at reset: the number of commands in :meth:`plan`                               |
    | `measures`            | only at the end: measures of the whole episode by name, for evaluations             |

    The measures are `success` (1 or 0), `turns`, `invalid_turns` (commands that were not understood or not possible)
    and, if it is known, `regret`: turns taken plus turns still needed, minus those of the plan at the start. In a
    household, whose plans are shortest, this is exactly the number of wasted turns.

    ## Rewards

    1 for the command that solves the task, else 0 (in TextWorld, the score gained by the command).

    ## Episode End

    Terminated when the task is solved (or, in an archive, answered wrongly); truncated when ``max_turns`` commands have
    been given without success. A further step raises Gymnasium's ``ResetNeeded``.

    ## Seeds

    ``reset(seed=s)`` determines the episode's world and everything random in it. Resets without a seed start further
    episodes of the same seed. Environments with equal arguments and equal seeds have the same worlds.

    Args:
        world: the world.
        admissible: whether ``info`` contains ``admissible_commands``.
        render_mode: "ansi" (:meth:`render` returns the last command and observation) or None.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 4}  # type: ignore[misc]

    def __init__(self, world: World, admissible: bool = True, render_mode: str | None = None) -> None:
        if render_mode not in (None, "ansi"):
            raise InvalidParameter(f'render_mode must be None or "ansi", not {render_mode!r}.')
        self.world = world
        self.admissible = flag("admissible", admissible)
        self.render_mode = render_mode
        self.observation_space = Text(world.max_observation_length, charset=world.characters)
        self.action_space = Text(world.max_command_length, charset=world.characters)
        self._root: int | None = None
        self._episode = -1
        self._turn = 0
        self._over = True
        self._won = False
        self._last = ("", "")
        self._invalid = self._shortest = 0

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """The words (:func:`agentgym.envs.text.language.words`) of observations and useful commands, sorted.

        None if they cannot be listed (TextWorld).
        """
        return self.world.vocabulary

    @property
    def instructions(self) -> str:
        """A sentence about the available commands, for language models; may be empty."""
        return self.world.instructions

    @property
    def split(self) -> str:
        """The split of worlds: "train", "seen" or "unseen"."""
        return self.world.split

    @property
    def dials(self) -> Mapping[str, Any]:
        """The parameters of the worlds' size, by name; empty if there are none."""
        return self.world.dials

    @property
    def max_turns(self) -> int:
        """The number of commands after which an episode is truncated."""
        return self.world.max_turns

    @property
    def time_limit(self) -> int:
        """The time limit for the environment's spec, equal to :attr:`max_turns`."""
        return self.max_turns

    @property
    def begun(self) -> bool:
        """Whether there has been a reset."""
        return self._root is not None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, Info]:
        """Start an episode; there are no ``options``.

        Raises:
            UnknownId: an option is given.
        """
        seed = seed_of_one(seed)
        check_options(type(self).__name__, options)
        super().reset(seed=seed)
        if seed is not None:
            self._root, self._episode = seed, -1
        elif self._root is None:
            self._root = entropy()
        self._episode += 1
        text = self.world.begin(self._root, self._episode)
        self._turn, self._over, self._won, self._last = 0, False, False, ("", text)
        self._invalid, self._shortest = 0, self.world.distance()
        info = self._info(None)
        info["shortest"] = self._shortest
        return text, info

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Execute one command.

        Raises:
            InvalidAction: the action is not a string.
            ResetNeeded: there is no episode, or it has ended.
        """
        if not isinstance(action, str):
            raise InvalidAction(f"An action is a command, a string, not {action!r} of type {type(action).__name__}.")
        if self._over:
            raise ResetNeeded("The episode has ended, or none was begun: call reset first.")
        text, problem, reward, terminated, won = self.world.act(action)
        self._turn += 1
        truncated = not terminated and self._turn >= self.world.max_turns
        self._over, self._won = terminated or truncated, won
        self._last = (action, text)
        info = self._info(problem)
        self._invalid += not info["valid"]
        if self._over:
            info["measures"] = self._measures(lost=terminated and not won)
        return text, reward, terminated, truncated, info

    def plan(self) -> list[str]:
        """The oracle's commands from the current state to success. It knows the whole state."""
        return [] if self._won else self.world.plan()

    def distance(self) -> int:
        """The number of commands in :meth:`plan`, in a household the minimum."""
        return 0 if self._won else self.world.distance()

    def shortens(self, command: str) -> bool:
        """Whether the command would now bring success nearer, measured by the plan. Changes nothing."""
        return not self._over and self.world.shortens(command)

    @property
    def controllers(self) -> dict[str, Controller]:
        """Hand-made players by name, as baselines for evaluations."""
        return controllers(self.world, self.observation_space, self.action_space)

    def snapshot(self) -> dict[str, Any]:
        """The state of the episode, as plain JSON values that are independent of the environment.

        Raises:
            ResetNeeded: there is no episode.
        """
        if self._root is None:
            raise ResetNeeded("There is no episode to take a snapshot of: call reset first.")
        return {
            "world": self.world.fingerprint, "seed": self._root, "episode": self._episode, "turn": self._turn,
            "over": self._over, "won": self._won, "last": list(self._last), "invalid": self._invalid,
            "shortest": self._shortest, "state": self.world.state_values(),
        }  # fmt: skip

    def restore(self, snapshot: dict[str, Any]) -> tuple[str, Info]:
        """Restore a snapshot, which may be of another environment with equal arguments, or read from JSON.

        Returns:
            The last observation and the info of that time (``valid`` and ``problem`` as after a successful
            command).

        Raises:
            InvalidParameter: the snapshot is of a world with other arguments, or incomplete. The environment then
                needs a reset.
        """
        self._over = True
        if not isinstance(snapshot, dict) or snapshot.get("world") != self.world.fingerprint:
            raise InvalidParameter(
                f"The snapshot is not of a world made with the same arguments: {self.world.fingerprint}."
            )
        try:
            seed, episode, turn = (int(snapshot[key]) for key in ("seed", "episode", "turn"))
            invalid, shortest = int(snapshot["invalid"]), int(snapshot["shortest"])
            over, won = bool(snapshot["over"]), bool(snapshot["won"])
            command, text = (str(part) for part in snapshot["last"])
            state = dict(snapshot["state"])
            self.world.begin(seed, episode)
            self.world.set_state_values(state)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidParameter):
                raise
            raise InvalidParameter(f"The snapshot is incomplete ({type(error).__name__}: {error}).") from error
        self._root, self._episode, self._turn = seed, episode, turn
        self._invalid, self._shortest = invalid, shortest
        self._over, self._won, self._last = over, won, (command, text)
        return text, self._info(None)

    def render(self) -> str | None:
        """The last command and observation, with render_mode "ansi"."""
        if self.render_mode is None:
            return None
        command, text = self._last
        return f"> {command}\n{text}" if command else text

    def close(self) -> None:
        """Release the world's resources."""
        self.world.close()

    def _measures(self, lost: bool) -> dict[str, float]:
        measures = {"success": float(self._won), "turns": float(self._turn), "invalid_turns": float(self._invalid)}
        left = self.distance()
        # A task that is lost or can no longer be solved has no plan to compare with.
        if self._shortest and not lost and (left or self._won):
            measures["regret"] = float(self._turn + left - self._shortest)
        return measures

    def _info(self, problem: str | None) -> Info:
        world = self.world
        info: Info = {
            "task": world.task,
            "task_kind": world.task_kind,
            "turn": self._turn,
            "valid": problem is None or problem == "failed",
            "problem": problem,
            "won": self._won,
            "anchor": world.anchor(),
        }
        if self.admissible:
            info["admissible_commands"] = [] if self._over else world.commands()
        return info
