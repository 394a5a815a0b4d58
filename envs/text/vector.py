"""The batched doors: N text worlds stepped in one loop."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agentgym.batching import join_infos
from agentgym.envs.text.door import Info, TextEnv
from agentgym.envs.text.env import ArchiveEnv, HouseholdEnv, ScienceWorldEnv, TextWorldEnv
from agentgym.errors import InvalidAction, InvalidParameter

__all__ = ["ArchiveVectorEnv", "HouseholdVectorEnv", "ScienceWorldVectorEnv", "TextVectorEnv", "TextWorldVectorEnv"]

Texts = tuple[str, ...]


class TextVectorEnv(VectorEnv[Texts, Texts, np.ndarray]):
    """N worlds of one kind; the single environment's manual holds here too.

    World i equals the single environment with its seed, over any number of episodes. ``reset(seed=s)`` gives world i
    the seed s + i; ``reset(seed=[s] * N)`` gives N copies of one world, as group-based methods need them.
    ``reset(options={"reset_mask": mask})`` (bool [N]) resets some worlds only.

    Observations and actions are tuples of N strings (any sequence of strings is taken as actions). Infos are arrays
    [N], of objects where the single environment's values are no numbers, each with its mask ``_key``, as Gymnasium's
    vector environments have them.

    Args:
        make: makes one single environment.
        num_envs: N.
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.

    Raises:
        InvalidParameter: N is below 1.
    """

    def __init__(
        self,
        make: Callable[[], TextEnv],
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if num_envs < 1:
            raise InvalidParameter(f"num_envs must be at least 1, not {num_envs!r}.")
        self.num_envs = num_envs
        self.worlds = [make() for _ in range(num_envs)]
        self._make = make
        self._demonstrating: TextEnv | None = None
        first = self.worlds[0]
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**first.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = first.render_mode
        self.single_observation_space, self.single_action_space = first.observation_space, first.action_space
        self.observation_space = batch_space(first.observation_space, num_envs)
        self.action_space = batch_space(first.action_space, num_envs)
        self._texts = [""] * num_envs
        self._over = np.zeros(num_envs, dtype=bool)

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """Every word of observations and useful commands, sorted; None where they cannot be listed."""
        return self.worlds[0].vocabulary

    @property
    def instructions(self) -> str:
        """Which commands there are, in a sentence for a language model; "" where there is none."""
        return self.worlds[0].instructions

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Each world's seed."""
        return tuple(world.np_random_seed for world in self.worlds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Texts, Info]:
        """Start an episode in every world, or in those of ``options["reset_mask"]``."""
        seeds = self._seeds(seed)
        infos: list[Info | None] = [None] * self.num_envs
        for n in np.flatnonzero(self._mask(options)).tolist():
            self._texts[n], infos[n] = self.worlds[n].reset(seed=seeds[n])
            self._over[n] = False
        return tuple(self._texts), join_infos(infos)

    def step(self, actions: Sequence[str]) -> tuple[Texts, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Give each world a command; ended ones restart as the autoreset mode says.

        Raises:
            InvalidAction: there are not N actions, or one is no string; then no world is stepped.
            RuntimeError: with autoreset disabled, a world is stepped after its episode ended.
        """
        self._check(actions)
        if self.autoreset_mode == AutoresetMode.DISABLED and self._over.any():
            ended = np.flatnonzero(self._over).tolist()
            raise RuntimeError(f'Worlds {ended} have ended: reset them with options={{"reset_mask": ...}} first.')
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, dtype=bool), np.zeros(self.num_envs, dtype=bool)
        infos: list[Info | None] = [None] * self.num_envs
        for n, (world, action) in enumerate(zip(self.worlds, actions, strict=True)):
            if self._over[n]:
                self._texts[n], infos[n] = world.reset()
            else:
                self._texts[n], rewards[n], terminated[n], truncated[n], infos[n] = world.step(action)
        self._over = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._over.any():
            stacked = self._restart_at_once(infos)
        else:
            stacked = join_infos(infos)
        return tuple(self._texts), rewards, terminated, truncated, stacked

    def get_state(self) -> dict[str, Any]:
        """Where all worlds are, as plain JSON values: each world's snapshot, None before its first reset."""
        begun = [world.begun for world in self.worlds]
        return {
            "worlds": [
                world.snapshot() if is_begun else None for world, is_begun in zip(self.worlds, begun, strict=True)
            ],
            "texts": list(self._texts),
            "over": self._over.tolist(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`get_state` was, also in another batch made with the same arguments.

        Raises:
            InvalidParameter: it is the state of other worlds.
        """
        for world, taken in zip(self.worlds, state["worlds"], strict=True):
            if taken is not None:
                world.restore(taken)
        self._texts, self._over = list(state["texts"]), np.array(state["over"], dtype=bool)

    def demonstrations(self, seeds: Iterable[int], expert: str = "oracle", random_share: float = 0.0) -> Iterator[Any]:
        """Expert episodes, as :func:`agentgym.envs.text.demonstrations.demonstrations` shows them, in a world apart.

        Raises:
            InvalidParameter: the expert is unknown or does not know these worlds, or the share is not in [0, 1).
        """
        from agentgym.envs.text.demonstrations import demonstrations

        if self._demonstrating is None:
            self._demonstrating = self._make()
        yield from demonstrations(self._demonstrating, seeds, expert, random_share)  # type: ignore[arg-type]

    def render(self) -> tuple[Any, ...] | None:
        """Each world's text, as the single environment renders it."""
        return tuple(world.render() for world in self.worlds)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the worlds."""
        for world in [*self.worlds, *([self._demonstrating] if self._demonstrating else [])]:
            world.close()

    def _restart_at_once(self, infos: list[Info | None]) -> Info:
        """SAME_STEP: keep the last observation and info as ``final_obs`` and ``final_info``, then start anew."""
        ended = self._over
        final: list[Info | None] = [info if over else None for info, over in zip(infos, ended, strict=True)]
        observations = np.full(self.num_envs, None, dtype=object)
        for n in np.flatnonzero(ended).tolist():
            observations[n] = self._texts[n]
            self._texts[n], infos[n] = self.worlds[n].reset()
        self._over = np.zeros(self.num_envs, dtype=bool)
        more = {
            "final_obs": observations,
            "_final_obs": ended,
            "final_info": join_infos(final),
            "_final_info": ended.copy(),
        }
        return join_infos(infos) | more

    def _check(self, actions: Sequence[str]) -> None:
        if isinstance(actions, str) or not hasattr(actions, "__len__") or len(actions) != self.num_envs:
            raise InvalidAction(f"{self.num_envs} worlds need as many commands, one string each, not {actions!r}.")
        for n, action in enumerate(actions):
            if not isinstance(action, str):
                raise InvalidAction(f"An action is a command, a string; that of world {n} is {action!r}.")

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + n for n in range(self.num_envs)]
        seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"There are {self.num_envs} worlds but {len(seeds)} seeds: give one a world, or an int.")
        return seeds

    def _mask(self, options: dict[str, Any] | None) -> np.ndarray:
        if options is None or "reset_mask" not in options:
            return np.ones(self.num_envs, dtype=bool)
        mask = np.asarray(options["reset_mask"])
        if mask.dtype != bool or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"reset_mask must be a bool array of shape ({self.num_envs},) with at least one True.")
        return mask


class HouseholdVectorEnv(TextVectorEnv):
    """A batch of households; takes the arguments of :class:`agentgym.envs.text.env.HouseholdEnv` as well."""

    def __init__(
        self, num_envs: int = 1, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **arguments: Any
    ) -> None:
        super().__init__(lambda: HouseholdEnv(**arguments), num_envs, autoreset_mode)


class ArchiveVectorEnv(TextVectorEnv):
    """A batch of archives; takes the arguments of :class:`agentgym.envs.text.env.ArchiveEnv` as well."""

    def __init__(
        self, num_envs: int = 1, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **arguments: Any
    ) -> None:
        super().__init__(lambda: ArchiveEnv(**arguments), num_envs, autoreset_mode)


class TextWorldVectorEnv(TextVectorEnv):
    """A batch of TextWorld games; takes the arguments of :class:`agentgym.envs.text.env.TextWorldEnv` as well.

    The worlds share one folder of compiled games.
    """

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        folder: str | None = None,
        **arguments: Any,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="agentgym-textworld-") if folder is None else None
        shared = self._temporary.name if self._temporary else folder
        super().__init__(lambda: TextWorldEnv(folder=shared, **arguments), num_envs, autoreset_mode)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the worlds and delete the temporary folder."""
        super().close_extras()
        if self._temporary is not None:
            self._temporary.cleanup()


class ScienceWorldVectorEnv(TextVectorEnv):
    """A batch of experiments, each in a Java process of its own; arguments as of ``ScienceWorldEnv``."""

    def __init__(
        self, num_envs: int = 1, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **arguments: Any
    ) -> None:
        super().__init__(lambda: ScienceWorldEnv(**arguments), num_envs, autoreset_mode)
