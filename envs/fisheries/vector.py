"""N fisheries that are stepped together."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number
from agentgym.envs.fisheries.growth import growth
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import restore, state_of, stream
from agentgym.vector.infos import infos_of
from agentgym.vector.native import NativeVectorEnv, Seeds
from agentgym.vector.step import Step

__all__ = ["FisheryVectorEnv"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class FisheryVectorEnv(NativeVectorEnv):
    """N fisheries; arguments as in :class:`agentgym.envs.fisheries.env.FisheryEnv`.

    Every world draws three normal numbers a step, whatever the noise, so worlds of one seed share their luck.
    """

    reset_options = ("parameters", "stock")
    exact = True  # every world has its own generator, and is computed by itself

    def __init__(
        self,
        num_envs: int = 1,
        model: str = "logistic",
        sigma: float = 0.0,
        noise: str = "lognormal",
        measurement_sigma: float = 0.0,
        spread: float = 0.0,
        drift: float = 0.0,
        parameters: dict[str, float] | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
    ) -> None:
        self.growth = growth(model)
        if parameters is not None and not isinstance(parameters, dict):
            raise InvalidParameter(f"parameters is a dictionary of names and numbers, not {parameters!r}.")
        self.nominal = {**self.growth.parameters, **self.growth.checked(parameters or {})}
        self.sigma = finite_number("sigma", sigma, 0.0)
        self.measurement_sigma = finite_number("measurement_sigma", measurement_sigma, 0.0)
        self.spread, self.drift = finite_number("spread", spread, 0.0), finite_number("drift", drift)
        if noise not in ("lognormal", "normal"):
            raise UnknownId("growth noise", str(noise), ("lognormal", "normal"))
        self.noise = noise
        super().__init__(
            num_envs, spaces.Box(0.0, np.inf, (1,), np.float32), spaces.Box(-1.0, 1.0, (1,), np.float32),
            autoreset_mode, max_episode_steps,
        )  # fmt: skip
        self._set = [dict(self.nominal) for _ in range(num_envs)]
        self._now = [dict(self.nominal) for _ in range(num_envs)]
        self._stock = np.full(num_envs, self.growth.start)
        self._seen = np.zeros((num_envs, 1), np.float32)
        self._luck: list[np.random.Generator | None] = [None] * num_envs

    @property
    def parameter_ranges(self) -> dict[str, tuple[float, float]]:
        """The uncertainty set: half to one and a half times the model's values."""
        return self.growth.parameter_ranges

    def _checked_options(self, options: dict[str, Any], chosen: Mask) -> dict[str, Any]:
        checked: dict[str, Any] = {}
        if "parameters" in options:
            given = options["parameters"]
            if not isinstance(given, dict):
                raise InvalidParameter(f"parameters is a dictionary of names and numbers, not {given!r}.")
            columns = {name: self._column(name, values) for name, values in given.items()}
            checked["parameters"] = [
                {**self.nominal, **self.growth.checked({name: column[n] for name, column in columns.items()})}
                if chosen[n] else {} for n in range(self.num_envs)
            ]  # fmt: skip
        if "stock" in options:
            column = self._column("stock", options["stock"])
            checked["stock"] = [finite_number("stock", value, 0.0, above=True) for value in column]
        return checked

    def _column(self, name: str, values: Any) -> list[Any]:
        each = np.asarray(values, dtype=object)
        if each.shape not in ((), (self.num_envs,)):
            raise InvalidParameter(f"{name} is a number or one a world, {self.num_envs}, not {values!r}.")
        return np.broadcast_to(each, self.num_envs).tolist()

    def _start(self, chosen: Mask, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        for n in np.flatnonzero(chosen).tolist():
            own = self._luck[n]
            if own is None or seeds[n] is not None:
                seed = self._seeds[n]  # the batch has given one to every world that had none
                assert seed is not None
                own = self._luck[n] = stream(seed, "fishery")
            if "parameters" in options:
                self._set[n] = options["parameters"][n]
            self._now[n] = dict(self._set[n])
            if self.spread:
                for name, draw in zip(("r", "K"), own.standard_normal(2), strict=True):
                    self._now[n][name] = self._set[n][name] * max(0.05, 1.0 + self.spread * draw)
            self._stock[n] = options["stock"][n] if "stock" in options else self.growth.start
            self._look(n, own.standard_normal())
        return infos_of(chosen, stock=self._stock.copy())

    def _advance(self, actions: Any, active: Mask) -> Step:
        harvest = np.zeros(self.num_envs)
        for n in np.flatnonzero(active).tolist():
            own, now = self._luck[n], self._now[n]
            assert own is not None
            draws = own.standard_normal(3)
            quota = (float(np.clip(actions[n, 0], -1.0, 1.0)) + 1.0) * self.nominal["K"]
            harvest[n] = min(self._stock[n], quota)
            left = self._stock[n] - harvest[n]
            after = float(self.growth.after(left, **now))
            if self.noise == "lognormal":
                after *= float(np.exp(self.sigma * draws[0] - 0.5 * self.sigma**2))
            else:
                after = max(0.0, after + self.sigma * left * draws[0])
            self._stock[n] = after
            now["r"] = max(0.0, now["r"] + self.drift)
            self._look(n, draws[1])
        infos = infos_of(active, stock=self._stock.copy(), harvest=harvest)
        return Step(harvest, self._stock <= 0.0, None, infos)

    def _look(self, n: int, draw: float) -> None:
        """The stock as it is measured, in units of the nominal K."""
        measured = self._stock[n] * (1.0 + self.measurement_sigma * draw)
        self._seen[n, 0] = max(0.0, measured) / self.nominal["K"]

    def _observe(self) -> Any:
        return self._seen.copy()

    def _state(self) -> dict[str, Any]:
        return {
            "stock": self._stock.tolist(), "seen": self._seen.tolist(), "set": [dict(each) for each in self._set],
            "now": [dict(each) for each in self._now],
            "luck": [None if each is None else state_of(each) for each in self._luck],
        }  # fmt: skip

    def _set_state(self, state: dict[str, Any]) -> None:
        try:
            stock, seen = np.array(state["stock"], np.float64), np.array(state["seen"], np.float32)
            fixed, now = ([dict(each) for each in state[name]] for name in ("set", "now"))
            luck = list(state["luck"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidParameter(f"This is no state of {type(self).__name__} ({error!r}).") from error
        if not len(stock) == len(seen) == len(fixed) == len(now) == len(luck) == self.num_envs:
            raise InvalidParameter(f"The state is of another number of worlds than these {self.num_envs}.")
        generators = [None if each is None else np.random.default_rng(0) for each in luck]
        for generator, each in zip(generators, luck, strict=True):
            if generator is not None:
                restore(generator, each)
        self._stock, self._seen, self._set, self._now, self._luck = stock, seen, fixed, now, generators
