"""The base class of offline agents: Stable-Baselines3's shape, with a dataset instead of an environment."""

import inspect
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import get_device
from torch import Tensor
from torch.nn.functional import one_hot

from agentgym.agents.common.constructor import MACHINE
from agentgym.agents.common.interface import Actions, Observations
from agentgym.agents.common.inventory import Part, attributes, generator, learned
from agentgym.agents.common.own_loop import OwnLoop
from agentgym.agents.common.saving import SavedAgent, description
from agentgym.agents.offline.config import OfflineConfig, ranges_of
from agentgym.agents.offline.measures import Measures
from agentgym.agents.offline.networks import OfflinePolicy
from agentgym.agents.offline.scores import EvaluationEnvs, Scores
from agentgym.contracts.agent import Traits
from agentgym.contracts.settings import check_settings, from_settings, number_of_steps, whole_number
from agentgym.data.dataset import OfflineDataset
from agentgym.data.faults import columns_of, refuse, value_findings
from agentgym.data.storage import load_dataset
from agentgym.errors import InvalidParameter, SpaceMismatch
from agentgym.runs.state import Inventory, Item
from agentgym.seeding import entropy, episode_seed

__all__ = ["OfflineAgent"]

LARGEST_ENTROPY = 2**128 - 1  # seeds may also be entropy drawn by NumPy
COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates")


