"""The base of learners for teams: joint environments, masks of agents that have left, the learning loop, saving."""

import inspect
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from pettingzoo import ParallelEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import get_device, safe_mean, set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

from agentgym.agents.common.environments import made
from agentgym.agents.common.inventory import Part, attributes, generator, learned, statistics
from agentgym.agents.common.learners_env import copy_what_may_change
from agentgym.agents.common.own_loop import OwnLoop
from agentgym.agents.common.saving import SavedAgent, description
from agentgym.agents.common.vector_env import VectorEnvAdapter
from agentgym.agents.marl.teams.layout import TeamLayout
from agentgym.contracts.agent import Traits
from agentgym.contracts.finite import is_finite, require_finite
from agentgym.contracts.settings import from_settings, number_of_steps, whole_number
from agentgym.errors import InvalidParameter, NonFinite, SpaceMismatch
from agentgym.multi_agent import JointEnv
from agentgym.runs.state import Inventory
from agentgym.seeding import entropy, episode_seed

__all__ = ["TeamAgent", "TeamDistribution", "TeamPolicy", "TeamStep"]

COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates")
EPISODES = 100  # of the statistics in the log
LARGEST_ENTROPY = 2**128 - 1


@dataclass
class TeamStep:
    """A step of N worlds of A agents. Entries of agents that did not act mean nothing.

    Attributes:
        windows: what the agents saw, float32 [N, A, F].
        rewards: float32 [N, A].
        acted: the agents that were alive, bool [N, A].
        terminated: bool [N, A]; there is no future to bootstrap from.
        truncated: bool [N, A]; the future is that of ``reached``.
        reached: what the agents saw after the step, before any reset, float32 [N, A, F].
    """

    windows: np.ndarray
    rewards: np.ndarray
    acted: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    reached: np.ndarray


