"""The wrapper that perturbs a batch of environments."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.layers import Layer, as_perturbations, dynamics_edits, types_inside
from agentgym.envs.perturb.runtime import Runtime
from agentgym.envs.perturb.signal import ALL, Array, Flags, Where, Worlds
from agentgym.envs.perturb.spaces import Codec
from agentgym.errors import InvalidParameter
from agentgym.vector.resets import world_seeds

__all__ = ["PerturbedVectorEnv", "autoreset_mode"]


class PerturbedVectorEnv(VectorWrapper[Any, Any, Any, Any, Any], Layer):
    """A batch of environments, each perturbed independently; created by :func:`perturb`.

    World i is bit-equal to :class:`PerturbedEnv` with world i's seed, in every autoreset mode. ``infos`` holds the same
    values as arrays with one entry per world, for the action taken, the reward and the observation that the step
    returns. If a world ends its episode within the step (``SAME_STEP``), ``infos["final_obs"]`` is perturbed as the
    last observation of the old episode, and ``infos["final_info"]["perturbed"]`` refers to it.

    Args:
        env: the batch to wrap; its metadata must have its ``autoreset_mode``.
        perturbations: effects or their configurations, innermost first.
        true_observation: whether to put the true observations into ``infos``.

    Raises:
        InvalidParameter: an effect does not support these environments, or their autoreset mode is unknown.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        perturbations: Iterable[Perturbation | Mapping[str, Any]],
        true_observation: bool = False,
    ) -> None:
        super().__init__(env)
        self.perturbations = as_perturbations(perturbations)
        worlds = env.num_envs
        self._mode = autoreset_mode(env)
        self._observations = Codec(env.single_observation_space, "observation", worlds, env.observation_space)
        self._actions = Codec(env.single_action_space, "action", worlds, env.action_space)
        self._runtime = Runtime(
            self.perturbations, types_inside(env), self._observations.signal, self._actions.signal, worlds
        )
        self._edits = dynamics_edits(self, env, self.perturbations)
        self._true_observation = true_observation
        self._resets_next = np.zeros(worlds, bool)  # NEXT_STEP: the worlds whose next step is a reset
        self._delivered: Array | None = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes in all worlds, or in those of ``options["reset_mask"]``.

        Args:
            seed: s gives world i the seed s + i; a list gives each its own (None: its streams continue).
            options: passed to the environments.
        """
        mask = (options or {}).get("reset_mask")
        # A copy, because Gymnasium's batches remove "reset_mask" from the dictionary they are given.
        options = None if options is None else dict(options)
        self._edits.apply()
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        self._edits.check()
        chosen = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        worlds: Worlds = ALL if len(chosen) == self.num_envs else chosen
        seeds = world_seeds(seed, self.num_envs)
        self._runtime.reseed(chosen.tolist(), [seeds[world] for world in chosen])
        self._runtime.new_step()
        self._runtime.begin(worlds)
        self._resets_next[worlds] = False
        infos = dict(infos)
        if self._true_observation:
            infos.setdefault("true_observation", observations)
        if self._runtime.watches_observations:
            observations = self._deliver(self._partly_seen(self._observations.pack(observations), worlds))
        return observations, self._report(infos)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every world with its perturbed action.

        Raises:
            InvalidAction: an action has NaN, infinity, or another shape or type than the space's; nothing was stepped.
            ResetNeeded: there has been no reset.
        """
        runtime = self._runtime
        if not runtime.ready:
            raise ResetNeeded("Call reset() for every world before step().")
        packed = self._actions.check_action(actions)
        runtime.new_step()
        resetting = np.count_nonzero(self._resets_next) > 0
        stepping: Worlds = np.flatnonzero(~self._resets_next) if resetting else ALL
        if runtime.changes_actions:
            actions = self._actions.unpack(_changed(runtime.act, packed, stepping))
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        if self._edits.watched:
            self._edits.check()
        infos = dict(infos)
        done = terminations | truncations
        ends = self._mode is AutoresetMode.SAME_STEP and bool(done.any())
        if runtime.changes_rewards:
            infos["true_reward"] = _true_reward(infos, rewards, done & ends)
            changed = _changed(runtime.reward, rewards.astype(np.float64, copy=False), stepping)
            rewards = changed.astype(rewards.dtype, copy=False)
        runtime.advance(stepping)
        if resetting:
            runtime.begin(np.flatnonzero(self._resets_next))
        observations = self._seen(observations, infos, np.flatnonzero(done) if ends else None)
        if self._mode is AutoresetMode.NEXT_STEP:
            self._resets_next = done
        return observations, rewards, terminations, truncations, self._report(infos)

    def get_state(self) -> dict[str, Any]:
        """The state that determines the future. The inner environment must have a ``get_state`` too.

        Raises:
            InvalidParameter: there are effects on the dynamics, whose state is in the simulator.
        """
        return {"env": self._inside().get_state(), "perturbations": self._runtime.get_state(),
                "resets_next": self._resets_next.copy(), "delivered": self._delivered}  # fmt: skip

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`get_state` returned.

        Raises:
            InvalidParameter: the state is of other worlds.
        """
        self._inside().set_state(state["env"])
        self._runtime.set_state(state["perturbations"])
        self._resets_next, self._delivered = np.array(state["resets_next"]), state["delivered"]

    def _inside(self) -> Any:
        if self._runtime.constant:
            raise InvalidParameter(
                f"The state of effects on the dynamics ({', '.join(self._runtime.constant)}) cannot be saved."
            )
        return self.env if isinstance(self.env, PerturbedVectorEnv) else self.env.unwrapped

    def close(self, **kwargs: Any) -> None:
        """Undo the effects on the dynamics and close the environments."""
        self._edits.undo()
        self.env.close(**kwargs)

    def _seen(self, observations: Any, infos: dict[str, Any], over: Array | None) -> Any:
        """Perturb observations; in the worlds ``over`` an episode has ended and another started within this step."""
        runtime = self._runtime
        if self._true_observation:
            infos.setdefault("true_observation", observations)
        if over is None:
            if not runtime.watches_observations:
                return observations
            return self._deliver(runtime.observe(self._observations.pack(observations)))
        if not runtime.watches_observations:
            self._finish(infos)
            runtime.begin(over)
            return observations
        fresh = self._observations.pack(observations)
        infos["final_obs"], last = self._final(fresh, infos, over)
        self._finish(infos)
        runtime.begin(over)
        last[over] = runtime.observe(fresh[over], over)
        return self._deliver(last)

    def _final(self, fresh: Array, infos: dict[str, Any], over: Array) -> tuple[Any, Array]:
        """The perturbed last observations as ``final_obs``, combined with those of the worlds that continue."""
        if "final_obs" not in infos:
            raise InvalidParameter(
                f"{self.env} resets within the step but provides no infos['final_obs'], the old episode's last "
                "observation. Use AutoresetMode.NEXT_STEP, or an environment that provides it."
            )
        last = fresh.copy()
        for world in over:
            last[world] = infos["final_obs"][world]
        last = np.array(self._runtime.observe(last))
        final = infos["final_obs"].copy()
        for world in over:
            final[world] = np.array(last[world]) if last.ndim > 1 else last[world]
        return final, last

    def _finish(self, infos: dict[str, Any]) -> None:
        """Record in ``final_info`` what fired in the last step of the old episode."""
        infos["final_info"] = self._report(dict(infos.get("final_info", {})))

    def _partly_seen(self, packed: Array, worlds: Worlds) -> Array:
        """The observations after a reset of ``worlds``; in the others, the last ones."""
        if worlds is ALL:
            return self._runtime.observe(packed)
        seen = np.array(packed if self._delivered is None else self._delivered)
        seen[worlds] = self._runtime.observe(packed[worlds], worlds)
        return seen

    def _deliver(self, packed: Array) -> Any:
        self._delivered = packed.copy()
        return self._observations.unpack(packed)

    def _report(self, infos: dict[str, Any]) -> dict[str, Any]:
        runtime = self._runtime
        infos["perturbed"] = {**infos.get("perturbed", {}), **self._flags({**runtime.fired, **runtime.constant})}
        if runtime.clipped:
            infos["perturbed_clipped"] = {**infos.get("perturbed_clipped", {}), **self._flags(runtime.clipped)}
        if truths := runtime.truths:
            infos["faults"] = {**infos.get("faults", {}), **truths}
        return infos

    def _flags(self, table: Mapping[str, Where]) -> dict[str, Flags]:
        """The flags [N] of a table, in memory of their own."""
        return {name: np.full(self.num_envs, where, bool) for name, where in table.items()}


def _changed(change: Any, values: Array, worlds: Worlds) -> Array:
    """``values`` [N, ...] with ``change(rows, worlds)`` applied to the rows of ``worlds``."""
    if isinstance(worlds, slice):
        return np.asarray(change(values, worlds))
    changed = values.copy()
    if len(worlds):  # otherwise all worlds reset
        changed[worlds] = change(values[worlds], worlds)
    return changed


def _true_reward(infos: dict[str, Any], rewards: Array, ended: Flags) -> Array:
    """The environment's rewards of this step, also in worlds whose ``infos`` are already of the next episode."""
    if "true_reward" not in infos:
        return rewards.copy()
    true = np.array(infos["true_reward"])
    missing = ended & ~infos.get("_true_reward", np.ones(len(true), bool))  # SyncVectorEnv's mask of its worlds' infos
    if missing.any():
        true[missing] = infos["final_info"]["true_reward"][missing]
    return true


def autoreset_mode(env: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    """The autoreset mode in a batch's metadata.

    Raises:
        InvalidParameter: it is missing.
    """
    mode = env.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise InvalidParameter(
            f"The autoreset mode of {env} is unknown: its metadata['autoreset_mode'] is {mode!r}. "
            "Set it to a gymnasium.vector.AutoresetMode."
        )
    return mode
