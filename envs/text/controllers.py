"""Hand-made baseline players: an oracle, an explorer, and a random player."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from gymnasium.spaces import Space

from agentgym.contracts.agent import Traits
from agentgym.envs.text.world import World
from agentgym.errors import InvalidParameter
from agentgym.seeding import stream

__all__ = ["Controller", "Player", "controllers"]


@dataclass(frozen=True)
class Controller:
    """A player with access to the environment's state, so it must be attached to one with :meth:`acting_in`.

    Attributes:
        kind: "oracle" (a shortest plan from the current state), "explorer" (uses only what has been observed) or
            "random" (any admissible command).
        observation_space, action_space: of the environment that made it; it can play in others of the same kind.
    """

    traits: ClassVar[Traits] = Traits(resizable=True)

    kind: str
    observation_space: Space[str]
    action_space: Space[str]

    def acting_in(self, env: Any) -> "Player":
        """The player for ``env``, single or batched, possibly wrapped.

        Raises:
            InvalidParameter: not a text environment of this package, or an explorer's environment has none.
        """
        worlds = getattr(env.unwrapped, "worlds", [env.unwrapped])
        if not all(hasattr(world, "plan") for world in worlds):
            raise InvalidParameter(f"A controller of text worlds cannot play in {env}.")
        if self.kind == "explorer" and not worlds[0].world.can_explore:
            raise InvalidParameter("The explorer supports only households and code repair.")
        return Player(self, worlds, getattr(env, "outward", lambda command, world: command))


class PlayedEnv(Protocol):
    """The parts of a text environment that players use."""

    world: World

    @property
    def np_random_seed(self) -> int | None:
        """The seed of the last seeded reset."""

    def plan(self) -> list[str]:
        """The commands of a plan from the current state to success."""


class Player:
    """A controller attached to an environment.

    Args:
        controller: the controller.
        worlds: the unwrapped environments, one per world.
        outward: ``(command, world) -> command``, translates a world's own command for the wrappers around it.
    """

    def __init__(self, controller: Controller, worlds: Sequence[PlayedEnv], outward: Callable[[str, int], str]) -> None:
        self.controller, self._worlds, self._outward = controller, worlds, outward
        self.observation_space, self.action_space = controller.observation_space, controller.action_space
        self._memories: list[Any] = [None] * len(worlds)

    def predict(
        self,
        observation: str | Sequence[str | None],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        commands: Any = None,
    ) -> tuple[Any, None]:
        """A command for one observation, or a list for a list (None: that world waits). ``commands`` is not used."""
        single = isinstance(observation, str)
        seen: Sequence[str | None] = [observation] if isinstance(observation, str) else observation
        fresh = np.ones(len(seen), bool) if state is None and episode_start is None else np.atleast_1d(episode_start)
        given = ["" if text is None else self._command(world, bool(fresh[world])) for world, text in enumerate(seen)]
        return (given[0] if single else given), None

    def _command(self, world: int, fresh: bool) -> str:
        env = self._worlds[world]
        if self.controller.kind == "random":
            if fresh:
                self._memories[world] = stream(env.np_random_seed or 0, "random player")
            # Sorted, so that the draw does not depend on the order or the wording of the list.
            listed = sorted(env.world.commands())
            return self._outward(listed[self._memories[world].integers(len(listed))], world) if listed else ""
        if self.controller.kind == "explorer":
            if fresh:
                self._memories[world] = env.world.explorer()
            return self._outward(self._memories[world].command(), world)
        plan = env.plan()
        return self._outward(plan[0], world) if plan else ""


def controllers(world: World, observation_space: Space[str], action_space: Space[str]) -> dict[str, Controller]:
    """All controllers that support a world, by name."""
    kinds = ("oracle", "explorer", "random") if world.can_explore else ("oracle", "random")
    return {kind: Controller(kind, observation_space, action_space) for kind in kinds}
