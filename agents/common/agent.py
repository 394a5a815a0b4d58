"""The base class of online agents, on top of Stable-Baselines3's base class."""

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from agentgym.agents.common.argument_codec import require_savable
from agentgym.agents.common.constructor import resolved, saved_names, signature
from agentgym.agents.common.environments import made, spaces_of
from agentgym.agents.common.hyperparameters import Checked, checked
from agentgym.agents.common.interface import Actions, Observations, is_image
from agentgym.agents.common.inventory import attributes, learned, statistics
from agentgym.agents.common.learners_env import LearnersEnv, copy_what_may_change
from agentgym.agents.common.measured import Measured
from agentgym.agents.common.saving import Savable, SavedAgent, description
from agentgym.agents.common.vec_normalize import (
    preprocessing_from_json,
    preprocessing_to_json,
    restore_statistics,
    statistics_of,
)
from agentgym.agents.common.vector_env import VectorEnvAdapter
from agentgym.contracts.agent import Traits
from agentgym.contracts.settings import number_of_steps
from agentgym.contracts.spaces import check_same_spaces
from agentgym.errors import InvalidParameter, NonFinite, SpaceMismatch, UnknownId
from agentgym.runs.state import Inventory, Item
from agentgym.wrappers.preprocessing import Preprocessing, preprocessing_of

__all__ = ["Agent"]

DISTRIBUTION_OF_NAN = ("but found invalid values", "probability tensor contains")  # in torch's messages
COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num")
LAST_STEP = ("_last_obs", "_last_episode_starts", "_last_original_obs")
STATISTICS = ("ep_info_buffer", "ep_success_buffer")


