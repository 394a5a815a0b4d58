"""The batched text environments."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode

from agentgym.contracts.settings import whole_number
from agentgym.envs.text.env import ArchiveEnv, HouseholdEnv, ScienceWorldEnv, TextWorldEnv
from agentgym.envs.text.text_env import Info, TextEnv
from agentgym.errors import InvalidAction
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.infos import join_infos
from agentgym.vector.native import Seeds

__all__ = ["ArchiveVectorEnv", "HouseholdVectorEnv", "ScienceWorldVectorEnv", "TextVectorEnv", "TextWorldVectorEnv"]


class TextVectorEnv(NativeVectorEnv):
    """A batch of N text worlds of one kind; the single environment has the manual.

    World i equals the single environment with its seed, over any number of episodes. ``reset(seed=[s] * N)`` gives N
    copies of one world, as group-based methods need. Seeds, masks and autoreset modes are as in
    :class:`agentgym.vector.native.NativeVectorEnv`; ``get_state()`` is plain JSON.

    Observations and actions are tuples of N strings (any sequence of strings is accepted as actions). Infos are arrays
    [N], of dtype object if the single environment's values are not numbers, each with its mask ``_key``, as in
    Gymnasium's vector environments.

    Args:
        num_envs: number of worlds, N.
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        max_episode_steps: a time limit besides the worlds' own; passed by Gymnasium's ``make_vec``.
        arguments: those of the single environment.

    Attributes:
        single: the single environment's class.

    Raises:
        InvalidParameter: N is below 1.
    """

    single: ClassVar[Callable[..., TextEnv]]

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        self._make = partial(type(self).single, **arguments)
        self.worlds = [self._make() for _ in range(whole_number("num_envs", num_envs, 1))]
        self._demonstrating: TextEnv | None = None
        first = self.worlds[0]
        super().__init__(
            num_envs, first.observation_space, first.action_space, autoreset_mode, max_episode_steps,
            metadata=first.metadata, render_mode=first.render_mode,
        )  # fmt: skip
        self._texts = [""] * num_envs

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """The words of observations and useful commands, sorted; None if they cannot be listed."""
        return self.worlds[0].vocabulary

    @property
    def instructions(self) -> str:
        """A sentence about the available commands, for language models; may be empty."""
        return self.worlds[0].instructions

    def _checked(self, actions: Sequence[str]) -> Sequence[str]:
        if isinstance(actions, str) or not hasattr(actions, "__len__") or len(actions) != self.num_envs:
            raise InvalidAction(f"{self.num_envs} worlds need as many commands, one string each, not {actions!r}.")
        for n, action in enumerate(actions):
            if not isinstance(action, str):
                raise InvalidAction(f"An action is a command, a string; that of world {n} is {action!r}.")
        return actions

    def _start(self, chosen: np.ndarray, seeds: Seeds, options: dict[str, Any]) -> Info:
        infos: list[Info | None] = [None] * self.num_envs
        for n in np.flatnonzero(chosen).tolist():
            self._texts[n], infos[n] = self.worlds[n].reset(seed=seeds[n])
        return join_infos(infos)

    def _advance(self, actions: Sequence[str], active: np.ndarray) -> Step:
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, dtype=bool), np.zeros(self.num_envs, dtype=bool)
        infos: list[Info | None] = [None] * self.num_envs
        for n in np.flatnonzero(active).tolist():
            self._texts[n], rewards[n], terminated[n], truncated[n], infos[n] = self.worlds[n].step(actions[n])
        return Step(rewards, terminated, truncated, join_infos(infos))

    def _observe(self) -> tuple[str, ...]:
        return tuple(self._texts)

    def _state(self) -> dict[str, Any]:
        worlds = [world.snapshot() if world.begun else None for world in self.worlds]
        return {"worlds": worlds, "texts": list(self._texts)}

    def _set_state(self, state: dict[str, Any]) -> None:
        for world, taken in zip(self.worlds, state["worlds"], strict=True):
            if taken is not None:
                world.restore(taken)
        self._texts = list(state["texts"])

    def demonstrations(self, seeds: Iterable[int], expert: str = "oracle", random_share: float = 0.0) -> Iterator[Any]:
        """Expert episodes, as in :func:`agentgym.envs.text.demonstrations.demonstrations`, in a separate world.

        Raises:
            InvalidParameter: the expert is unknown or does not support these worlds, or the share is not in [0, 1).
        """
        from agentgym.envs.text.demonstrations import demonstrations

        if self._demonstrating is None:
            self._demonstrating = self._make()
        yield from demonstrations(self._demonstrating, seeds, expert, random_share)  # type: ignore[arg-type]

    def diagnose(self, seed: int, commands: Iterable[str]) -> tuple[int, str] | None:
        """The first turn whose command did not bring success nearer, and the oracle's command there.

        The episode is repeated in a separate world. Success is as near as the oracle's plan is short. The oracle knows
        the whole state, so looking for something counts as going wrong.

        Returns:
            None if every command brought success nearer, or no plan is left.
        """
        if self._demonstrating is None:
            self._demonstrating = self._make()
        world = self._demonstrating
        world.reset(seed=seed)
        for turn, command in enumerate(commands):
            if not world.shortens(command):
                plan = world.plan()
                return (turn, plan[0]) if plan else None
            _, _, terminated, truncated, _ = world.step(command)
            if terminated or truncated:
                break
        return None

    def _frame(self, world: int) -> Any:
        return self.worlds[world].render()

    def close_extras(self, **kwargs: Any) -> None:
        """Close the worlds."""
        for world in [*self.worlds, *([self._demonstrating] if self._demonstrating else [])]:
            world.close()


class HouseholdVectorEnv(TextVectorEnv):
    """A batch of households; also takes the arguments of :class:`agentgym.envs.text.env.HouseholdEnv`."""

    single = HouseholdEnv


class ArchiveVectorEnv(TextVectorEnv):
    """A batch of archives; also takes the arguments of :class:`agentgym.envs.text.env.ArchiveEnv`."""

    single = ArchiveEnv


class TextWorldVectorEnv(TextVectorEnv):
    """A batch of TextWorld games; also takes the arguments of :class:`agentgym.envs.text.env.TextWorldEnv`.

    The worlds share one folder of compiled games.
    """

    single = TextWorldEnv

    def __init__(self, num_envs: int = 1, *modes: Any, folder: str | None = None, **arguments: Any) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="agentgym-textworld-") if folder is None else None
        shared = self._temporary.name if self._temporary else folder
        super().__init__(num_envs, *modes, folder=shared, **arguments)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the worlds and delete the temporary folder."""
        super().close_extras()
        if self._temporary is not None:
            self._temporary.cleanup()


class ScienceWorldVectorEnv(TextVectorEnv):
    """A batch of ScienceWorld tasks, each in its own Java process; also takes the arguments of ``ScienceWorldEnv``."""

    single = ScienceWorldEnv
