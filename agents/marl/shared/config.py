"""Hyperparameters of the agents with shared parameters. The card gives the sources."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from agentgym.agents.common.activations import Activation
from agentgym.agents.common.constructor import on_policy_arguments
from agentgym.agents.common.hyperparameters import RULES, Checked, Rule, either, flag, real, whole
from agentgym.contracts.settings import Preset
from agentgym.errors import InvalidParameter

__all__ = ["SharedGradientConfig", "SharedMDPOConfig", "SharedPPOConfig"]


@dataclass
class SharedPPOConfig(Checked):
    """Proximal Policy Optimization; a sample is one step of one agent."""

    # Sharing
    mirror: bool = True  # make the policy equivariant to the environment's reflection, if it has one

    # Collection
    n_steps: int = 25  # steps per world and iteration
    bootstrap_time_limits: bool = True  # False: a time limit counts as the end
    normalize: bool = False  # scale observations and rewards to unit variance; not together with mirror

    # Optimisation
    learning_rate: float = 1e-3  # of Adam
    learning_rate_end: float = 1e-4  # reached linearly at the end of training
    n_epochs: int = 10  # passes over the samples of an iteration
    batch_size: int = 1000  # samples
    clip_range: float = 0.2  # the ratio of new to old probability is clipped to 1 -+ this
    normalize_advantage: bool = True  # to mean 0 and standard deviation 1 in every batch
    ent_coef: float = 0.0  # weight of the entropy in the loss
    vf_coef: float = 0.5  # weight of the value's error in the loss
    max_grad_norm: float = 0.5  # largest norm of the gradient

    # Returns
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95  # 0: one-step advantages; 1: whole returns

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    value_layers: tuple[int, ...] = (64, 64)  # hidden units of the value network
    activation: Activation = "tanh"  # of the hidden layers
    orthogonal: bool = True  # orthogonal initial weights
    initial_std: float = 0.5  # standard deviation of the untrained policy's actions

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`, for the learner."""
        return _arguments(vars(self))


def _folder(value: Any) -> str:
    return "" if isinstance(value, str | os.PathLike) else "a folder, or an empty text"


def _texts(value: Any) -> str:
    good = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    return "" if good else "a tuple of texts"


