"""The data of a rollout: tokens as they were read and sampled, never encoded again from text."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["VOID", "Batch", "Episode", "Turn", "collate"]

# Values of ``info["problem"]`` for a turn without any command, valid or not.
VOID = ("empty", "overlong", "unparsable")


@dataclass
class Turn:
    """One turn: an observation and the command that followed.

    Attributes:
        anchor: a number that is equal for equal states within a group of episodes.
        positions: index in the episode's tokens of each sampled token; of a chosen command, of its first token.
        logps, entropies: of each decision under the policy that made it, in nats; empty for a repeated turn.
        acted: log-probabilities with which the decisions were drawn, at the rollout's temperature; None: ``logps``.
        choices: the tokens of the commands to choose from; None for written commands.
        choice: index of the chosen one.
        command: the text passed to the environment.
        reward: the reward of the turn.
        valid: whether the environment could carry out the command.
        problem: why not, in the environment's words; None if it could.
    """

    anchor: int
    positions: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    acted: list[float] | None = None
    choices: list[list[int]] | None = None
    choice: int = 0
    command: str = ""
    reward: float = 0.0
    valid: bool = True
    problem: str | None = None


@dataclass
class Episode:
    """One episode as a single sequence of tokens.

    Attributes:
        group: number of its task in the iteration; the episodes of a group start in the same state.
        seed: seed of the task.
        ids: all tokens, read and sampled.
        sampled: whether each token was sampled by the policy.
        turns: the turns in order.
        won: whether the task was completed.
        ended: "terminated" or "truncated" by the environment, "overlong" (the context is full), "stopped" by a filter.
        first: the first turn to learn from; turns before it are shared with another episode.
        told: whether the policy read a note that ``ids`` do not have, so that ``logps`` are not those of ``ids``.
        unjudged: why the environment could not judge the episode; "" if it did. Its reward says nothing.
    """

    group: int
    seed: int
    ids: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    won: bool = False
    ended: str = ""
    first: int = 0
    told: bool = False
    unjudged: str = ""


@dataclass
class Batch:
    """A batch of episodes: B episodes, L tokens, T turns, U decisions (sampled tokens, or chosen commands).

    Rows are padded at their ends; masks and counts tell what is padding.

    Attributes:
        ids: int64 [B, L].
        lengths: int64 [B], tokens.
        sampled: bool [B, L], tokens sampled by the policy.
        at: int64 [B, U], index of the token from whose state the decision was made; -1 is padding.
        targets: int64 [B, U], the sampled token, or the index of the chosen command.
        choices: int64 [B, U, C, W], tokens of the admissible commands, padded with -1; None for written commands.
        turn: int64 [B, U], the turn (which is the environment's step) of each decision.
        mask: bool [B, U], decisions to learn from.
        old_logp, old_entropy: float32 [B, U], under the policy before the update.
        rollout_logp: float32 [B, U], with which the decisions were drawn: ``old_logp``, unless the rollout had another
            temperature, or the policy read a note that the tokens do not have.
        rewards: float32 [B, T].
        anchors: int64 [B, T], -1 after the last turn.
        valid: bool [B, T].
        turns: int64 [B].
        group: int64 [B].
        won: bool [B].
        whole: bool [B], whether the environment ended the episode.
        void: bool [B], whether a turn had no command at all.
        repeated: int64 [B], count of the most frequent 20-gram of sampled tokens.
        advantages: float32 [B, U], set by the learner.
    """

    ids: Tensor
    lengths: Tensor
    sampled: Tensor
    at: Tensor
    targets: Tensor
    choices: Tensor | None
    turn: Tensor
    mask: Tensor
    old_logp: Tensor
    old_entropy: Tensor
    rewards: Tensor
    anchors: Tensor
    valid: Tensor
    turns: Tensor
    group: Tensor
    won: Tensor
    whole: Tensor
    void: Tensor
    repeated: Tensor
    advantages: Tensor
    rollout_logp: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Tensor) -> "Batch":
        """The episodes at ``index``, with no more padding than they need."""
        picked = {name: None if value is None else value[index] for name, value in self._parts()}
        return Batch(**picked).trimmed()  # type: ignore[arg-type]

    def trimmed(self) -> "Batch":
        """The batch without columns that are padding in every row."""
        tokens, turns = int(self.lengths.max()), int(self.turns.max())
        there = self.at >= 0
        decisions = int(there.sum(1).max())
        cut: dict[str, int] = dict.fromkeys(("ids", "sampled"), tokens)
        cut |= dict.fromkeys(("at", "targets", "choices", "turn", "mask", "old_logp", "old_entropy"), decisions)
        cut |= dict.fromkeys(("rewards", "anchors", "valid"), turns)
        cut |= dict.fromkeys(("advantages", "rollout_logp"), decisions)
        parts = {
            name: value[:, : cut[name]] if value is not None and name in cut else value for name, value in self._parts()
        }
        return Batch(**parts)  # type: ignore[arg-type]

    def to(self, device: torch.device | str) -> "Batch":
        """A copy on another device."""
        return Batch(**{name: None if value is None else value.to(device) for name, value in self._parts()})  # type: ignore[arg-type]

    def returns(self) -> Tensor:
        """float32 [B]: each episode's sum of rewards."""
        return self.rewards.sum(1)

    def pay(self, amounts: Tensor) -> None:
        """Add amounts [B] to each episode's last reward."""
        rows = torch.arange(len(self), device=amounts.device)
        self.rewards[rows, self.turns - 1] += amounts.to(self.rewards.dtype)

    @property
    def free(self) -> Tensor:
        """bool [B, U]: which decisions had an alternative; the others have log-probability 0 whatever is learned."""
        there = self.at >= 0
        if self.choices is None:
            return there
        return there & (self.choices[:, :, 1, 0] >= 0) if self.choices.shape[2] > 1 else torch.zeros_like(there)

    @property
    def played(self) -> Tensor:
        """bool [B, T]: which turns were played; the others are padding."""
        return torch.arange(self.rewards.shape[1], device=self.turns.device) < self.turns[:, None]

    def at_decisions(self, values: Tensor) -> Tensor:
        """[B, U]: the value of each decision's turn, from [B, T], or of its episode, from [B]."""
        return values[:, None].expand_as(self.turn) if values.dim() == 1 else values.gather(1, self.turn)

    def turn_means(self, values: Tensor) -> Tensor:
        """[B, T]: the mean of ``values`` [B, U] over each turn's decisions; 0 for turns without any."""
        there = (self.at >= 0).to(values.dtype)
        shape = self.rewards.shape
        sums = torch.zeros(shape, device=values.device).scatter_add_(1, self.turn, values * there)
        counts = torch.zeros(shape, device=values.device).scatter_add_(1, self.turn, there)
        return sums / counts.clamp(min=1)

    def state(self) -> dict[str, Any]:
        """Arrays by name, for checkpoints."""
        return {name: None if value is None else value.cpu().numpy() for name, value in self._parts()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Batch":
        """The batch whose :meth:`state` this is."""
        arrays = {name: None if value is None else np.array(value) for name, value in state.items()}
        parts: dict[str, Any] = {
            name: None if value is None else torch.as_tensor(value) for name, value in arrays.items()
        }
        return cls(**{"rollout_logp": parts["old_logp"], **parts})  # older files have no log-probabilities of rollouts

    @classmethod
    def joined(cls, batches: Sequence["Batch"]) -> "Batch":
        """All rows of several batches, padded to a common size."""
        parts: dict[str, Tensor | None] = {}
        for field_ in fields(cls):
            values = [getattr(batch, field_.name) for batch in batches]
            parts[field_.name] = None if values[0] is None else _padded(values, _FILL.get(field_.name, 0))
        return cls(**parts)  # type: ignore[arg-type]

    def _parts(self) -> list[tuple[str, Tensor | None]]:
        return [(item.name, getattr(self, item.name)) for item in fields(self)]


_FILL = {"at": -1, "anchors": -1, "choices": -1}


def _padded(values: Sequence[Tensor], fill: int) -> Tensor:
    shape = [max(sizes) for sizes in zip(*(value.shape[1:] for value in values), strict=True)]
    total = sum(len(value) for value in values)
    out = torch.full((total, *shape), fill, dtype=values[0].dtype, device=values[0].device)
    first = 0
    for value in values:
        place = (slice(first, first + len(value)), *(slice(0, size) for size in value.shape[1:]))
        out[place] = value
        first += len(value)
    return out


def collate(episodes: Sequence[Episode], choosing: bool) -> Batch:
    """Join episodes into a batch.

    Args:
        episodes: of any lengths; at least one.
        choosing: whether commands were chosen from lists instead of written token by token.
    """
    count = len(episodes)
    tokens = max(len(episode.ids) for episode in episodes)
    turns = max(1, *(len(episode.turns) for episode in episodes))
    decisions = max(1, *(sum(len(turn.logps) for turn in episode.turns) for episode in episodes))
    wide = [len(option) for e in episodes for turn in e.turns for option in turn.choices or ()]
    many = [len(turn.choices or ()) for e in episodes for turn in e.turns]
    ints: dict[str, np.ndarray] = {
        "ids": np.zeros((count, tokens), np.int64), "at": np.full((count, decisions), -1, np.int64),
        "targets": np.zeros((count, decisions), np.int64), "turn": np.zeros((count, decisions), np.int64),
        "anchors": np.full((count, turns), -1, np.int64),
    }  # fmt: skip
    sampled, valid = np.zeros((count, tokens), bool), np.zeros((count, turns), bool)
    floats = {name: np.zeros((count, decisions), np.float32) for name in ("old_logp", "old_entropy", "rollout_logp")}
    rewards = np.zeros((count, turns), np.float32)
    size = (count, decisions, max([1, *many]), max([1, *wide]))
    choices = np.full(size, -1, np.int64) if choosing else None
    for row, episode in enumerate(episodes):
        ints["ids"][row, : len(episode.ids)] = episode.ids
        sampled[row, : len(episode.ids)] = episode.sampled
        place = 0
        for step, turn in enumerate(episode.turns):
            rewards[row, step], valid[row, step], ints["anchors"][row, step] = turn.reward, turn.valid, turn.anchor
            span = slice(place, place + len(turn.logps))
            ints["turn"][row, span] = step
            ints["at"][row, span] = np.array(turn.positions) - 1
            floats["old_logp"][row, span], floats["old_entropy"][row, span] = turn.logps, turn.entropies
            floats["rollout_logp"][row, span] = turn.logps if turn.acted is None else turn.acted
            if choices is None:
                ints["targets"][row, span] = [episode.ids[position] for position in turn.positions]
            else:
                ints["targets"][row, span] = turn.choice
                for number, option in enumerate(turn.choices or ()):
                    choices[row, place, number, : len(option)] = option
            place = span.stop
    numbers = {name: torch.as_tensor(value) for name, value in (ints | floats).items()}
    first = torch.tensor([episode.first for episode in episodes])
    return Batch(
        **numbers,
        lengths=torch.tensor([len(episode.ids) for episode in episodes]),
        sampled=torch.as_tensor(sampled),
        choices=None if choices is None else torch.as_tensor(choices),
        mask=(numbers["at"] >= 0) & (numbers["turn"] >= first[:, None]),
        rewards=torch.as_tensor(rewards),
        valid=torch.as_tensor(valid),
        turns=torch.tensor([len(episode.turns) for episode in episodes]),
        group=torch.tensor([episode.group for episode in episodes]),
        won=torch.tensor([episode.won for episode in episodes]),
        whole=torch.tensor([episode.ended in ("terminated", "truncated") for episode in episodes]),
        void=torch.tensor([any(turn.problem in VOID for turn in episode.turns) for episode in episodes]),
        repeated=torch.tensor([_most_repeated(episode) for episode in episodes]),
        advantages=torch.zeros(count, decisions),
    )


def _most_repeated(episode: Episode, length: int = 20) -> int:
    """Count of the most frequent run of ``length`` sampled tokens, for Dr.BoT's filter."""
    written = [number for number, own in zip(episode.ids, episode.sampled, strict=True) if own]
    runs: dict[tuple[int, ...], int] = {}
    for start in range(len(written) - length + 1):
        run = tuple(written[start : start + length])
        runs[run] = runs.get(run, 0) + 1
    return max(runs.values(), default=0)
