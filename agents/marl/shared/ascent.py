"""The gradient stage: an episode in a few worlds with a step of Adam every window, then a validation of the average.

A window's mean reward is differentiated through policy and environment (backpropagation through time). The state goes
on to the next window without its gradient. Where there are two policies, rewards count from the first step of a window
at which a world is inside, also if it leaves again.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from agentgym.agents.common.inventory import Part, attributes, learned
from agentgym.agents.marl.shared.config import SharedGradientConfig
from agentgym.agents.marl.shared.switch import TwoPolicies
from agentgym.agents.marl.shared.worlds import DifferentiableWorlds, Played
from agentgym.errors import NonFinite
from agentgym.runs.state import Item
from agentgym.seeding import episode_seed

__all__ = ["TRAINING", "VALIDATION", "Ascent"]

VALIDATION, TRAINING = 0, 1  # kinds of seeds; imitation has 2
MEDIAN_WEIGHT = 0.1  # of a window's median norm in the running one

Tick = Callable[[int], None]


class _Window(NamedTuple):
    """A window's end: states, observations, who is inside, how often one left, and the loss (None: nobody was)."""

    state: tuple[Tensor, ...]
    seen: Tensor
    inside: Tensor
    splits: int
    loss: Tensor | None


class Ascent:
    """Trains the inner network of two policies by gradients through the environment.

    Args:
        pilot: the policies; ``pilot.inner`` is trained.
        config: the hyperparameters.
        root: seed of the run.

    Attributes:
        best: the network with the best score on the validation episodes.
        score: its score, see :meth:`Played.score`.
        factor: of the learning rate; halved when fewer validation worlds stay inside than with the best network.
    """

    def __init__(self, pilot: TwoPolicies, config: SharedGradientConfig, root: int) -> None:
        self.pilot, self.config, self.root = pilot, config, root
        self.network = pilot.inner
        self.average, self.best = deepcopy(self.network), deepcopy(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.gradient_rate)
        self.score = [-1.0, 0.0]
        self.episode, self.median, self.factor, self.first_step = 0, 0.0, 1.0, -1

    @property
    def begun(self) -> bool:
        """Whether the stage has begun."""
        return self.first_step >= 0

    def items(self) -> list[Item]:
        """The state of the stage."""
        parts: dict[str, Part] = {"average": self.average, "best": self.best, "optimizer": self.optimizer}
        own = [Item(f"gradient.{item.name}", item.read, item.write) for item in learned(parts)]
        names = ("score", "episode", "median", "factor", "first_step")
        return own + [Item(f"gradient.{item.name}", item.read, item.write) for item in attributes(self, names)]

    def begin(self, worlds: DifferentiableWorlds, step: int, tick: Tick) -> None:
        """Begin the stage with the inner network as it is, which is validated first."""
        self.first_step = step
        self._restart_from(self.network)
        self.score = list(self._validate(worlds, tick).score())

    def cost(self, worlds: DifferentiableWorlds) -> int:
        """Steps of an episode with its validation, at most."""
        validated = len(worlds.starts) * self.config.validation_worlds
        return worlds.length * (self.config.gradient_worlds + validated)

    # An episode

    def improve(self, worlds: DifferentiableWorlds, remaining: float, tick: Tick) -> dict[str, float]:
        """One episode with a gradient step every window; then perhaps a validation. Returns what to log.

        Args:
            worlds: where to play.
            remaining: share of the stage that remains, for the learning rate.
            tick: called with numbers of steps taken.

        Raises:
            NonFinite: the rewards or the gradient are not finite.
        """
        config = self.config
        rate = config.gradient_rate_end + (config.gradient_rate - config.gradient_rate_end) * remaining
        self.optimizer.param_groups[0]["lr"] = rate * self.factor
        told = {"gradient_rate": rate * self.factor, **self._windows(worlds, tick)}
        self.episode += 1
        if self.episode % config.validate_every == 0:
            found = self._validate(worlds, tick).score()
            told |= {"validation_inside": found[0], "validation_reward": found[1]}
            if found > tuple(self.score):
                self.score = list(found)
                self.best.load_state_dict((self.average if config.average else self.network).state_dict())
            elif found[0] < self.score[0]:
                self._restart_from(self.best)
                self.factor *= 0.5
        return told | {"best_inside": self.score[0], "best_reward": self.score[1]}

    def _windows(self, worlds: DifferentiableWorlds, tick: Tick) -> dict[str, float]:
        config = self.config
        count = config.gradient_worlds
        seeds = [episode_seed(self.root, TRAINING, self.episode, world) for world in range(count)]
        state, seen = worlds.begin(seeds, [worlds.turns[world % len(worlds.turns)] for world in range(count)])
        inside = torch.zeros(count, dtype=torch.bool, device=seen.device)
        with torch.no_grad():
            for _ in range(config.lead):
                actions, inside = self.pilot(seen, inside)
                state, seen, _ = worlds.step(state, actions)
                tick(count)
        found: list[float] = []
        norms: list[float] = []
        splits = 0
        for _ in range((worlds.length - config.lead) // config.window):
            played = self._window(worlds, state, seen, inside, tick)
            if played.loss is not None:
                norms.append(self._descend(played.loss))
                found.append(-played.loss.item())
            state, seen, inside = tuple(part.detach() for part in played.state), played.seen.detach(), played.inside
            splits += played.splits
        late = found[len(found) // 2 :]
        return {
            "splits": float(splits), "updates": float(len(found)),
            **({"gradient_norm": max(norms), "late_reward": sum(late) / len(late)} if found else {}),
        }  # fmt: skip

    def _window(self, worlds: DifferentiableWorlds, state: Any, seen: Tensor, inside: Tensor, tick: Tick) -> "_Window":
        config = self.config
        counted, splits = torch.zeros_like(inside), 0
        total, weight = torch.zeros((), dtype=seen.dtype, device=seen.device), 0
        self._norms: list[Tensor] = []
        for step in range(config.window):
            before = inside
            actions, inside = self.pilot(seen, inside)
            splits += int((before & ~inside).sum())
            if step >= config.window - config.detached:
                actions = actions.detach()
            elif config.action_clip and actions.requires_grad:
                actions.register_hook(self._clip)
            state, seen, rewards = worlds.step(state, actions)
            counted = counted | inside
            total = total - rewards[counted].sum()
            weight += int(counted.sum())
            tick(config.gradient_worlds)
        loss = total / weight if weight and total.requires_grad else None
        return _Window(state, seen, inside, splits, loss)

    def _clip(self, gradient: Tensor) -> Tensor:
        """Scale each world's gradient of one action [N, ...] to at most ``action_clip`` times the running median."""
        norms = gradient.flatten(1).norm(dim=1)
        self._norms.append(norms[norms > 0])
        if not self.median:
            return gradient
        scale = (self.config.action_clip * self.median / norms.clamp(min=1e-30)).clamp(max=1.0)
        return gradient * scale.reshape(-1, *[1] * (gradient.ndim - 1))

    def _descend(self, loss: Tensor) -> float:
        """A step of Adam; returns the gradient's norm before it is clipped."""
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_norm)
        if not torch.isfinite(norm) or not torch.isfinite(loss):
            raise NonFinite(
                f"The gradient through the environment is not finite in episode {self.episode} (reward "
                f"{-loss.item():g}, norm {norm.item():g}). Use a shorter window, or a smaller gradient_rate."
            )
        if (seen := torch.cat(self._norms) if self._norms else loss.new_zeros(0)).numel():
            latest = seen.median().item()
            self.median += (MEDIAN_WEIGHT if self.median else 1.0) * (latest - self.median)
        self.optimizer.step()
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(new, self.config.average)
        return norm.item()

    # Selection

    def _validate(self, worlds: DifferentiableWorlds, tick: Tick) -> Played:
        """The validation episodes, the same each time, with the average."""
        starts = [kind for kind in worlds.starts for _ in range(self.config.validation_worlds)]
        seeds = [episode_seed(self.root, VALIDATION, 0, world) for world in range(len(starts))]
        judged = TwoPolicies(
            self.pilot.actor, self.average if self.config.average else self.network, self.pilot.outer,
            self.pilot.switch,
        )  # fmt: skip
        return worlds.play(judged, seeds, starts, tick, self.pilot.switch is not None)

    def _restart_from(self, network: nn.Module) -> None:
        """Continue from these weights, with a fresh average and fresh moments of Adam."""
        state = deepcopy(network.state_dict())
        for each in (self.network, self.average, self.best):
            each.load_state_dict(state)
        self.optimizer.state.clear()
