"""The base class of agents that control a joint environment with parameters shared by all of its agents."""

import inspect
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pettingzoo import ParallelEnv
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

from agentgym.agents.common.constructor import configured
from agentgym.agents.common.inventory import Part
from agentgym.agents.common.saving import Savable, SavedAgent
from agentgym.agents.marl.layout import Layout
from agentgym.agents.marl.shared.agents_as_envs import AgentsAsEnvs
from agentgym.agents.marl.shared.learner import SharedLearner
from agentgym.contracts.agent import Traits
from agentgym.contracts.finite import require_finite
from agentgym.errors import SpaceMismatch
from agentgym.multi_agent import JointEnv
from agentgym.runs.state import Inventory
from agentgym.wrappers.preprocessing import Preprocessing

__all__ = ["JointPolicy", "SharedAgent"]


class SharedAgent(Savable):
    """Controls every agent of a joint environment with one policy, trained on the steps of all (parameter sharing).

    To its users it is an agent in Stable-Baselines3's shape on the joint spaces. ``num_timesteps``, the argument of
    :meth:`learn` and everything logged or scheduled count steps of joint environments, independent of the number of
    agents in each. ``n_steps`` also counts steps of each joint environment.

    Args:
        policy: ``"MlpPolicy"``.
        env: a joint environment, single or batched (the card lists the attributes it needs), its id, or a
            PettingZoo ``ParallelEnv``.
        **keywords: fields of ``Config``, documented there, and the other arguments of the learner's constructor.

    Attributes:
        layout: which part of the joint spaces belongs to which agent.
        learner: the agent on a single agent's spaces that does the training.
        policy: the policy on joint observations.

    Raises:
        InvalidParameter: the environment is not a joint one, or its attributes do not fit together.
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[type[Any]]
    __signature__: ClassVar[inspect.Signature]
    traits: ClassVar[Traits] = Traits(resizable=True)
    Learner: ClassVar[type[SharedLearner]]

    def __init_subclass__(cls) -> None:
        cls.__signature__ = cls.Learner.__signature__

    def __init__(self, policy: Any, env: Any, **keywords: Any) -> None:
        _, config = configured(self.Config, keywords)
        venv = self._wrap_env(env, keywords.get("verbose", 0))
        layout = Layout.of(venv)
        pair = layout.to_json()["mirror"] if config.mirror else None
        keywords["policy_kwargs"] = {**(keywords.get("policy_kwargs") or {}), "mirror": pair}
        self._take(layout, self.Learner(policy, AgentsAsEnvs(venv, layout), **keywords))
        self.action_space.seed(self.learner.seed)

    def _take(self, layout: Layout, learner: SharedLearner) -> None:
        self.layout, self.learner = layout, learner
        self.policy = JointPolicy(layout, learner.policy)
        learner.caller = self

    # Spaces and environments

    @property
    def observation_space(self) -> Any:
        """The joint observation space: a Box of floats."""
        return self.layout.observation_space

    @property
    def action_space(self) -> Any:
        """The joint action space: a Box [A] or [A, a]."""
        return self.layout.action_space

    @property
    def n_envs(self) -> int:
        """The number of joint environments."""
        return self.learner.n_envs // self.layout.agents

    @classmethod
    def _wrap_env(cls, env: Any, verbose: int = 0) -> VecEnv:
        return cls.Learner._wrap_env(JointEnv(env) if isinstance(env, ParallelEnv) else env, verbose)

    @classmethod
    def _agents_of(cls, env: Any, layout: Layout, verbose: int = 0) -> AgentsAsEnvs:
        venv = cls._wrap_env(env, verbose)
        layout.require_same(Layout.of(venv))
        return AgentsAsEnvs(venv, layout)

    def get_env(self) -> VecEnv | None:
        """The joint environments."""
        return None if self.learner.env is None else self.learner.agents.venv

    def get_vec_normalize_env(self) -> VecNormalize | None:
        """The ``VecNormalize`` around the joint environments, if any."""
        return self.learner.get_vec_normalize_env()

    @property
    def saved_preprocessing(self) -> Preprocessing | None:
        """The preprocessing of joint observations with which the agent was saved."""
        return self.learner.saved_preprocessing

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Continue with other joint environments of the same layout and number.

        Raises:
            SpaceMismatch: spaces, windows or mirror differ.
        """
        self.learner.set_env(self._agents_of(env, self.layout, self.learner.verbose), force_reset)

    # Acting

    def acting_in(self, env: Any) -> Self:
        """The same policy for another joint environment, whose agents have the same windows and actions.

        Args:
            env: single or batched; the number of agents may differ.

        Raises:
            InvalidParameter: not a joint environment.
            SpaceMismatch: its agents' observations or actions differ.
        """
        layout = Layout.of_environment(env)
        for what, own, its in (
            ("observation space", self.layout.own_observation_space, layout.own_observation_space),
            ("action space", self.layout.own_action_space, layout.own_action_space),
        ):
            if own != its:
                raise SpaceMismatch(f"This policy's {what} is {own}; the environment's is {its}.")
        agent = type(self).__new__(type(self))
        agent.layout, agent.learner = layout, self.learner
        agent.policy = JointPolicy(layout, self.learner.policy)
        return agent

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """All agents' actions for joint observations.

        Args:
            observation: of one joint environment, or of n with a leading axis.
            state, episode_start: not used; the policy has no memory.
            deterministic: return the policy's mode instead of a sample.

        Returns:
            joint actions of one environment or of n, and ``state``.

        Raises:
            SpaceMismatch: another shape.
            NonFinite: it has NaN or infinity.
        """
        observation, shape = np.asarray(observation), self.observation_space.shape
        single = observation.shape == shape
        if not single and observation.shape[1:] != shape:
            raise SpaceMismatch(f"Joint observations are {list(shape)} or [n, ...], not {list(observation.shape)}.")
        require_finite("The joint observation", observation)
        windows = self.layout.split(observation[None] if single else observation)
        actions, _ = self.learner.predict(windows, deterministic=deterministic)
        joint = self.layout.join(actions)
        return (joint[0] if single else joint), state

    # Learning

    def learn(self, total_timesteps: int, *arguments: Any, **keywords: Any) -> Self:
        """Train for ``total_timesteps`` steps of joint environments; arguments as in Stable-Baselines3.

        Callbacks get this agent as their ``model``.

        Raises:
            NonFinite: a loss, an observation, a reward, an action or a weight became NaN or infinite.
        """
        self.learner.learn(total_timesteps, *arguments, **keywords)
        return self

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the global generators, the environments and the action space."""
        self.learner.set_random_seed(seed)
        self.action_space.seed(None if seed is None else int(seed))

    @property
    def num_timesteps(self) -> int:
        """Steps of joint environments so far."""
        return self.learner.num_timesteps

    @property
    def ep_info_buffer(self) -> Any:
        """Returns and lengths of the last episodes, those of worlds."""
        return self.learner.ep_info_buffer

    @property
    def logger(self) -> Logger:
        """The logger, with the latest update's metrics in it."""
        return self.learner.logger

    def set_logger(self, logger: Logger) -> None:
        """Log there from now on."""
        self.learner.set_logger(logger)

    @property
    def device(self) -> torch.device:
        """The device of the policy."""
        return self.learner.device

    # Saving

    def parts(self) -> dict[str, Part]:
        """The learner's networks and optimisers."""
        return self.learner.parts()

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on."""
        return self.learner.inventory()

    def about(self) -> dict[str, Any]:
        """The learner's values of :meth:`Savable.about`, plus the layout."""
        return {**self.learner.about(), "joint": self.layout.to_json()}

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        layout = Layout.from_json(saved.values.get("joint"))
        agents = None if env is None else cls._agents_of(env, layout)
        agent = cls.__new__(cls)
        agent._take(layout, cls.Learner._made_again(saved, agents, device, arguments))
        return agent


class JointPolicy:
    """Applies a single-agent policy to all agents of joint observations; gradients reach the observations.

    Args:
        layout: which entries each agent observes.
        own: the single-agent policy, on windows [B, F].
    """

    def __init__(self, layout: Layout, own: Any) -> None:
        self.own, self.agents = own, layout.agents
        self._windows = torch.as_tensor(layout.windows, dtype=torch.int64, device=own.device)

    def get_distribution(self, observations: Tensor) -> DiagGaussianDistribution:
        """The distribution of the joint actions [n, A * a], given joint observations [n, ...]."""
        windows = observations.flatten(1)[:, self._windows].flatten(0, 1)
        own: Any = self.own.get_distribution(windows)
        means = own.distribution.mean.reshape(len(observations), -1)
        joint = DiagGaussianDistribution(means.shape[1])
        return joint.proba_distribution(means, self.own.log_std.repeat(self.agents))

    def set_training_mode(self, mode: bool) -> None:
        """As :meth:`stable_baselines3.common.policies.BasePolicy.set_training_mode`."""
        self.own.set_training_mode(mode)
