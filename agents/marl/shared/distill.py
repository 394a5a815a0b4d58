"""Imitation of two policies by one network: DAgger (Ross, Gordon, Bagnell 2011)."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from agentgym.agents.common.inventory import attributes, learned
from agentgym.agents.marl.shared.config import SharedGradientConfig
from agentgym.agents.marl.shared.switch import TwoPolicies
from agentgym.agents.marl.shared.worlds import DifferentiableWorlds
from agentgym.runs.state import Item
from agentgym.seeding import episode_seed, stream

__all__ = ["Imitation"]

IMITATION = 2  # kind of seeds, see ascent.py
BATCH = 128  # joint observations, half of them from inside


class Imitation:
    """Rounds of play and fitting; the first round is played by the teacher, the others by the student.

    Args:
        teacher: the two policies.
        config: the hyperparameters.
        root: seed of the run.

    Attributes:
        student: the network that learns; it begins as the inner policy.
        best: the student with the best score in its own round.
        score: its score, see :meth:`Played.score`.
        round: rounds played.
    """

    def __init__(self, teacher: TwoPolicies, config: SharedGradientConfig, root: int) -> None:
        self.teacher, self.config, self.root = teacher, config, root
        self.student, self.best = deepcopy(teacher.inner), deepcopy(teacher.inner)
        self.score, self.round = [-1.0, 0.0], 0
        self.seen, self.labels = torch.zeros(0), torch.zeros(0)
        self.inside = torch.zeros(0, dtype=torch.bool)

    def items(self) -> list[Item]:
        """The state of the stage."""
        parts = [*learned({"student": self.student, "best": self.best})]
        parts += attributes(self, ("score", "round", "seen", "labels", "inside"))
        return [Item(f"imitation.{item.name}", item.read, item.write) for item in parts]

    def cost(self, worlds: DifferentiableWorlds) -> int:
        """Steps of a round."""
        return worlds.length * self.config.distill_worlds

    def go_round(self, worlds: DifferentiableWorlds, tick: Callable[[int], None]) -> dict[str, float]:
        """Fit the student to all rounds so far, then play one in which the teacher says what it would have done."""
        told: dict[str, float] = {}
        student = self.round > 0
        if student:
            told["imitation_loss"] = self._fit()
        else:
            self.student.load_state_dict(self.teacher.inner.state_dict())
        labels: list[Tensor] = []

        def act(seen: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
            wanted, inside = self.teacher(seen, inside)
            labels.append(wanted)
            return (self.teacher.actor(self.student, seen) if student else wanted), inside

        count = self.config.distill_worlds
        starts = [worlds.starts[world % len(worlds.starts)] for world in range(count)]
        seeds = [episode_seed(self.root, IMITATION, self.round, world) for world in range(count)]
        played = worlds.play(act, seeds, starts, tick, True)
        self._keep(played.seen, torch.stack(labels), played.inside)
        found = played.score()
        if student and found > tuple(self.score):
            self.score = list(found)
            self.best.load_state_dict(self.student.state_dict())
        self.round += 1
        return told | {"imitation_inside": found[0], "imitation_reward": found[1]}

    def _keep(self, seen: Tensor, labels: Tensor, inside: Tensor) -> None:
        new = (seen.flatten(0, 1).float(), labels.flatten(0, 1), inside.flatten())
        old = (self.seen, self.labels, self.inside)
        self.seen, self.labels, self.inside = (
            torch.cat((a.to(b.device), b)) if len(a) else b for a, b in zip(old, new, strict=True)
        )

    def _fit(self) -> float:
        """Least squares on the teacher's actions; the mean loss of the last tenth of the updates."""
        config, actor = self.config, self.teacher.actor
        windows = actor.windows_of(self.seen).unflatten(0, (len(self.seen), -1))
        labels = self.labels.reshape(*windows.shape[:2], -1)
        groups = [
            part for part in (torch.nonzero(which).flatten() for which in (self.inside, ~self.inside)) if len(part)
        ]
        optimizer = torch.optim.Adam(self.student.parameters(), config.distill_rate)
        draws = stream(self.root, "imitation", self.round)
        losses = []
        for update in range(config.distill_updates):
            optimizer.param_groups[0]["lr"] = config.distill_rate * (1 - 0.9 * update / config.distill_updates)
            rows = torch.cat([part[_draw(draws, len(part), BATCH // len(groups))] for part in groups])
            loss = nn.functional.mse_loss(self.student(windows[rows].flatten(0, 1)), labels[rows].flatten(0, 1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def _draw(generator: np.random.Generator, count: int, size: int) -> Tensor:
    return torch.as_tensor(generator.integers(count, size=size))