class Agent(Savable, Measured):
    """Base of agents that learn in an environment. Saves without pickle and reads losses only when they are logged.

    A subclass sets its name (``catalog_name``), its hyperparameters (``Config``, a dataclass with ``rules`` for their
    values), the action spaces it supports (``action_spaces``), the classes elsewhere that support images and Dict
    spaces (``elsewhere``), and the arguments besides the fields of ``Config`` that saving has to keep (``also_saved``).

    Args:
        policy: ``"MlpPolicy"``; for images, if the agent supports them, ``"CnnPolicy"``.
        env: an environment id, a Gymnasium ``Env`` or ``VectorEnv``, or a Stable-Baselines3 ``VecEnv``.
        preset: name of a set of hyperparameters; arguments that are given override it. See ``Config.presets``.
        *arguments, **keywords: fields of ``Config``, documented there, and the other arguments of Stable-Baselines3's
            class. ``help()`` of the agent's class lists them. ``policy_kwargs`` overrides the fields about networks.

    Raises:
        UnknownId: no such argument, preset or policy; the message suggests the nearest.
        InvalidParameter, NonFinite: a value is not allowed.
        SpaceMismatch: the agent does not support the environment's spaces.

    Attributes:
        observation_space, action_space: the environment's.
        observations, actions: translate between these spaces and the learner's.
        env: the environments as ``learn`` uses them; :meth:`get_env` returns them without translation.
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[type[Checked]]
    fixed: ClassVar[dict[str, Any]] = {}  # arguments of Stable-Baselines3's base class that the algorithm fixes
    __signature__: ClassVar[inspect.Signature]
    traits: ClassVar[Traits] = Traits()
    action_spaces: ClassVar[tuple[type[spaces.Space], ...]]
    elsewhere: ClassVar[str]
    also_saved: ClassVar[tuple[str, ...]] = ()  # arguments besides Config's that a saved agent keeps
    saved_arguments: ClassVar[tuple[str, ...]]  # all arguments that a saved agent keeps
    saved_preprocessing: Preprocessing | None = None  # of an agent loaded without an environment
    saved_vec_normalize: dict[str, Any] | None = None
    clip_rewards: bool = False  # see LearnersEnv; a field of Config where the agent has it
    terminal_on_life_loss: bool = False

    observations: Observations
    actions: Actions

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if hasattr(cls, "Config"):
            cls.__signature__ = signature(cls._algorithm(), cls.Config, own=bool(cls.fixed))
            cls.saved_arguments = saved_names(cls.Config, *cls.also_saved)

    @classmethod
    def _algorithm(cls) -> Any:
        """The constructor of Stable-Baselines3 that receives the arguments."""
        foreign = cls.__mro__[cls.__mro__.index(Agent) + 1 :]
        return next(vars(parent)["__init__"] for parent in foreign if "__init__" in vars(parent))

    def __init__(self, policy: Any, env: Any, *arguments: Any, **keywords: Any) -> None:
        _require_known(keywords, type(self).__signature__.parameters, f"argument of {self.catalog_name}")
        given = dict(type(self).__signature__.bind_partial(policy, env, *arguments, **keywords).arguments)
        set_up = given.pop("_init_setup_model", True)
        self._unread_metrics = []
        self._missing: list[str] = []
        env = made(env)
        if env is not None:  # checked first, for a clearer message than Stable-Baselines3's
            self._read_spaces(*spaces_of(env))
        self.policy_name = self._name_of(policy)
        values = resolved(self.catalog_name, self.Config, {**given, "env": env}) | self.fixed
        theirs = inspect.signature(super().__init__).parameters
        vars(self).update({name: value for name, value in values.items() if name not in theirs})
        values["_init_setup_model"] = False
        try:
            super().__init__(**{name: value for name, value in values.items() if name in theirs})
            if set_up:
                self._setup_model()
        except AssertionError as refusal:  # Stable-Baselines3 rejects combinations of arguments this way
            raise InvalidParameter(f"{self.catalog_name}: {refusal}") from refusal

    def _read_spaces(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        images = self.traits.sees_images and "CnnPolicy" in self.policy_aliases
        self.observations = Observations(observation_space, self.catalog_name, self.elsewhere, images)
        self.actions = Actions(action_space, self.catalog_name, self.action_spaces)

    def _setup_model(self) -> None:
        known = _known(self.policy_class)
        _require_known(self.policy_kwargs, known, f"entry of {self.catalog_name}'s policy_kwargs")
        require_savable(self.policy_kwargs)
        if "observation_space" not in vars(self):
            raise InvalidParameter(f"{self.catalog_name} learns in an environment: give one, or its id")
        outside = self.observation_space, self.action_space
        self._read_spaces(*outside)
        _check_policy(self.catalog_name, self.policy_name, self.observation_space, self.policy_aliases)
        self._take_view()
        self.observation_space, self.action_space = self.observations.own, self.actions.own
        try:
            super()._setup_model()  # type: ignore[safe-super]
        finally:
            self.observation_space, self.action_space = outside
        if self.seed is not None and not self.actions.plain:
            self.action_space.seed(self.seed)

    @classmethod
    def _name_of(cls, policy: str | type) -> str:
        """The alias of a policy class. Saved agents store it."""
        for name, known in cls.policy_aliases.items():
            if policy in (name, known):
                return name
        name = policy if isinstance(policy, str) else policy.__name__
        hint = "For images, Dict observations and policies of your own take Stable-Baselines3's agents."
        raise UnknownId("policy", name, cls.policy_aliases, hint)

    # Environments

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        env = made(env)
        if isinstance(env, VectorEnv):
            env = VectorEnvAdapter(env)
            env = VecMonitor(env) if monitor_wrapper else env
        env = BaseAlgorithm._wrap_env(env, verbose, monitor_wrapper)
        copy_what_may_change(env)
        return env

    def _take_view(self) -> None:
        """Wrap the environments in the layer that translates and checks."""
        if self.env is not None and not isinstance(self.env, LearnersEnv):
            self.env = LearnersEnv(self.env, self)

    def get_env(self) -> VecEnv | None:
        """The environments, without the layer that translates for the learner."""
        return self.env.venv if isinstance(self.env, LearnersEnv) else self.env

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Continue with other environments that have the same spaces and number.

        Raises:
            SpaceMismatch: the spaces differ; the message shows both.
            InvalidParameter: the number of environments differs.
        """
        env = made(env)
        check_same_spaces((self.observation_space, self.action_space), spaces_of(env))
        wrapped = self._wrap_env(env, self.verbose)
        if wrapped.num_envs != self.n_envs:
            raise InvalidParameter(
                f"The agent learns in {self.n_envs} environments side by side, not {wrapped.num_envs}. For another "
                f"number save it and load it with them: {type(self).__name__}.load(folder, env)."
            )
        super().set_env(wrapped, force_reset)
        self._take_view()

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the global generators, the environments and the action space. None does nothing."""
        seed = checked(self.catalog_name, {"seed": seed})["seed"]
        super().set_random_seed(seed)

    # Acting

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions, in the environment's action space, for one observation or a batch ``[n, ...]``.

        Args:
            observation: an element of the environment's observation space, or a batch of them.
            state: returned unchanged; these policies have no memory.
            episode_start: not used.
            deterministic: return the policy's mode instead of a sample.

        Raises:
            SpaceMismatch: the observation has another shape.
            NonFinite: it has NaN or infinity; the message says where.
        """
        seen, single = self.observations.read(observation)
        actions, state = self.policy.predict(seen, state, episode_start, deterministic)
        played = self.actions.to_environment(actions)
        return (played.squeeze(axis=0) if single else played), state

    # Learning

    @property
    def steps_at_once(self) -> int:
        """The increase of ``num_timesteps`` per step of all environments."""
        return self.n_envs

    def learn(self, total_timesteps: int, *arguments: Any, **keywords: Any) -> Self:
        """Train for ``total_timesteps`` environment steps; arguments as in Stable-Baselines3.

        Raises:
            InvalidParameter: the agent has no environment, ``total_timesteps`` is not a valid number of steps, or the
                agent was loaded without an argument that cannot be saved, such as a function.
            NonFinite: an observation, a reward, an action, a loss or a weight became NaN or infinite.
        """
        total_timesteps = number_of_steps(total_timesteps)
        if self.env is None:
            raise InvalidParameter(
                f"There is no environment to learn in: {type(self).__name__}.load(folder, env), or set_env(env)."
            )
        if self._missing:
            raise InvalidParameter(
                f"the agent was trained with {' and '.join(self._missing)} that a file cannot hold. "
                f"Give it again to continue: {type(self).__name__}.load(folder, env, {self._missing[0]}=...)"
            )
        try:
            super().learn(total_timesteps, *arguments, **keywords)  # type: ignore[safe-super]
        except (ValueError, RuntimeError) as error:  # raised by torch for NaN that no earlier check has caught
            self._require_finite_weights()
            if any(words in str(error) for words in DISTRIBUTION_OF_NAN):
                raise NonFinite(
                    f"What {self.catalog_name} chooses from is not finite by step {self.num_timesteps}, after "
                    f"{self._n_updates} updates. {self._suspect()} The weights are lost: go back to a checkpoint."
                ) from error
            raise
        self._publish_metrics()
        self._require_finite_weights()
        return self

    # Saving

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on. Subclasses add their own items."""
        return Inventory(
            [
                *learned(self.parts()),
                *attributes(self, COUNTERS, saved=True),
                *attributes(self, ("_current_progress_remaining", *LAST_STEP)),
                *(statistics(self, name, self._stats_window_size) for name in STATISTICS),
                *self._game_state(),
            ]
        )

    def _game_state(self) -> list[Item]:
        """The lives in the learner's environments, where episodes end with them."""
        env: Any = self.env
        if env is None or not self.terminal_on_life_loss:
            return []
        while not isinstance(env, LearnersEnv):
            env = env.venv
        return attributes(env, ["lives"])

    def about(self) -> dict[str, Any]:
        """As :meth:`Savable.about`, plus the preprocessing by the environments' wrappers."""
        arguments = {name: vars(self)[name] for name in self.saved_arguments}
        normalize, kept = self.get_vec_normalize_env(), self.saved_vec_normalize if self.get_env() is None else None
        return {
            **description(self.catalog_name, self.policy_name, arguments, self.observation_space, self.action_space),
            "n_envs": self.n_envs,
            "preprocessing": preprocessing_to_json(preprocessing_of(self)),
            "vec_normalize": kept if normalize is None else statistics_of(normalize),
        }

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> None:
        """As :meth:`Savable.save`.

        Raises:
            InvalidParameter: ``exclude`` or ``include`` is given; they select what Stable-Baselines3 pickles.
        """
        if exclude or include:
            raise InvalidParameter("save() takes no exclude or include: nothing is pickled here")
        super().save(path)

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        before = saved.arguments["policy_kwargs"]
        if {**before, **(arguments.get("policy_kwargs") or {})} != before:
            raise InvalidParameter(f"The saved agent has the networks {before}; policy_kwargs cannot change them.")
        agent = cls.build(
            saved.policy, saved.observation_space, saved.action_space, saved.values.get("n_envs", 1), env, device,
            {**saved.arguments, **arguments},
        )  # fmt: skip
        agent.saved_preprocessing = preprocessing_from_json(saved.values.get("preprocessing"))
        agent.saved_vec_normalize = stored = saved.values.get("vec_normalize")
        if stored is not None and agent.get_env() is not None:
            restore_statistics(agent.get_vec_normalize_env(), stored, cls.__name__)
        agent._missing = [name for name in saved.missing if name not in arguments]
        return agent

    @classmethod
    def build(
        cls,
        policy: str,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        n_envs: int,
        env: Any,
        device: torch.device | str,
        arguments: dict[str, Any],
    ) -> Self:
        """Make an agent with fresh weights from spaces, with or without an environment. Seeds no generator.

        Raises:
            SpaceMismatch: the spaces of ``env`` differ.
        """
        env = made(env)
        if env is not None:
            check_same_spaces((observation_space, action_space), spaces_of(env))
        seed = arguments.get("seed")
        unseeded = {**arguments, "seed": None}
        agent = cls(policy, env, device=device, _init_setup_model=False, **unseeded)
        if agent.env is None:
            agent.observation_space, agent.action_space, agent.n_envs = observation_space, action_space, n_envs
        agent._setup_model()
        agent.seed = seed
        return agent


