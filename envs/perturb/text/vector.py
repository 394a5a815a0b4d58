"""The wrapper that perturbs a batch of text environments."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.layers import Layer, as_perturbations, dynamics_edits, types_inside
from agentgym.envs.perturb.text.stack import EffectStack, check_command, checked_effects, widened
from agentgym.envs.perturb.vector import autoreset_mode
from agentgym.errors import InvalidAction, InvalidParameter
from agentgym.vector.infos import join_infos, split_infos
from agentgym.vector.resets import world_seeds

__all__ = ["PerturbedTextVectorEnv"]

Texts = tuple[str, ...]


class PerturbedTextVectorEnv(VectorWrapper[Any, Any, Any, Any, Any], Layer):
    """A batch of text environments, each perturbed independently.

    World i equals ``PerturbedTextEnv`` with world i's seed, in every autoreset mode. ``infos`` holds the same values as
    arrays with masks. With ``SAME_STEP``, ``infos["final_obs"]`` and ``infos["final_info"]`` are perturbed as the last
    of the old episode.

    Args:
        env: the batch to wrap; its metadata must have its ``autoreset_mode``.
        perturbations: effects or their configurations, innermost first.
        true_observation: whether to put the true observations into ``infos``.

    Raises:
        InvalidParameter: an effect does not support these environments, their autoreset mode is unknown, or they cannot
            be accessed (another process).
    """

    stacks: list[EffectStack]

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        perturbations: Iterable[Perturbation | Mapping[str, Any]],
        true_observation: bool = False,
    ) -> None:
        super().__init__(env)
        spaces = env.single_observation_space, env.single_action_space
        effects = checked_effects(as_perturbations(perturbations), *spaces)
        self.perturbations = effects
        self._mode = autoreset_mode(env)
        self._edits = dynamics_edits(self, env, ())
        self.single_observation_space, self.single_action_space = (widened(space, effects) for space in spaces)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self.action_space = batch_space(self.single_action_space, env.num_envs)
        under: Sequence[Any] = [()] * env.num_envs
        if isinstance(env, PerturbedTextVectorEnv):
            under = [stack.all_processes for stack in env.stacks]
        self.stacks = [
            EffectStack(effects, types_inside(env), world, inner, true_observation)
            for world, inner in zip(_worlds(env), under, strict=True)
        ]
        self._texts = [""] * env.num_envs
        self._resets_next = np.zeros(env.num_envs, bool)  # NEXT_STEP: the worlds whose next step is a reset

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Texts, dict[str, Any]]:
        """Start episodes in all worlds, or in those of ``options["reset_mask"]``."""
        mask = (options or {}).get("reset_mask")
        # A copy, because Gymnasium's batches remove "reset_mask" from the dictionary they are given.
        texts, infos = self.env.reset(seed=seed, options=None if options is None else dict(options))  # type: ignore[arg-type]
        seeds = world_seeds(seed, self.num_envs)
        split: list[dict[str, Any] | None] = [*split_infos(infos, self.num_envs)]
        for n in range(self.num_envs):
            if mask is not None and not mask[n]:
                split[n] = None
                continue
            self.stacks[n].reseed(seeds[n])
            self._texts[n], split[n] = self.stacks[n].begin(texts[n], split[n] or {})
            self._resets_next[n] = False
        return tuple(self._texts), join_infos(split)

    def step(self, actions: Sequence[str]) -> tuple[Texts, Any, Any, Any, dict[str, Any]]:
        """Step every world with its perturbed command.

        Raises:
            InvalidAction: there are not N actions, or one is not a string; then no world is stepped.
            ResetNeeded: there has been no reset.
        """
        if not all(stack.seeded for stack in self.stacks):
            raise ResetNeeded("Call reset() for every world before step().")
        if isinstance(actions, str) or not hasattr(actions, "__len__") or len(actions) != self.num_envs:
            raise InvalidAction(f"{self.num_envs} worlds need as many commands, one string each, not {actions!r}.")
        for action in actions:
            check_command(action)
        commands = tuple(
            action if resets else stack.act(action)
            for stack, action, resets in zip(self.stacks, actions, self._resets_next, strict=True)
        )
        texts, rewards, terminated, truncated, infos = self.env.step(commands)
        over = np.asarray(terminated) | np.asarray(truncated)
        restarted = over if self._mode is AutoresetMode.SAME_STEP else np.zeros_like(over)
        split = split_infos(infos, self.num_envs)
        for n, stack in enumerate(self.stacks):
            info = split[n]
            if restarted[n]:
                last, final = stack.see(info.pop("final_obs"), info.pop("final_info"), over=True)
                self._texts[n], info = stack.begin(texts[n], info)
                info |= {"final_obs": last, "final_info": final}
            elif self._resets_next[n]:
                self._texts[n], info = stack.begin(texts[n], info)
            else:
                self._texts[n], info = stack.see(texts[n], info, bool(over[n]))
            split[n] = info
        if self._mode is AutoresetMode.NEXT_STEP:
            self._resets_next = over
        return tuple(self._texts), rewards, terminated, truncated, join_infos(split)

    def outward(self, command: str, world: int = 0) -> str:
        """The agent's wording of a world's ``command``."""
        inner = getattr(self.env, "outward", None)
        return self.stacks[world].outward(command if inner is None else inner(command, world))


def _worlds(env: VectorEnv[Any, Any, Any]) -> list[Any]:
    """The unwrapped single environments of a batch.

    Raises:
        InvalidParameter: they cannot be accessed.
    """
    base = env.unwrapped
    worlds = base.envs if isinstance(base, SyncVectorEnv) else getattr(base, "worlds", None)
    if worlds is None:
        raise InvalidParameter(
            f"{type(base).__name__} does not expose its worlds. Perturb each world before they are batched, "
            "env_fns=[lambda: perturb(gymnasium.make(ID), ...)], or batch them with SyncVectorEnv."
        )
    return [world.unwrapped for world in worlds]