class TeamAgent(OwnLoop):
    """Base of agents that act for a whole team on joint observations and learn with a centralised critic.

    ``num_timesteps`` counts steps of joint environments, whatever the number of agents. A subclass sets
    ``catalog_name``, ``Config`` and ``metric_names``, and implements :meth:`_build`, :meth:`_choose` and
    :meth:`_iterate`.

    Args:
        policy: "MlpPolicy". The configuration describes the networks; the argument keeps Stable-Baselines3's shape.
        env: a joint environment, single or batched (the card lists what makes it one), its id, or a PettingZoo
            ``ParallelEnv`` whose agents have equal spaces; they may leave early.
        seed: of all randomness; None draws one.
        device: "auto", "cpu" or "cuda".
        preset: name of a set of hyperparameters; ``settings`` override it.
        **settings: fields of ``Config``.

    Attributes:
        layout: which part of the joint spaces belongs to which agent.
        policy: the networks, as one module.
        optimizers: by name.

    Raises:
        InvalidParameter: the environment is not a joint one, or a setting is out of range.
        UnknownId: no such setting or preset.
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[Any]
    metric_names: ClassVar[tuple[str, ...]]
    traits: ClassVar[Traits] = Traits(sets_worlds=True)
    __signature__: ClassVar[inspect.Signature]

    policy: "TeamPolicy"
    optimizers: dict[str, torch.optim.Optimizer]
    env: VecEnv | None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if hasattr(cls, "Config"):
            cls.__signature__ = cls.Config.in_signature(TeamAgent.__init__)

    def __init__(
        self,
        policy: str = "MlpPolicy",
        env: Any = None,
        seed: int | None = None,
        device: torch.device | str = "auto",
        preset: str = "",
        **settings: Any,
    ) -> None:
        if env is None:
            raise InvalidParameter(
                f"{self.catalog_name} learns in an environment: give one, or its id. Load a trained one with load()."
            )
        self._begin(policy, seed, device, self.Config.with_preset(preset, settings))
        venv = self._wrap_env(env)
        self._make(TeamLayout.of(venv), venv.num_envs)
        self.env = venv
        venv.seed(self.seed % 2**31)
        if seed is not None:  # the learner has its own generator; environments may use the global ones
            set_random_seed(self.seed % 2**32)

    # Construction

    def _begin(self, policy: str, seed: int | None, device: torch.device | str, settings: dict[str, Any]) -> None:
        if policy != "MlpPolicy":
            raise InvalidParameter(f"{self.catalog_name} has one kind of policy, MlpPolicy; not {policy!r}.")
        self.settings: Any = from_settings(self.Config, settings, f"agent {self.catalog_name}")
        self.device = get_device(device)
        self.seed = entropy() if seed is None else whole_number("seed", seed, 0, LARGEST_ENTROPY)
        self.generator = torch.Generator(self.device).manual_seed(episode_seed(self.seed, 0))
        self._count_from_zero()
        self.env = None
        self.ep_info_buffer: Any = []
        self._seen: np.ndarray | None = None
        self._alive: np.ndarray | None = None

    def _make(self, layout: TeamLayout, n_envs: int) -> None:
        self.layout, self.n_envs = layout, n_envs
        self.observation_space, self.action_space = layout.observation_space, layout.action_space
        self.action_space.seed(episode_seed(self.seed, 2))
        with torch.random.fork_rng(devices=[]):  # seeded initial weights, without moving the global generator
            torch.manual_seed(episode_seed(self.seed, 1))
            self._build()
        self.policy.to(self.device)
        self.optimizers = self._make_optimizers()
        self._windows = torch.as_tensor(layout.windows)
        self._sums = torch.zeros(len(self.metric_names), device=self.device)
        self._counted = 0

    @staticmethod
    def _wrap_env(env: Any) -> VecEnv:
        env = made(env)
        if isinstance(env, ParallelEnv):
            env = JointEnv(env, leaving=True)
        if isinstance(env, VectorEnv):
            env = VecMonitor(VectorEnvAdapter(env))
        wrapped = BaseAlgorithm._wrap_env(env, 0, True)
        copy_what_may_change(wrapped)
        return wrapped

    def get_env(self) -> VecEnv | None:
        """The environments."""
        return self.env

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Continue with other environments of the same layout and number.

        Raises:
            SpaceMismatch: spaces, windows or sets differ.
            InvalidParameter: the number of environments differs.
        """
        venv = self._wrap_env(env)
        self.layout.require_same(TeamLayout.of(venv))
        if venv.num_envs != self.n_envs:
            raise InvalidParameter(f"The team learns in {self.n_envs} environments side by side, not {venv.num_envs}.")
        self.env = venv
        if force_reset:
            self._seen = None

    # Implemented by subclasses

    def _build(self) -> None:
        """Create ``self.policy``."""
        raise NotImplementedError

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Create the optimisers by name."""
        raise NotImplementedError

    def _choose(self, windows: Tensor, deterministic: bool) -> Tensor:
        """Actions [B, A, a] of the policy, one-hot or in [-1, 1], for windows [B, A, F]."""
        raise NotImplementedError

    def _iterate(self, heard: BaseCallback) -> bool:
        """Collect steps and learn from them. False if a callback stops training."""
        raise NotImplementedError

    # Learning

    def learn(
        self, total_timesteps: int, callback: Any = None, log_interval: int | None = 1,
        reset_num_timesteps: bool = True, progress_bar: bool = False,
    ) -> Self:  # fmt: skip
        """Train for ``total_timesteps`` steps of joint environments; arguments as in Stable-Baselines3.

        Raises:
            InvalidParameter: there is no environment.
            NonFinite: an observation, a reward, a loss or a weight became NaN or infinite.
        """
        total_timesteps = number_of_steps(total_timesteps)
        if self.env is None:
            raise InvalidParameter(f"There is no environment to learn in: {type(self).__name__}.load(folder, env).")
        if reset_num_timesteps:
            self._count_from_zero()
            self._seen = None
        self._total_timesteps = self.num_timesteps + total_timesteps
        if self._seen is None:
            self._seen = self._read(self.env.reset(), 0)
            self._alive = np.ones(self._seen.shape[:2], bool)
        self.policy.set_training_mode(True)
        with self._calling(callback, progress_bar) as heard:
            while self.num_timesteps < self._total_timesteps:
                heard.on_rollout_start()  # the state is consistent here: checkpoints and signals are handled now
                logged = self.num_timesteps // self.settings.log_every
                if not self._iterate(heard):
                    break
                heard.on_rollout_end()
                if self.num_timesteps // self.settings.log_every > logged:
                    self._log()
        self._log()
        return self

    @property
    def progress(self) -> float:
        """The share of the steps that are done, for schedules."""
        return self.num_timesteps / max(self._total_timesteps, 1)

    def _rate(self, rate: float) -> float:
        """A learning rate now: constant over the first half, then linearly down to ``final_rate`` times itself."""
        late = max(0.0, 2 * self.progress - 1)
        return rate * (1 - late * (1 - self.settings.final_rate))

    def _step(self, actions: Tensor, heard: BaseCallback) -> tuple[TeamStep, bool]:
        """Step the worlds with actions [N, A, a]; also whether training goes on."""
        assert self.env is not None
        assert self._seen is not None
        assert self._alive is not None
        seen, acted = self._seen, self._alive
        if not torch.isfinite(actions).all():
            raise NonFinite(
                f"The action of {self.catalog_name} is not finite at step {self.num_timesteps + self.n_envs}. Try a "
                "smaller learning_rate. The weights are lost: go back to a checkpoint."
            )
        observations, rewards, dones, infos = self.env.step(self.layout.to_environment(actions))
        self.num_timesteps += self.n_envs
        following = self._read(observations, 1)
        reached = following
        if dones.any():
            reached = following.copy()
            for world in np.flatnonzero(dones).tolist():
                reached[world] = self._read(np.asarray(infos[world]["terminal_observation"])[None], 1)[0]
        cut = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        terminated = self._told(infos, "agent_terminated") | (dones & ~cut)[:, None]
        truncated = (self._told(infos, "agent_truncated") | (dones & cut)[:, None]) & ~terminated
        step = TeamStep(seen, self._own_rewards(rewards, infos), acted, terminated & acted, truncated & acted, reached)
        self._seen, self._alive = following, (acted & ~terminated & ~truncated) | dones[:, None]
        self.ep_info_buffer = [
            *self.ep_info_buffer, *(info["episode"] for info in infos if "episode" in info)
        ][-EPISODES:]  # fmt: skip
        return step, bool(heard.on_step())

    def _read(self, observations: Any, steps: int) -> np.ndarray:
        """The agents' windows, float32 [N, A, F]."""
        seen = np.asarray(observations, np.float32)
        if seen.shape[1:] != self.observation_space.shape:
            raise SpaceMismatch(f"The joint observations are {list(seen.shape[1:])}, not {self.observation_space}.")
        if not is_finite(seen):
            require_finite("The joint observation", seen, f"at step {self.num_timesteps + steps}")
        return seen.reshape(len(seen), -1)[:, self.layout.windows]

    def _told(self, infos: list[dict[str, Any]], name: str) -> np.ndarray:
        """A flag of each agent, bool [N, A]; False where a world does not tell it."""
        flags = np.zeros((len(infos), self.layout.agents), bool)
        for world, info in enumerate(infos):
            if name in info:
                flags[world] = info[name]
        return flags

    def _own_rewards(self, rewards: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        given = [info["agent_rewards"] for info in infos if "agent_rewards" in info]
        agents = self.layout.agents
        if not given:
            own = np.repeat(rewards[:, None], agents, 1)
        elif len(given) < len(infos) or any(np.shape(each) != (agents,) for each in given):
            raise InvalidParameter(
                f"info['agent_rewards'] must have {agents} numbers in every step of every world, or none."
            )
        else:
            own = np.stack(given)
        if not is_finite(own):
            require_finite("The agents' rewards", own, f"at step {self.num_timesteps}")
        return own.astype(np.float32)

    # Metrics

    def _measure(self, *values: Tensor) -> None:
        """Add scalars of one update, in the order of ``metric_names``; they are read when a row of the log is due."""
        self._sums += torch.stack([value.detach() for value in values])
        self._counted += 1
        self._n_updates += 1

    def _log(self) -> None:
        if self._counted:
            means = (self._sums / self._counted).tolist()
            self._sums, self._counted = torch.zeros_like(self._sums), 0
            metrics = dict(zip(self.metric_names, means, strict=True))
            if not all(map(np.isfinite, means)):
                raise NonFinite(
                    f"A loss is not finite by step {self.num_timesteps}: {metrics}. Try a smaller learning_rate. The "
                    "weights are lost: go back to a checkpoint."
                )
            for name, value in metrics.items():
                self.logger.record(f"train/{name}", value)
            self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if self.ep_info_buffer:
            for name, key in (("ep_rew_mean", "r"), ("ep_len_mean", "l")):
                self.logger.record(f"rollout/{name}", safe_mean([float(info[key]) for info in self.ep_info_buffer]))
        if self.logger.name_to_value:
            self.logger.record("time/total_timesteps", self.num_timesteps)
            self.logger.dump(self.num_timesteps)

    # Acting

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Joint actions for joint observations of one environment or of n, and ``state``.

        Raises:
            SpaceMismatch: another shape.
            NonFinite: it has NaN or infinity.
        """
        seen, shape = np.asarray(observation, np.float32), self.observation_space.shape
        single = seen.shape == shape
        if not single and seen.shape[1:] != shape:
            raise SpaceMismatch(f"Joint observations are {list(shape)} or [n, ...], not {list(seen.shape)}.")
        require_finite("The joint observation", seen)
        batch = seen[None] if single else seen
        windows = torch.as_tensor(batch.reshape(len(batch), -1)[:, self.layout.windows], device=self.device)
        self.policy.set_training_mode(False)
        with torch.no_grad():
            joint = self.layout.to_environment(self._choose(windows, deterministic))
        return (joint[0] if single else joint), state

    # Saving

    def parts(self) -> dict[str, Part]:
        """The networks and the optimisers."""
        return {"policy": self.policy, **{f"optimizers.{name}": part for name, part in self.optimizers.items()}}

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on."""
        return Inventory(
            [
                *learned(self.parts()),
                *attributes(self, COUNTERS, saved=True),
                *attributes(self, ("_seen", "_alive", "_sums", "_counted")),
                statistics(self, "ep_info_buffer", EPISODES),
                generator("team", self.generator),
            ]
        )

    def about(self) -> dict[str, Any]:
        """As :meth:`Savable.about`, plus the layout and the number of environments."""
        arguments = {"seed": self.seed, "options": asdict(self.settings)}
        own = description(self.catalog_name, "MlpPolicy", arguments, self.observation_space, self.action_space)
        return {**own, "team": self.layout.to_json(), "n_envs": self.n_envs}

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        settings = {"seed": saved.arguments["seed"], **saved.arguments["options"], **arguments}
        agent = cls.__new__(cls)
        agent._begin(saved.policy, settings.pop("seed"), device, settings)
        layout = TeamLayout.from_json(saved.values.get("team"))
        venv = None if env is None else cls._wrap_env(env)
        agent._make(layout, saved.values.get("n_envs", 1) if venv is None else venv.num_envs)
        if venv is not None:
            layout.require_same(TeamLayout.of(venv))
            agent.env = venv
        return agent


class TeamPolicy(nn.Module):
    """The networks of a team, with the joint action distribution that attacks differentiate.

    Args:
        layout: windows and actions.
        actor: windows [B, A, F] to logits, or to unbounded actions.
        others: further networks by name.
    """

    def __init__(self, layout: TeamLayout, actor: nn.Module, **others: nn.Module) -> None:
        super().__init__()
        self.layout, self.network = layout, actor
        for name, module in others.items():
            self.add_module(name, module)

    def windows(self, observations: Tensor) -> Tensor:
        """The agents' windows [B, A, F] of joint observations [B, ...]."""
        index = torch.as_tensor(self.layout.windows, device=observations.device)
        return observations.flatten(1)[:, index].float()

    def set_training_mode(self, mode: bool) -> None:
        """As in Stable-Baselines3."""
        self.train(mode)


class TeamDistribution:
    """The actions of independent agents, in Stable-Baselines3's shape.

    Args:
        scores: logits [B, A, C], or means [B, A, a].
        std: standard deviations of Box actions, a number or [1 or A, a]; None for choices.

    Attributes:
        distribution: one categorical factor for each agent, or one Gaussian of joint actions [B, A * a].
    """

    def __init__(self, scores: Tensor, std: Tensor | float | None = None) -> None:
        self.distribution: Any
        if std is None:
            self.distribution = [Categorical(logits=each) for each in scores.unbind(1)]
        else:
            spread = torch.as_tensor(std, dtype=scores.dtype, device=scores.device).expand(scores.shape[1:]).flatten()
            self.distribution = Normal(scores.flatten(1), spread.expand(len(scores), -1))