class OfflineAgent(OwnLoop):
    """Base of agents that learn from a dataset. They can be evaluated in an environment during training.

    ``num_timesteps`` counts gradient steps.

    A subclass sets its name (``catalog_name``), its settings (``Config``) and the supported action spaces
    (``action_spaces``), and implements :meth:`_build`, :meth:`_update` and :meth:`_act`. It overrides :meth:`_take` if
    it needs more of the data than tensors of transitions, and :meth:`inventory` if it has more state than ``policy``
    and ``optimizers``.

    Args:
        policy: "MlpPolicy". Each agent has a single kind of network; the argument keeps Stable-Baselines3's shape.
        env: environment for evaluation during training: an id, an environment, a function that makes one, or None.
        dataset: a Minari id or a dataset object. Not needed to predict.
        seed: of all randomness; None draws one.
        device: "auto", "cpu" or "cuda".
        preset: name of a set of settings; ``settings`` override it. See ``Config.presets``.
        **settings: fields of ``Config``.

    Attributes:
        policy: the networks, including normalisers.
        optimizers: optimisers by name.
        scores: the latest and the best evaluation.
        observation_space, action_space: the dataset's.

    Raises:
        SpaceMismatch: environment and dataset differ, or the agent does not support their spaces.
        UnknownId: no such setting or preset.
        InvalidParameter: a setting is out of range, or the dataset has an error that ``agentgym data check`` reports.
        NonFinite: a setting or an entry of the dataset is NaN or infinite.
        FileNotFoundError: no such dataset.
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[type[OfflineConfig]] = OfflineConfig
    action_spaces: ClassVar[tuple[type[spaces.Space], ...]] = (spaces.Box,)
    traits: ClassVar[Traits] = Traits(learns_from="dataset", suite="stochasticity")

    policy: OfflinePolicy
    optimizers: dict[str, torch.optim.Optimizer]

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.__signature__ = cls.Config.in_signature(OfflineAgent.__init__)

    def __init__(
        self,
        policy: str = "MlpPolicy",
        env: Any = None,
        dataset: str | OfflineDataset | None = None,
        seed: int | None = None,
        device: torch.device | str = "auto",
        preset: str = "",
        **settings: Any,
    ) -> None:
        if dataset is None:
            raise InvalidParameter(
                f"{type(self).__name__} learns from a dataset: {type(self).__name__}(dataset=...), or --dataset NAME. "
                "Load a trained one with load(folder)."
            )
        self._begin(policy, seed, device, self.Config.with_preset(preset, settings))
        data = load_dataset(dataset) if isinstance(dataset, str) else dataset
        self._make(data.observation_space, data.action_space)
        self._connect(env, data)

    # Construction

    def _begin(self, policy: str, seed: int | None, device: torch.device | str, settings: dict[str, Any]) -> None:
        if policy != "MlpPolicy":
            raise InvalidParameter(f"{self.catalog_name} has one kind of networks, MlpPolicy; not {policy!r}.")
        self.policy_name = policy
        self.settings: Any = from_settings(self.Config, settings, f"agent {self.catalog_name}")
        check_settings(self.settings, ranges_of(self.settings), f"agent {self.catalog_name}")
        self.device = get_device(device)
        self.seed = entropy() if seed is None else whole_number("seed", seed, 0, LARGEST_ENTROPY)
        self.generator = torch.Generator(self.device).manual_seed(episode_seed(self.seed, 0))
        self._count_from_zero()
        self.ep_info_buffer: list[dict[str, float]] = []  # the last evaluation's episodes, for progress bars
        self.scores = Scores()
        self.dataset: OfflineDataset | None = None
        self._learned_from: dict[str, Any] = {}  # a loaded agent's record of its dataset, until it is given the data
        self.evaluation: EvaluationEnvs | None = None
        self._unread = Measures(self.metric_names)

    def _make(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.seen = Observations(observation_space, self.catalog_name)
        self.played = Actions(action_space, self.catalog_name, self.action_spaces)
        self.observation_space, self.action_space = observation_space, action_space
        with torch.random.fork_rng(devices=[]):  # seeded initial weights, without moving the global generator
            torch.manual_seed(episode_seed(self.seed, 1))
            self._build()
        self.policy.to(self.device)
        self.optimizers = self._make_optimizers()

    def _connect(self, env: Any, dataset: OfflineDataset | None) -> None:
        if env is not None:
            self.evaluation = EvaluationEnvs(env)
            name = "" if dataset is None else dataset.description.name
            self.evaluation.check(self.observation_space, self.action_space, str(name))
        if dataset is not None:
            self.set_dataset(dataset)

    def set_dataset(self, dataset: OfflineDataset) -> None:
        """Use this dataset from now on.

        Raises:
            SpaceMismatch: its spaces are not the agent's.
            NonFinite: an entry is NaN or infinite.
            InvalidParameter: the dataset has other errors that ``agentgym data check`` reports.
        """
        pairs = {
            "observation space": (dataset.observation_space, self.observation_space),
            "action space": (dataset.action_space, self.action_space),
        }
        for what, (its, own) in pairs.items():
            if its != own:
                raise SpaceMismatch(f"The {what} of {dataset.description.name} is {its}, the agent's is {own}.")
        refuse(dataset.description.name, value_findings(columns_of(dataset)))
        self.dataset = dataset
        self._take(dataset)

    @property
    def action_width(self) -> int:
        """The size of an action, or the number of discrete actions."""
        return spaces.flatdim(self.played.own)

    @property
    def observation_width(self) -> int:
        """The size of a flat observation; for discrete observations, of their one-hot encoding."""
        return spaces.flatdim(self.seen.own)

    # Implemented by subclasses

    def _build(self) -> None:
        """Create ``self.policy``."""
        raise NotImplementedError

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Create the optimisers by name. The networks are on their device already."""
        raise NotImplementedError

    def _take(self, dataset: OfflineDataset) -> None:
        """Move the data that :meth:`_update` samples from to the device, and fit normalisers."""
        raise NotImplementedError

    def _update(self) -> tuple[Tensor, ...]:
        """Take one gradient step and return scalars without gradient, in the order of :attr:`metric_names`.

        Steps that measure fewer (TD3 updates its actor every second time) leave out the last ones.
        """
        raise NotImplementedError

    metric_names: ClassVar[tuple[str, ...]] = ()

    def _act(self, observations: Tensor, deterministic: bool) -> Tensor:
        """Actions ``[B, A]`` in [-1, 1] (Box) or int64 ``[B]`` (Discrete) for observations ``[B, ...]``."""
        raise NotImplementedError

    # Learning

    def get_env(self) -> None:
        """None: the agent does not learn in an environment."""
        return

    def learn(
        self, total_timesteps: int, callback: Any = None, log_interval: int | None = 1,
        reset_num_timesteps: bool = True, progress_bar: bool = False,
    ) -> Self:  # fmt: skip
        """Take ``total_timesteps`` gradient steps; arguments as in Stable-Baselines3.

        Raises:
            InvalidParameter: there is no dataset.
            NonFinite: a loss became NaN or infinite.
        """
        if self.dataset is None:
            raise InvalidParameter("There is no dataset to learn from: use load(folder, dataset=...) or set_dataset().")
        total_timesteps = number_of_steps(total_timesteps)
        if reset_num_timesteps:
            self.num_timesteps, self.scores = 0, Scores()
        self._total_timesteps = self.num_timesteps + total_timesteps
        with self._calling(callback, progress_bar) as heard:
            while self.num_timesteps < self._total_timesteps:
                heard.on_rollout_start()  # the state is consistent here: checkpoints and signals are handled now
                if not self._learn_once(heard):
                    break
                heard.on_rollout_end()
        return self

    def _learn_once(self, heard: BaseCallback) -> bool:
        """One gradient step, plus logging and evaluation when due. False if a callback stops training."""
        settings = self.settings
        if not self.policy.training:
            self.policy.set_training_mode(True)
        self._unread.steps.append(self._update())
        self.num_timesteps += 1
        self._n_updates += 1
        more = heard.on_step()
        intervals = {"log": settings.log_every, "evaluate": settings.evaluate_every}
        due = {what for what, every in intervals.items() if every and self.num_timesteps % every == 0}
        over = not more or self.num_timesteps >= self._total_timesteps
        if due or over:
            self._publish()
            if self.evaluation is not None and settings.evaluate_every and ("evaluate" in due or over):
                self.evaluate()
            self.logger.record("time/total_timesteps", self.num_timesteps)
            self.logger.dump(self.num_timesteps)
        return more

    def evaluate(self) -> float:
        """Play and log new episodes, record them in :attr:`scores`, and return the mean return."""
        assert self.evaluation is not None
        count = self.settings.evaluation_episodes
        played = self.evaluation.play(self, [episode_seed(self.seed, 2, self.num_timesteps, e) for e in range(count)])
        returns, lengths = (np.array([episode[index] for episode in played]) for index in (0, 1))
        self.ep_info_buffer = [{"r": episode.episode_return, "l": episode.length} for episode in played]
        mean = float(returns.mean())
        logged = {"return_mean": mean, "return_std": float(returns.std()), "length_mean": float(lengths.mean())}
        promises = [episode.promised for episode in played if episode.promised is not None]
        if promises:
            logged["promised_mean"] = float(np.mean(promises))
        self.scores.add(self.num_timesteps, mean, logged.get("promised_mean"), count)
        score = None if self.dataset is None else self.dataset.description.score(mean)
        if score is not None:
            logged["score"] = score
        for name, value in logged.items():
            self.logger.record(f"eval/{name}", value)
        self.policy.set_training_mode(True)
        return mean

    def _publish(self) -> None:
        """Log means over the updates since the last log."""
        means = self._unread.means(self.num_timesteps)
        self._unread.steps = []
        for name, value in means.items():
            self.logger.record(f"train/{name}", value)

    # Acting

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Actions for one observation or a batch ``[B, ...]``, as in Stable-Baselines3.

        Raises:
            SpaceMismatch: the observation has another shape.
            NonFinite: it has NaN or infinity.
        """
        batch, single = self._batch(observation)
        self.policy.set_training_mode(False)
        with torch.no_grad():
            actions = self._act(batch, deterministic).cpu().numpy()
        actions = self._to_space(actions)
        return (actions[0] if single else actions), state

    def _batch(self, observation: Any) -> tuple[Tensor, bool]:
        """The observations as a batch on the device, and whether a single one was given."""
        array, single = self.seen.read(observation)
        return self._encoded(torch.as_tensor(array, device=self.device)), single

    def _states_of(self, observations: np.ndarray) -> Tensor:
        """Dataset observations ``[N, ...]`` as floats on the device; discrete ones are one-hot encoded."""
        return self._encoded(torch.as_tensor(self.seen.to_learner(np.asarray(observations)), device=self.device))

    @property
    def _of_choices(self) -> bool:
        """Whether observations are one-hot. These are not normalised, which would blow up entries that are rarely 1."""
        return isinstance(self.seen.own, spaces.Discrete | spaces.MultiDiscrete)

    def _encoded(self, observations: Tensor) -> Tensor:
        """Observations as floats ``[B, ...]``. Discrete and MultiDiscrete ones become one-hot ``[B, n]``."""
        own = self.seen.own
        if isinstance(own, spaces.Discrete):
            return one_hot(observations.long(), int(own.n)).float()
        if isinstance(own, spaces.MultiDiscrete):
            columns = zip(observations.long().unbind(1), own.nvec.tolist(), strict=True)
            return torch.cat([one_hot(column, count) for column, count in columns], 1).float()
        return observations.float()

    def _to_space(self, actions: np.ndarray) -> np.ndarray:
        """Convert actions from [-1, 1], or counted from 0, to the action space."""
        return self.played.from_unit(actions)

    def _from_space(self, actions: np.ndarray) -> Tensor:
        """The inverse of :meth:`_to_space`: float ``[N, A]`` in [-1, 1], or int64 ``[N]`` from 0 on, on the device."""
        return torch.as_tensor(self.played.to_unit(np.asarray(actions)), device=self.device)

    # Saving

    def parts(self) -> dict[str, Part]:
        """The policy, including normalisers, and the optimisers."""
        return {"policy": self.policy, **{f"optimizers.{name}": part for name, part in self.optimizers.items()}}

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on."""

        def read_unread() -> dict[str, Any]:
            self._unread.means(self.num_timesteps)  # raises if a loss is not finite, so that no such weights are kept
            return self._unread.state()

        def set_scores(state: dict[str, Any]) -> None:
            self.scores = Scores(**state)

        return Inventory(
            [
                *learned(self.parts()),
                *attributes(self, COUNTERS, saved=True),
                Item("scores", lambda: asdict(self.scores), set_scores, saved=True),
                Item("unread", read_unread, lambda state: self._unread.restore(state, self.device)),
                generator("offline", self.generator),
            ]
        )

    @property
    def dataset_record(self) -> dict[str, Any]:
        """Name, SHA-256 and reference returns of the dataset the agent has learned from."""
        if self.dataset is None:
            return self._learned_from
        about = self.dataset.description
        return {"name": about.name, "sha256": self.dataset.digest, "random_return": about.random_return,
                "expert_return": about.expert_return}  # fmt: skip

    def about(self) -> dict[str, Any]:
        """As :meth:`Savable.about`, plus a record of the dataset. The data are not saved with the agent."""
        options = {name: value for name, value in asdict(self.settings).items() if name not in MACHINE}
        arguments = {"seed": self.seed, "options": options}
        own = description(
            self.catalog_name, self.policy_name, arguments, self.observation_space, self.action_space
        )  # fmt: skip
        return {**own, "dataset": self.dataset_record}

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        before, dataset = (
            {"seed": saved.arguments["seed"], **saved.arguments["options"]},
            arguments.pop("dataset", None),
        )
        settings = {**before, **arguments}
        agent = cls.__new__(cls)
        agent._begin(saved.policy, settings.pop("seed"), device, settings)
        agent._make(saved.observation_space, saved.action_space)
        data = load_dataset(dataset) if isinstance(dataset, str) else dataset
        record = saved.values["dataset"]
        if data is not None and data.digest != record["sha256"]:
            raise InvalidParameter(
                f"The saved agent has learned from {record['name']} (sha256 {record['sha256'][:12]}), and "
                f"{data.description.name} has other entries (sha256 {data.digest[:12]}). Give the data it has learned "
                "from, none to predict only, or train a new agent."
            )
        agent._connect(env, data)
        agent._learned_from = record
        saved.state.setdefault("scores", saved.values.get("scores"))  # their place in files of earlier versions
        return agent
