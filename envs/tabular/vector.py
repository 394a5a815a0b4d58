"""N finite worlds that are stepped together."""

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.contracts.mdp import MDP
from agentgym.contracts.settings import finite_number
from agentgym.envs.tabular.models import MODELS, model
from agentgym.errors import CorruptFile, InvalidParameter, UnknownId
from agentgym.seeding import restore, state_of, stream
from agentgym.vector.native import NativeVectorEnv, Seeds
from agentgym.vector.step import Step

__all__ = ["TabularVectorEnv", "saved_kernel"]

Mask = NDArray[np.bool_]


class TabularVectorEnv(NativeVectorEnv):
    """N worlds of one finite process; arguments as in :class:`agentgym.envs.tabular.env.TabularEnv`.

    Observations: int64 [N], the states. Actions: int64 [N]. Every world draws one uniform number a step, so worlds of
    one seed under different kernels share their luck.
    """

    reset_options = ("parameters", "state")
    exact = True  # every world has its own generator

    def __init__(
        self,
        num_envs: int = 1,
        model: str | MDP = "river-swim",
        kernel: Any = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **numbers: Any,
    ) -> None:
        self._name, self._numbers = model, numbers
        self.mdp = _process(model, numbers) if kernel is None else _process(model, numbers).under(_kernel(kernel))
        states, actions, _ = self.mdp.shape
        super().__init__(num_envs, spaces.Discrete(states), spaces.Discrete(actions), autoreset_mode, max_episode_steps)
        ranges = MODELS[model].parameter_ranges if isinstance(model, str) and kernel is None else {}
        self.parameter_ranges = dict(ranges)
        self._worlds: list[MDP] = [self.mdp] * num_envs
        self._parameters: list[dict[str, float]] = [{} for _ in range(num_envs)]
        self._states = np.zeros(num_envs, np.int64)
        self._luck: list[np.random.Generator | None] = [None] * num_envs

    def _checked_options(self, options: dict[str, Any], chosen: Mask) -> dict[str, Any]:
        given = options.get("parameters", {})
        if not isinstance(given, dict):
            raise InvalidParameter(f"parameters is a dictionary of names and numbers, not {given!r}.")
        checked: dict[str, Any] = {}
        rows: list[dict[str, float]] = [{} for _ in range(self.num_envs)]
        for name, values in given.items():
            if name not in self.parameter_ranges:
                raise UnknownId("parameter of this process", str(name), self.parameter_ranges)
            each = np.asarray(values, dtype=object)
            if each.shape not in ((), (self.num_envs,)):
                raise InvalidParameter(f"{name} is a number or one a world, {self.num_envs}, not {values!r}.")
            for world, value in enumerate(np.broadcast_to(each, self.num_envs).tolist()):
                if chosen[world]:
                    rows[world][name] = finite_number(name, value, *self.parameter_ranges[name])
        if "parameters" in options:
            checked["worlds"] = [self._made(row) for row in rows]
            checked["parameters"] = rows
        if "state" in options:
            checked["state"] = self._first_states(options["state"], chosen)
        return checked

    def _first_states(self, given: Any, chosen: Mask) -> NDArray[np.int64]:
        states, most = np.asarray(given), self.mdp.shape[0] - 1
        fits = states.shape in ((), (self.num_envs,)) and states.dtype.kind in "iu"
        if not fits or not ((states >= 0) & (states <= most)).all():
            raise InvalidParameter(f"state is a whole number from 0 to {most}, or one a world, not {given!r}.")
        states = np.broadcast_to(states, self.num_envs)
        if self.mdp.terminal[states[chosen]].any():
            raise InvalidParameter(f"state {given!r} is terminal: no episode can start there.")
        return states.astype(np.int64)

    def _made(self, parameters: dict[str, float]) -> MDP:
        return _process(self._name, {**self._numbers, **parameters}) if parameters else self.mdp

    def _start(self, chosen: Mask, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        for n in np.flatnonzero(chosen).tolist():
            own = self._luck[n]
            if own is None or seeds[n] is not None:
                seed = self._seeds[n]  # the batch has given one to every world that had none
                assert seed is not None
                own = self._luck[n] = stream(seed, "tabular")
            if "worlds" in options:
                self._worlds[n], self._parameters[n] = options["worlds"][n], options["parameters"][n]
            first = np.cumsum(self._worlds[n].start)
            drawn = int((first <= own.random() * first[-1]).sum())
            self._states[n] = options["state"][n] if "state" in options else drawn
        return {}

    def _advance(self, actions: Any, active: Mask) -> Step:
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        for n in np.flatnonzero(active).tolist():
            world, s, a, own = self._worlds[n], self._states[n], actions[n], self._luck[n]
            assert own is not None
            reached = np.cumsum(world.probabilities[s, a])
            outcome = int((reached <= own.random() * reached[-1]).sum())
            self._states[n] = world.next_states[s, a, outcome]
            rewards[n] = world.rewards[s, a, outcome]
            terminated[n] = world.terminal[self._states[n]]
        return Step(rewards, terminated)

    def _observe(self) -> Any:
        return self._states.copy()

    def _state(self) -> dict[str, Any]:
        luck = [None if each is None else state_of(each) for each in self._luck]
        return {"states": self._states.tolist(), "luck": luck, "parameters": [dict(row) for row in self._parameters]}

    def _set_state(self, state: dict[str, Any]) -> None:
        try:
            states, luck = np.array(state["states"], np.int64), list(state["luck"])
            rows = [dict(row) for row in state["parameters"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidParameter(f"This is no state of {type(self).__name__} ({error!r}).") from error
        if not len(states) == len(luck) == len(rows) == self.num_envs:
            raise InvalidParameter(f"The state is of another number of worlds than these {self.num_envs}.")
        worlds = [self._made(row) for row in rows]
        generators = [None if each is None else np.random.default_rng(0) for each in luck]
        for generator, each in zip(generators, luck, strict=True):
            if generator is not None:
                restore(generator, each)
        self._states, self._luck, self._worlds, self._parameters = states, generators, worlds, rows


def _process(name: str | MDP, numbers: dict[str, Any]) -> MDP:
    if isinstance(name, MDP):
        if numbers:
            raise UnknownId("argument of a tabular environment", next(iter(numbers)), ("model", "kernel"))
        return name
    return model(name, **numbers)


def _kernel(kernel: Any) -> Any:
    return saved_kernel(kernel) if isinstance(kernel, str | Path) else kernel


def saved_kernel(path: str | Path) -> NDArray[np.float64]:
    """The array ``kernel`` of an npz file, such as ``numpy.savez(path, kernel=solution.kernel)`` writes.

    Raises:
        CorruptFile: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return np.asarray(found["kernel"], np.float64)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise CorruptFile(f"{path} is no npz file with a kernel [S, A, K] ({error}).") from error
