"""The control of a coding agent's turns as a decision problem of its own."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

from agentgym.contracts.environment import controllers_of
from agentgym.contracts.settings import finite_number
from agentgym.errors import InvalidAction, UnknownId
from agentgym.turns.control import CONTINUE, SUBMIT
from agentgym.turns.policies import load_policy
from agentgym.turns.transcript import FEATURES, Transcript
from agentgym.vector.resets import check_options, seed_of_one

__all__ = ["TurnControlEnv"]

Info = dict[str, Any]
SUBMITTED = "submit"  # the command
TASKS = ("agentgym/CodeRepairEasy-v0", "agentgym/CodeRepairMedium-v0", "agentgym/CodeRepairHard-v0")


class TurnControlEnv(gymnasium.Env[NDArray[np.float32], np.int64], EzPickle):
    """
    ## Description

    A player works on a task, and the agent decides before each of its turns whether it goes on or its work is submitted
    as it is. A turn sends everything said before once more, so late turns cost more. The right moment depends on what
    the transcript tells: in `agentgym/CodeRepairMedium-v0` a quarter of the tasks cannot be solved.

    A trained agent is a control: `TurnControl(rule="learned", policy=RUN)` of :mod:`agentgym.envs.perturb`,
    `policy=RUN` of the suite `turn-control`, or :class:`agentgym.turns.control.Learned` in the loop of coding agents.

    ## Action Space

    `Discrete(2)`: 0 lets the player take its next turn, 1 submits the work.

    ## Observation Space

    `Box(15)`: the features :data:`agentgym.turns.transcript.FEATURES` of the transcript, most of them in [0, 1].

    ## Rewards

    1 if the submitted work is right, minus the cost of each turn, in units of the value of a solved task: its words of
    prompt and answer at `prompt_price` and `answer_price`, by `value`. With a cache, words that an earlier prompt had
    are charged at `prompt_price` as well: set a lower price instead.

    ## Episode End

    Terminated when the work is submitted, by the agent or the player; truncated when the task's own limit is reached.
    `info` has the task's `measures` at the end.

    ## Arguments

    | Argument       | Default                         | Description                                               |
    |----------------|---------------------------------|-----------------------------------------------------------|
    | `task`         | "agentgym/CodeRepairMedium-v0"  | Id of a text environment in which `submit` ends an episode|
    | `task_kwargs`  | `{}`                            | Its arguments, such as `{"split": "seen"}`                |
    | `player`       | "explorer"                      | One of its controllers, or the folder of a trained agent  |
    | `value`        | 20.0                            | Value of a solved task in thousandths of a dollar         |
    | `prompt_price` | 1.0                             | Dollars for a million words of prompts                    |
    | `answer_price` | 5.0                             | Dollars for a million words of answers                    |

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/TurnControl-v0")
    >>> features, info = env.reset(seed=0)
    >>> features, reward, terminated, truncated, info = env.step(0)
    >>> features.shape, info["turn"]
    ((15,), 1)

    ```

    ## Version History

    * v0: Initial version
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(
        self,
        task: str = "agentgym/CodeRepairMedium-v0",
        task_kwargs: dict[str, Any] | None = None,
        player: str = "explorer",
        value: float = 20.0,
        prompt_price: float = 1.0,
        answer_price: float = 5.0,
        render_mode: None = None,
    ) -> None:
        EzPickle.__init__(self, task, task_kwargs, player, value, prompt_price, answer_price)
        self.value = finite_number("value", value, 0.0, above=True)
        self.prompt_price = finite_number("prompt_price", prompt_price, 0.0)
        self.answer_price = finite_number("answer_price", answer_price, 0.0)
        self.task: Any = gymnasium.make(task, **(task_kwargs or {}))
        if SUBMITTED not in getattr(getattr(self.task.unwrapped, "world", None), "verbs", ()):
            raise UnknownId("task in which submit ends an episode", task, TASKS)
        self.player = self._player(player)
        self.observation_space = spaces.Box(0.0, np.inf, (len(FEATURES),), np.float32)
        self.action_space = spaces.Discrete(2)
        self._transcript: Transcript | None = None

    def _player(self, name: str) -> Any:
        known = controllers_of(self.task)
        if name in known:
            return known[name].acting_in(self.task)
        if "/" not in name:
            raise UnknownId("player", name, (*known, "runs/NAME"))
        return load_policy(name)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[NDArray[np.float32], Info]:
        """Begin a task; there are no ``options``.

        Raises:
            UnknownId: an option is given.
        """
        check_options(type(self).__name__, options)
        super().reset(seed=seed_of_one(seed))
        self._text, self._info = self.task.reset(seed=seed)
        self._state: Any = None
        self._transcript = Transcript(self._text, self._info)
        return self._transcript.features, self._told()

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, Info]:
        """Let the player take a turn, or submit its work.

        Raises:
            InvalidAction: the action is not 0 or 1.
            ResetNeeded: there is no episode, or it has ended.
        """
        if self._transcript is None:
            raise ResetNeeded("The episode has ended, or none was begun: call reset first.")
        if not self.action_space.contains(np.int64(action) if isinstance(action, int) else action):
            raise InvalidAction(f"An action is 0 (go on) or 1 (submit), not {action!r}.")
        spent, command = self._transcript, SUBMITTED
        before = spent.prompts, spent.answers
        if int(action) == CONTINUE:
            command, self._state = self.player.predict(
                self._text, self._state, deterministic=False, commands=list(self._info.get("admissible_commands", ()))
            )
        self._text, _, terminated, truncated, self._info = self.task.step(command)
        cost = 0.0
        if int(action) != SUBMIT:
            spent.add(command, self._text, self._info)
            cost = (spent.prompts - before[0]) * self.prompt_price + (spent.answers - before[1]) * self.answer_price
        reward = float(self._info["won"]) * terminated - cost / 1e3 / self.value
        if terminated or truncated:
            self._transcript = None
        return spent.features, reward, terminated, truncated, self._told()

    def _told(self) -> Info:
        kept = ("task", "task_kind", "turn", "won", "measures")
        return {name: self._info[name] for name in kept if name in self._info}

    def close(self) -> None:
        """Close the task."""
        self.task.close()