@dataclass
class SharedGradientConfig(SharedPPOConfig):
    """The gradient through the environment, after shared PPO or on its own; fields of PPO apply to its stage."""

    # Stages
    start: str = ""  # folder of a run, or of a saved agent, with a shared policy to begin with
    merge_steps: int = 0  # steps of shared PPO at first, from mixed starts; then the gradient
    distill_rounds: int = 0  # at the end, rounds of imitation by which one network learns both policies; 0: none

    # Worlds
    worlds: int = 8  # environments of a run, if --num-envs does not say otherwise
    gradient_worlds: int = 8  # in which an episode is played for the gradient
    starts: tuple[str, ...] = ()  # reset options `start` of these worlds in turn; empty: the environment's own
    switch: bool = False  # the policy of the beginning acts, without learning, unless wavenumber 1 dominates

    # Gradient
    window: int = 20  # steps that a gradient reaches back
    lead: int = 20  # steps without a gradient at the start of an episode
    detached: int = 0  # last steps of a window whose rewards count but whose actions get no gradient
    gradient_rate: float = 2e-3  # of Adam
    gradient_rate_end: float = 1e-4  # reached linearly at the end of the stage
    gradient_norm: float = 0.05  # the gradient's largest norm, in units of reward
    action_clip: float = 3.0  # an action's gradient, by world, is at most this times the running median; 0: no limit
    average: float = 0.05  # weight of new weights in their running average, which is validated; 0: no average

    # Selection, by episodes with seeds of their own
    validation_worlds: int = 8  # from each start
    validate_every: int = 1  # episodes

    # Imitation (DAgger)
    distill_worlds: int = 16  # environments in which imitation is practised
    distill_updates: int = 1500  # in each round
    distill_rate: float = 1e-3  # of Adam; falls to a tenth in each round

    rules: ClassVar[Mapping[str, Rule]] = {
        **RULES,
        "normalize": lambda value: "" if value is False else "False: weights are averaged, statistics not",
        "start": _folder, "starts": _texts, "merge_steps": whole(0), "distill_rounds": either(whole(2), 0),
        "worlds": whole(1), "gradient_worlds": whole(1),
        "switch": flag, "window": whole(1), "lead": whole(0), "detached": whole(0),
        "gradient_rate": real(0, beyond=True), "gradient_rate_end": real(0), "gradient_norm": real(0, beyond=True),
        "action_clip": real(0), "average": real(0, 1), "validation_worlds": whole(1), "validate_every": whole(1),
        "distill_worlds": whole(1), "distill_updates": whole(1), "distill_rate": real(0, beyond=True),
    }  # fmt: skip
    presets: ClassVar[Mapping[str, Preset]] = {
        "merged": Preset(
            "convection with one pair of rolls: shared PPO merges, the gradient goes on, one network learns both; "
            "with --env-kwargs start=mixed",
            {"merge_steps": 70_000, "gamma": 0.998, "worlds": 32, "switch": True, "distill_rounds": 4,
             "starts": ("two-pair", "one-pair", "one-pair", "one-pair")},
        ),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.start, self.starts = os.fspath(self.start), tuple(self.starts)
        if self.detached >= self.window:
            raise InvalidParameter(f"detached is {self.detached}; it must be below the window, {self.window}.")
        if self.start and self.merge_steps:
            raise InvalidParameter("start and merge_steps exclude each other: begin with a policy, or make one by PPO.")
        if self.distill_rounds and not self.switch:
            raise InvalidParameter("distill_rounds needs switch=True: without it there is one network already.")


@dataclass
class SharedMDPOConfig(Checked):
    """On-policy Mirror Descent Policy Optimization; a sample is one step of one agent."""

    # Sharing
    mirror: bool = True  # make the policy equivariant to the environment's reflection, if it has one

    # Collection
    n_steps: int = 25  # steps per world and iteration
    bootstrap_time_limits: bool = True  # False: a time limit counts as the end
    normalize: bool = False  # scale observations and rewards to unit variance; not together with mirror

    # Policy
    policy_steps: int = 40  # m, gradient steps per iteration, each on all samples
    divergence: Literal["new||old", "old||new"] = "new||old"  # direction of the KL
    tsallis_q: float = 1.0  # 1: KL; up to 2: the Bregman divergence of Tsallis entropy
    max_grad_norm: float = 0.5  # largest norm of the gradient

    # Value
    value_epochs: int = 10  # passes over an iteration's samples for the value
    value_batch_size: int = 1000  # samples
    clip_values: bool = False  # keep new values within 0.2 t_k of the old
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95  # 0: one-step advantages; 1: whole returns

    # Optimisation
    learning_rate: float = 1e-3  # of policy and value
    learning_rate_end: float = 1e-4  # reached linearly at the end of training

    # Networks
    actor_layers: tuple[int, ...] = (64, 64)  # hidden units of the actor, layer by layer
    value_layers: tuple[int, ...] = (64, 64)  # hidden units of the value network
    activation: Activation = "tanh"  # of the hidden layers
    orthogonal: bool = True  # orthogonal initial weights
    initial_std: float = 0.5  # standard deviation of the untrained policy's actions

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`, for the learner."""
        arguments = _arguments(vars(self))
        arguments["clip_range_vf"] = 0.2 if arguments.pop("clip_values") else None
        return arguments


def _arguments(fields: dict[str, Any]) -> dict[str, Any]:
    arguments = on_policy_arguments({name: value for name, value in fields.items() if name != "mirror"})
    arguments["policy_kwargs"]["log_std_init"] = math.log(arguments.pop("initial_std"))
    return arguments