def _require_known(keywords: Iterable[str], known: Iterable[str], what: str) -> None:
    """Check that all keywords are known.

    Raises:
        UnknownId: one is not; the message suggests the nearest.
    """
    if unknown := [name for name in keywords if name not in known]:
        raise UnknownId(what, unknown[0], known)


def _check_policy(agent: str, policy: str, space: spaces.Space, aliases: Iterable[str]) -> None:
    """Check that the policy's network suits the observations.

    Raises:
        SpaceMismatch: it does not; the message names the policy that does.
    """
    suitable = "CnnPolicy" if is_image(space) else "MlpPolicy"
    if policy in ("MlpPolicy", "CnnPolicy") and policy != suitable and suitable in aliases:
        raise SpaceMismatch(
            f'The observations of {agent} are {space}: the policy must be "{suitable}", not "{policy}".'
        )


def _known(cls: type) -> list[str]:
    """The keywords that a constructor takes, including those it passes on to its parents."""
    known: list[str] = []
    for parent in cls.__mro__:
        if "__init__" not in vars(parent):
            continue
        parameters = inspect.signature(vars(parent)["__init__"]).parameters.values()
        known += [
            one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD or one.kind is one.KEYWORD_ONLY
        ]
        if all(one.kind is not one.VAR_KEYWORD for one in parameters):
            break
    return [name for name in known if name != "self"]
