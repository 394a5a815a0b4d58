"""The interface of agents: protocols for their methods, and traits for what differs between them.

Evaluation needs a :class:`Player`. Training, resuming and the command line need an :class:`Agent`; mypy checks every
agent of the catalog against it (``agents/contract.py``). An agent declares how it differs from the default in its
:class:`Traits`, which callers read with :func:`traits_of`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import gymnasium
import numpy as np

if TYPE_CHECKING:
    from agentgym.runs.state import Inventory

__all__ = [
    "PROMISED", "Agent", "Player", "Traits", "acting_in", "predict_actions", "promised_returns", "traits_of",
    "words_of",
]  # fmt: skip

PROMISED = "promised_return"  # the measure of an episode that holds the promised return


@dataclass(frozen=True)
class Traits:
    """Declares how an agent class differs from the default: ``traits: ClassVar[Traits]``.

    The defaults describe an agent with the interface of Stable-Baselines3. They apply to every agent without traits.

    Attributes:
        learns_from: what the constructor takes: environments or a dataset. An agent that learns from a dataset keeps
            the results of evaluations during training in ``scores``.
        sets_worlds: ``Config.worlds`` sets the default number of environments of a run.
        names_policy: ``Config.policy`` names the policy; otherwise the policy is "MlpPolicy".
        hears_rewards: ``predict`` takes ``reward``, float32 ``[B]``: the reward of each environment's last step, after
            perturbations of rewards. The value is meaningless at the start of an episode.
        promises: ``promised(state, B)`` returns the undiscounted returns ``[B]`` that the agent expects of episodes
            that have just begun, given the state after their first ``predict``.
        knows_words: ``words`` lists the agent's vocabulary for text; None if it reads any word.
        resizable: ``acting_in(env)`` returns a player for another environment, whose spaces may differ in size.
        several_processes: processes of ``torch.distributed`` train one agent together.
        sees_images: images are observations like any other; the policy is then "CnnPolicy" instead of "MlpPolicy".
        suite: the suite that the command line suggests for this agent.
    """

    learns_from: Literal["environment", "dataset"] = "environment"
    sets_worlds: bool = False
    names_policy: bool = False
    hears_rewards: bool = False
    promises: bool = False
    knows_words: bool = False
    resizable: bool = False
    several_processes: bool = False
    sees_images: bool = False
    suite: str = "perturbations"


@runtime_checkable
class Player(Protocol):
    """Anything that can be evaluated: an agent (including those of Stable-Baselines3) or a hand-made controller.

    A controller may lack ``predict`` until :func:`acting_in` binds it to an environment.
    """

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """Observation space of a single environment."""

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        """Action space of a single environment."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Return actions ``[B, ...]`` for observations ``[B, ...]``, and the state for the next call."""


class Agent(Player, Protocol):
    """An agent that can be trained, saved and resumed. ``agentgym.agents`` describes the constructor.

    ``num_timesteps`` counts environment steps, or gradient steps if the agent learns from a dataset.
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[Any]
    traits: ClassVar[Traits]

    @property
    def num_timesteps(self) -> int:
        """Number of training steps so far."""

    @property
    def logger(self) -> Any:
        """Stable-Baselines3's ``Logger`` with the values of the latest update."""

    def set_logger(self, logger: Any) -> None:
        """Use ``logger`` from now on."""

    def get_env(self) -> Any:
        """The training environments; None if there are none."""

    def learn(self, total_timesteps: int, *, callback: Any = None, reset_num_timesteps: bool = True) -> Any:
        """Train for ``total_timesteps`` steps and return the agent."""

    def inventory(self) -> "Inventory":
        """Everything that must be saved to resume training."""

    def save(self, path: Path | str) -> None:
        """Save the agent to the folder ``path``."""

    @classmethod
    def load(cls, path: Path | str, env: Any = None, device: Any = "auto", **arguments: Any) -> Any:
        """Load an agent that :meth:`save` wrote. Pass ``env`` to continue training or to evaluate during training."""

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """State dictionaries of networks and optimisers, by name."""

    def set_parameters(self, load_path_or_dict: Path | str | dict[str, Any], exact_match: bool = True) -> None:
        """Load parameters from a dictionary of :meth:`get_parameters` or from a saved agent."""


_DEFAULT_TRAITS = Traits()


def traits_of(agent: Any) -> Traits:
    """The traits of an agent or agent class; the defaults for agents of other libraries."""
    traits = getattr(agent, "traits", _DEFAULT_TRAITS)
    return traits if isinstance(traits, Traits) else _DEFAULT_TRAITS


def acting_in(agent: Any, env: Any) -> Any:
    """Return a player for ``env``, single or batched: ``agent`` itself unless it is resizable.

    Raises:
        InvalidParameter, SpaceMismatch: the agent cannot act in ``env``.
    """
    return agent.acting_in(env) if traits_of(agent).resizable else agent


def words_of(agent: Any) -> tuple[str, ...] | None:
    """The vocabulary of an agent that reads text; None if it reads any word."""
    return agent.words if traits_of(agent).knows_words else None


def predict_actions(
    agent: Any,
    observations: Any,
    state: Any,
    starts: np.ndarray,
    rewards: np.ndarray,
    deterministic: bool,
    commands: Any = None,
) -> tuple[Any, Any]:
    """Call ``agent.predict`` with the arguments that the agent's traits ask for.

    Args:
        agent: a :class:`Player`.
        observations: observations of B environments, ``[B, ...]``.
        state: the agent's state from the previous call; None in the first call.
        starts: whether each environment's episode has just begun, bool ``[B]``.
        rewards: observed rewards of the last step, ``[B]``; passed on only if the agent takes rewards.
        deterministic: whether to use the mode of the policy instead of a sample.
        commands: admissible commands of each text environment; None for other environments.

    Returns:
        Actions ``[B, ...]`` and the agent's next state.
    """
    arguments: dict[str, Any] = {} if commands is None else {"commands": commands}
    if traits_of(agent).hears_rewards:
        arguments["reward"] = np.where(starts, 0.0, rewards).astype(np.float32)
    actions, state = agent.predict(
        observations, state=state, episode_start=starts, deterministic=deterministic, **arguments
    )
    return actions, state


def promised_returns(agent: Any, state: Any, count: int) -> np.ndarray | None:
    """The returns that the agent promises in ``count`` environments, float64 ``[count]``; None if it makes no promise.

    Only the entries of episodes at their first step are meaningful.
    """
    if not traits_of(agent).promises:
        return None
    return np.asarray(agent.promised(state, count), np.float64)
