"""Token trees of the commands of a choice, so that common prefixes are computed once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from agentgym.agents.language.policies.policy import IMPOSSIBLE

__all__ = ["Forest"]


class Forest:
    """One token tree per decision, for B rows of at most U decisions, C commands and Q nodes.

    A node is a token shared by one or more commands. It attends to the transcript up to the decision, to its ancestors
    and to itself, so that one pass over a row's nodes gives the exact probabilities of all commands.

    Args:
        options: token ids, indexed by row, decision and command.
        closing: the token that ends a command. Its probability is part of the command's, which tells "mug 1" from
            the start of "mug 12".
        device: device of all tensors.

    Attributes:
        tokens: int64 [B, Q].
        depth: int64 [B, Q], from 0.
        decision: int64 [B, Q], the decision that a node belongs to; -1 is padding.
        ancestry: bool [B, Q, Q], whether a node (first Q) attends to another (second Q); padding attends to itself.
    """

    def __init__(
        self, options: Sequence[Sequence[Sequence[Sequence[int]]]], closing: int, device: torch.device | str
    ) -> None:
        rows = [_Row(decisions, closing) for decisions in options]
        count, size = len(rows), max(1, *(len(row.tokens) for row in rows))
        self.shape = (
            count,
            max(len(decisions) for decisions in options),
            max((len(commands) for decisions in options for commands in decisions), default=0),
        )
        self.tokens = torch.zeros(count, size, dtype=torch.int64)
        self.depth = torch.zeros_like(self.tokens)
        self.decision = torch.full_like(self.tokens, -1)
        self.ancestry = torch.eye(size, dtype=torch.bool).repeat(count, 1, 1)
        sources: list[int] = []  # per edge: the state that predicts its token
        ends: list[int] = []  # per edge: the token
        edges: list[int] = []  # per token of each command: its edge, and the command
        commands: list[int] = []
        self.lengths = torch.ones(count * self.shape[1] * self.shape[2])
        for number, row in enumerate(rows):
            nodes = slice(0, len(row.tokens))
            self.tokens[number, nodes] = torch.tensor(row.tokens, dtype=torch.int64)
            self.depth[number, nodes] = torch.tensor([len(path) for path in row.ancestors], dtype=torch.int64)
            self.decision[number, nodes] = torch.tensor(row.decision, dtype=torch.int64)
            for node, path in enumerate(row.ancestors):
                self.ancestry[number, node, path] = True
            roots, inner = number * self.shape[1], count * self.shape[1] + number * size
            first = len(ends)
            for decision, parent, token in row.edges:
                sources.append(roots + decision if parent < 0 else inner + parent)
                ends.append(token)
            for decision, command, path in row.paths:
                place = (roots + decision) * self.shape[2] + command
                edges += [first + edge for edge in path]
                commands += [place] * len(path)
                self.lengths[place] = len(path)
        self._sources, self._at = torch.tensor(sources, dtype=torch.int64).unique(return_inverse=True)
        self._ends, self._edges, self._commands = (
            torch.tensor(values, dtype=torch.int64) for values in (ends, edges, commands)
        )
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))

    def scores(self, head: Callable[[Tensor], Tensor], roots: Tensor, nodes: Tensor, by_mean: bool = False) -> Tensor:
        """float32 [B, U, C]: log-probabilities of the commands (sum over tokens); IMPOSSIBLE marks padding.

        Args:
            head: logits [..., V] from states [..., D].
            roots: [B, U, D], states at the decisions.
            nodes: [B, Q, D], states of the nodes.
            by_mean: take the mean over tokens instead of the sum.
        """
        states = torch.cat([roots.flatten(0, 1), nodes.flatten(0, 1)])
        logs = torch.log_softmax(head(states[self._sources]).float(), -1)
        judged = logs[self._at, self._ends][self._edges]
        flat = torch.zeros(len(self.lengths), device=judged.device).index_add(0, self._commands, judged)
        if by_mean:
            flat = flat / self.lengths
        there = torch.zeros_like(flat, dtype=torch.bool).index_fill(0, self._commands, True)
        return flat.masked_fill(~there, IMPOSSIBLE).reshape(self.shape)


class _Row:
    """The trees of one row's decisions, as lists."""

    def __init__(self, decisions: Sequence[Sequence[Sequence[int]]], closing: int) -> None:
        self.tokens: list[int] = []
        self.decision: list[int] = []
        self.ancestors: list[list[int]] = []
        self.edges: dict[tuple[int, int, int], int] = {}  # (decision, parent or -1, token): the edge's number
        self.paths: list[tuple[int, int, list[int]]] = []
        nodes: dict[tuple[int, int, int], int] = {}
        for number, commands in enumerate(decisions):
            for command, words in enumerate(commands):
                parent, path = -1, []
                for token in words:
                    key = (number, parent, token)
                    path.append(self.edges.setdefault(key, len(self.edges)))
                    if key not in nodes:
                        nodes[key] = len(self.tokens)
                        self.tokens.append(token)
                        self.decision.append(number)
                        self.ancestors.append([] if parent < 0 else [*self.ancestors[parent], parent])
                    parent = nodes[key]
                path.append(self.edges.setdefault((number, parent, closing), len(self.edges)))
                self.paths.append((number, command, path))
