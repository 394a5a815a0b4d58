"""What an agent is: the methods that it has, and the traits by which the rest of the house tells agents apart.

:class:`Player` is all that an evaluation needs. :class:`Agent` is what training, resuming and the command line need as
well; mypy checks every agent of the catalog against it (``agents/contract.py``). Where agents differ, they say so in
:class:`Traits`, and everybody asks :func:`traits_of`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import gymnasium
import numpy as np

if TYPE_CHECKING:
    from agentgym.runs.state import Inventory

__all__ = ["PROMISED", "Agent", "Player", "Traits", "acting_in", "ask", "promises", "traits_of", "words_of"]

PROMISED = "promised_return"  # name of the promise among an episode's measures


@dataclass(frozen=True)
class Traits:
    """How an agent differs from others, said of its class: ``traits: ClassVar[Traits]``.

    The defaults are those of an agent in Stable-Baselines3's shape, and of every agent that says nothing.

    Attributes:
        learns_from: what its constructor takes: environments, or a dataset (and then it keeps ``scores`` of the
            evaluations while it learns).
        sets_worlds: its Config's ``worlds`` says how many environments a run steps side by side by default.
        names_policy: its Config's ``policy`` names the policy; otherwise that is "MlpPolicy".
        hears_rewards: ``predict`` takes ``reward``, float32 ``[B]``: what each world paid in the last step, as the
            agent is told it (after perturbations of rewards). Where an episode has just begun it means nothing.
        promises: ``promised(state, B)`` gives the undiscounted returns ``[B]`` that it expects of the episodes that
            have just begun, from the state that their first ``predict`` gave.
        knows_words: ``words`` lists the words of texts that it tells apart; None where it reads any.
        resizable: ``acting_in(env)`` gives a player for another environment, whose spaces may have other sizes.
        suite: the suite that the command line suggests for it.
    """

    learns_from: Literal["environment", "dataset"] = "environment"
    sets_worlds: bool = False
    names_policy: bool = False
    hears_rewards: bool = False
    promises: bool = False
    knows_words: bool = False
    resizable: bool = False
    suite: str = "perturbations"


@runtime_checkable
class Player(Protocol):
    """Who can be evaluated: an agent, also one of Stable-Baselines3, or a controller made by hand.

    A controller may have no ``predict`` before :func:`acting_in` tells it where it plays.
    """

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """Of one world."""

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        """Of one world."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Actions ``[B, ...]`` for observations ``[B, ...]``, and the state for the next call."""


class Agent(Player, Protocol):
    """Who can be trained, saved and resumed; ``agentgym.agents`` says how its class is called.

    ``num_timesteps`` counts environment steps, of an agent that learns from a dataset gradient steps.
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[Any]
    traits: ClassVar[Traits]

    @property
    def num_timesteps(self) -> int:
        """Steps learned so far."""

    @property
    def logger(self) -> Any:
        """Stable-Baselines3's ``Logger``, with the latest update's measurements in it."""

    def set_logger(self, logger: Any) -> None:
        """Log there from now on."""

    def get_env(self) -> Any:
        """The environments that it learns in; None without any."""

    def learn(self, total_timesteps: int, *, callback: Any = None, reset_num_timesteps: bool = True) -> Any:
        """Train for ``total_timesteps`` steps; returns itself."""

    def inventory(self) -> "Inventory":
        """All that the rest of a run depends on."""

    def save(self, path: Path | str) -> None:
        """Write the agent as the folder ``path``."""

    @classmethod
    def load(cls, path: Path | str, env: Any = None, device: Any = "auto", **arguments: Any) -> Any:
        """Read an agent that :meth:`save` wrote; with ``env`` it can go on learning, or be evaluated while it does."""

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """State dictionaries of networks and optimisers, by name."""

    def set_parameters(self, load_path_or_dict: Path | str | dict[str, Any], exact_match: bool = True) -> None:
        """Take what :meth:`get_parameters` gives, or a saved agent's."""


_FOREIGN = Traits()


def traits_of(agent: Any) -> Traits:
    """The traits of an agent or its class; the defaults for one of another library."""
    found = getattr(agent, "traits", _FOREIGN)
    return found if isinstance(found, Traits) else _FOREIGN


def acting_in(agent: Any, env: Any) -> Any:
    """The player that ``agent`` is in ``env``, single or batched; most are the same everywhere.

    Raises:
        InvalidParameter, SpaceMismatch: it cannot play there.
    """
    return agent.acting_in(env) if traits_of(agent).resizable else agent


def words_of(agent: Any) -> tuple[str, ...] | None:
    """The words of texts that an agent tells apart; None where it reads any."""
    return agent.words if traits_of(agent).knows_words else None


def ask(
    agent: Any,
    observations: Any,
    state: Any,
    starts: np.ndarray,
    rewards: np.ndarray,
    deterministic: bool,
    commands: Any = None,
) -> tuple[Any, Any]:
    """Actions ``[B, ...]`` and the agent's next state, by ``agent.predict``.

    Args:
        agent: a :class:`Player`.
        observations: of B worlds.
        state: what the last call gave, None in the first.
        starts: which worlds' episodes have just begun, bool ``[B]``.
        rewards: of the last step, as the agent is told them, ``[B]``; only an agent that hears rewards gets them.
        deterministic: the policy's mode instead of a sample.
        commands: the admissible ones of each world of texts; None where the worlds are none.
    """
    heard: dict[str, Any] = {} if commands is None else {"commands": commands}
    if traits_of(agent).hears_rewards:
        heard["reward"] = np.where(starts, 0.0, rewards).astype(np.float32)
    actions, state = agent.predict(
        observations, state=state, episode_start=starts, deterministic=deterministic, **heard
    )
    return actions, state


def promises(agent: Any, state: Any, count: int) -> np.ndarray | None:
    """The returns that the agent promises in ``count`` worlds, float64 ``[count]``; None where it promises none.

    Only the entries of episodes whose first step was just asked for mean something.
    """
    if not traits_of(agent).promises:
        return None
    return np.asarray(agent.promised(state, count), np.float64)
