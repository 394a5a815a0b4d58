"""What is measured in every run: where entropy goes, what clipping holds back, which episodes teach nothing; alarms."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch, Episode

__all__ = ["Alarms", "UpdateMeasures", "measure_rollout"]

# Turns by which entropy and clipping are told apart: single ones first, then ever wider ranges.
BUCKETS = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, 10_000))


def _bucket_name(first: int, last: int) -> str:
    return f"{first}" if last == first + 1 else f"{first}+" if last == 10_000 else f"{first}-{last - 1}"


def _by_turn(name: str, values: Tensor, turn: Tensor, there: Tensor) -> dict[str, float]:
    """Means of ``values`` [B, U] over the decisions of each range of turns; ranges that nobody reached are left out."""
    metrics = {}
    for first, last in BUCKETS:
        chosen = there & (turn >= first) & (turn < last)
        if chosen.any():
            metrics[f"{name}/turn_{_bucket_name(first, last)}"] = float(values[chosen].mean())
    return metrics


def measure_rollout(episodes: list[Episode], batch: Batch) -> dict[str, float]:
    """Of what the policy did, before any learning; keys are explained in the card."""
    turns = [turn for episode in episodes for turn in episode.turns]
    there = batch.at >= 0
    _, place = batch.group.unique(return_inverse=True)
    wins = torch.zeros(int(place.max()) + 1).index_add_(0, place, batch.won.float())
    sizes = torch.zeros_like(wins).index_add_(0, place, torch.ones(len(batch)))
    again = sum(
        now.command == before.command
        for episode in episodes
        for before, now in zip(episode.turns, episode.turns[1:], strict=False)
    )
    several = sum(max(0, len(episode.turns) - 1) for episode in episodes)
    measured = {
        "rollout/success": float(batch.won.float().mean()),
        "rollout/dead_groups_failed": float((wins == 0).float().mean()),
        "rollout/dead_groups_solved": float((wins == sizes).float().mean()),
        "rollout/invalid_turns": sum(not turn.valid for turn in turns) / len(turns),
        "rollout/void_episodes": float(batch.void.float().mean()),
        "rollout/overlong_episodes": sum(episode.ended == "overlong" for episode in episodes) / len(episodes),
        "rollout/repeated_commands": again / max(1, several),
        "rollout/tokens": float(batch.lengths.sum()),
        "entropy/mean": float(batch.old_entropy[there].mean()),
    }
    return measured | _by_turn("entropy", batch.old_entropy, batch.turn, there)


@dataclass
class UpdateMeasures:
    """Collects, over an iteration's gradient steps, what its passes compute anyway.

    Attributes:
        clipped: decisions that clipping took out, of how many, for each range of turns.
        displacement: sum of log p - log p_old over decisions with positive and with negative advantage, and counts.
        gap: the largest |log p - log p_old| before the first gradient step: how far learning and acting disagree.
    """

    clipped: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0] for _ in BUCKETS])
    displacement: dict[str, list[float]] = field(
        default_factory=lambda: {"positive": [0.0, 0.0], "negative": [0.0, 0.0]}
    )
    gap: float | None = None

    def add(self, batch: Batch, logp: Tensor, clipped: Tensor, last_epoch: bool) -> None:
        """See one minibatch's pass."""
        moved = (logp.detach() - batch.old_logp)[batch.mask]
        if self.gap is None:
            self.gap = float(moved.abs().max()) if len(moved) else 0.0
        hit, turn = clipped[batch.mask].float(), batch.turn[batch.mask]
        edges = torch.tensor([last for _, last in BUCKETS], device=turn.device)
        place = torch.bucketize(turn, edges, right=True)
        hits = torch.zeros(len(BUCKETS), device=turn.device).index_add_(0, place, hit).tolist()
        counts = torch.bincount(place, minlength=len(BUCKETS)).tolist()
        for kept, more, number in zip(self.clipped, hits, counts, strict=True):
            kept[0] += more
            kept[1] += number
        if last_epoch:
            advantages = batch.advantages[batch.mask]
            for name, chosen in (("positive", advantages > 0), ("negative", advantages < 0)):
                self.displacement[name][0] += float(moved[chosen].sum())
                self.displacement[name][1] += int(chosen.sum())

    def metrics(self) -> dict[str, float]:
        """train/clip_fraction (and by turn), train/displacement_positive and _negative, train/logp_gap."""
        hits, counts = (sum(pair[index] for pair in self.clipped) for index in (0, 1))
        metrics = {"train/clip_fraction": hits / max(1, counts), "train/logp_gap": self.gap or 0.0}
        for (first, last), (hit, count) in zip(BUCKETS, self.clipped, strict=True):
            if count:
                metrics[f"clip_fraction/turn_{_bucket_name(first, last)}"] = hit / count
        for name, (total, count) in self.displacement.items():
            metrics[f"train/displacement_{name}"] = total / max(1, count)
        return metrics


@dataclass
class Alarms:
    """Warns once for each sign of collapse; ``alarm/...`` in the log is 1 while it lasts.

    Attributes:
        best: the highest running success.
        running: success averaged over some ten iterations.
        warned: which alarms have been heard.
    """

    best: float = 0.0
    running: float | None = None
    warned: list[str] = field(default_factory=list)

    def check(self, measured: dict[str, float]) -> dict[str, float]:
        """Alarms for one iteration's measurements."""
        success = measured["rollout/success"]
        self.running = success if self.running is None else 0.9 * self.running + 0.1 * success
        self.best = max(self.best, self.running)
        falling = self.running < 0.8 * self.best
        metrics = {
            "alarm/entropy_collapse": measured["entropy/mean"] < 0.05 and falling,
            "alarm/void": measured["rollout/void_episodes"] > 0.5,
            "alarm/repetition": measured["rollout/repeated_commands"] > 0.5,
            "alarm/likelihood_displacement": measured.get("train/displacement_positive", 0.0) < -0.1,
            "alarm/logp_gap": measured.get("train/logp_gap", 0.0) > 0.01,
        }
        for name in [name for name, heard in metrics.items() if heard and name not in self.warned]:
            self.warned.append(name)
            warnings.warn(f"{name}: {_ADVICE[name]}", stacklevel=2)
        return {name: float(heard) for name, heard in metrics.items()}

    def state(self) -> dict[str, Any]:
        """All three."""
        return {"best": self.best, "running": self.running, "warned": self.warned}

    def restore(self, state: dict[str, Any]) -> None:
        """Put them back."""
        self.best, self.running, self.warned = state["best"], state["running"], list(state["warned"])


_ADVICE = {
    "alarm/entropy_collapse": "the policy has become sure of itself and success falls; raise the entropy bonus.",
    "alarm/void": "most episodes have a turn without any command; look at what the policy writes.",
    "alarm/repetition": "most commands repeat the one before.",
    "alarm/likelihood_displacement": "good decisions become less likely; try llds, or a smaller learning rate.",
    "alarm/logp_gap": "acting and learning compute different probabilities for the same tokens.",
}
