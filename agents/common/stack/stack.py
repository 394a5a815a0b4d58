"""A stack of equal ReLU networks on the CPU: forward, backward and Adam without autograd.

With h_0 = x, h_k = relu(h_{k-1} W_k^T + b_k) and g_k the loss's gradient before the k-th ReLU:
dW_k = g_k^T h_{k-1},  db_k = sum of g_k over the batch,  g_{k-1} = (g_k W_k) where h_{k-1} > 0.
Matrix products are torch's; everything between two of them is one compiled pass (:mod:`.kernels`). Networks take
turns, so that the memory of one serves all and stays in the processor's cache.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentgym.agents.common.optim import FusedAdam
from agentgym.agents.common.stack import kernels

__all__ = ["Hidden", "Scratch", "Stack"]


class Hidden:
    """The hidden layers of one network on one batch: tensors ``[B, W_k]`` and the same memory as arrays."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.arrays = [tensor.numpy() for tensor in tensors]


class Scratch:
    """Memory that all stacks of an agent use in turn: nothing in it outlives a method of :class:`Stack`."""

    def __init__(self) -> None:
        self._flat: dict[tuple[torch.dtype, str], Tensor] = {}

    def take(self, place: str, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """A ``[rows, columns]`` tensor of arbitrary content; another call with the same ``place`` gets the same."""
        flat = self._flat.get((dtype, place))
        if flat is None or len(flat) < rows * columns:
            flat = self._flat[dtype, place] = torch.empty(rows * columns, dtype=dtype)
        return flat[: rows * columns].view(rows, columns)

    def hidden(self, rows: int, widths: Sequence[int], dtype: torch.dtype) -> Hidden:
        """Hidden layers of those widths."""
        return Hidden([self.take(f"hidden {k}", rows, width, dtype) for k, width in enumerate(widths)])


class Stack:
    """n networks of one shape, at least one hidden layer, with their parameters in one vector.

    The tensors that it is made of become views of that vector, and their gradients and the optimiser's moments views
    of others. They stay what modules, ``state_dict`` and optimisers see. After somebody has put other memory in
    their place, :meth:`bind` takes the values over.

    Args:
        n: how many networks.
        sizes: inputs, units of each hidden layer, outputs.
        parameters: of layer after layer the weights of all networks, ``[n, out, in]``, then their biases,
            ``[n, out]``. A weight or bias may come in several tensors that follow each other (an actor's mean and
            deviation).
        scratch: shared with the agent's other stacks.
        optimizer: of these parameters; without one the stack does not learn.
    """

    def __init__(
        self, n: int, sizes: Sequence[int], parameters: Sequence[Tensor], scratch: Scratch,
        optimizer: FusedAdam | None = None,
    ) -> None:  # fmt: skip
        self.n, self.sizes, self.scratch, self.optimizer = n, tuple(sizes), scratch, optimizer
        self.owned = list(parameters)
        self._kept: list[Hidden] = []
        self._kept_inputs: Tensor | None = None
        self.dtype = self.owned[0].dtype
        shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
        if sum(tensor.numel() for tensor in self.owned) != n * sum(out * (into + 1) for out, into in shapes):
            raise ValueError(f"{n} networks of {sizes} have another number of parameters than those given")
        self._allocate()
        self.bind()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: views would not be views of the copied vectors."""
        return {name: vars(self)[name] for name in ("n", "sizes", "scratch", "optimizer", "owned", "dtype")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _kept=[], _kept_inputs=None)
        self._allocate()
        self.bind()

    # Memory

    def _allocate(self) -> None:
        size = sum(tensor.numel() for tensor in self.owned)
        self.parameters = torch.zeros(size, dtype=self.dtype)
        self._weights, self._biases = self._layers(self.parameters)
        self._shown = self._views(self.parameters)
        self._of_weights: list[list[Tensor]] = []
        self._of_biases: list[list[np.ndarray]] = []
        if self.optimizer is not None:
            self.gradients, self.means, self.squares = (torch.zeros_like(self.parameters) for _ in range(3))
            self._of_weights, self._of_biases = self._layers(self.gradients)
            self._shown_gradients = self._views(self.gradients)
            self.steps = torch.zeros((), dtype=torch.float32)

    def _layers(self, flat: Tensor) -> tuple[list[list[Tensor]], list[list[np.ndarray]]]:
        """Views of a vector: weights ``[out, in]`` and biases ``[out]`` by network and layer."""
        weights: list[list[Tensor]] = [[] for _ in range(self.n)]
        biases: list[list[np.ndarray]] = [[] for _ in range(self.n)]
        start = 0
        for into, out in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            for kept, shape in ((weights, (out, into)), (biases, (out,))):
                for i in range(self.n):
                    view = flat[start : start + math.prod(shape)].view(shape)
                    kept[i].append(view if kept is weights else view.numpy())  # type: ignore[arg-type]
                    start += math.prod(shape)
        return weights, biases

    def _views(self, flat: Tensor) -> list[Tensor]:
        """Views of a vector in the shapes of the tensors that the stack was made of."""
        parts = flat.split([tensor.numel() for tensor in self.owned])
        return [part.view(tensor.shape) for part, tensor in zip(parts, self.owned, strict=True)]

    @torch.no_grad()
    def bind(self) -> None:
        """Take over parameters and moments that lie elsewhere since the last call; call it before updates.

        ``load_state_dict(assign=True)``, ``to()``, a copy of the module and every load of an optimiser put them there.
        """
        for tensor, view in zip(self.owned, self._shown, strict=True):
            if tensor.data_ptr() != view.data_ptr():
                view.copy_(tensor)
                tensor.data = view
        if self.optimizer is None:
            return
        for tensor, view in zip(self.owned, self._shown_gradients, strict=True):
            if tensor.grad is None or tensor.grad.data_ptr() != view.data_ptr():
                tensor.grad = view
        states = [self.optimizer.state.get(tensor) for tensor in self.owned]
        if not all(states):  # no step was made yet
            for vector in (self.means, self.squares, self.steps):
                vector.zero_()
        elif any(state["step"] is not self.steps for state in states if state):
            self.steps.copy_(states[0]["step"])  # type: ignore[index]
            for slot, vector in (("exp_avg", self.means), ("exp_avg_sq", self.squares)):
                for state, view in zip(states, self._views(vector), strict=True):
                    view.copy_(state[slot])  # type: ignore[index]
            self._show_moments()

    def _show_moments(self) -> None:
        """Put the moments where the optimiser keeps them."""
        assert self.optimizer is not None
        moments = zip(self.owned, self._views(self.means), self._views(self.squares), strict=True)
        for tensor, mean, square in moments:
            self.optimizer.state[tensor] = {"step": self.steps, "exp_avg": mean, "exp_avg_sq": square}
        self.optimizer.forget_lists()

    # Forward

    def values(self, x: Tensor, keep: bool = False) -> Tensor:
        """The outputs of networks with one output, ``[n, B]``.

        Args:
            x: ``[B, in]``.
            keep: remember the hidden layers for one backward pass.
        """
        q = torch.empty(self.n, len(x), dtype=self.dtype)
        for i, (row, hidden) in enumerate(zip(q.numpy(), self._memory(x, keep), strict=True)):
            self._to_last_layer(i, x, hidden)
            weight, bias = self._weights[i][-1].numpy()[0], self._biases[i][-2]
            kernels.head_values(hidden.arrays[-1], bias, weight, self._biases[i][-1], row)
        return q

    def outputs(self, x: Tensor, keep: bool = False) -> Tensor:
        """The outputs of networks with any number of them, ``[n, B, out]``; arguments as in :meth:`values`."""
        out = torch.empty(self.n, len(x), self.sizes[-1], dtype=self.dtype)
        for i, (rows, hidden) in enumerate(zip(out.numpy(), self._memory(x, keep), strict=True)):
            self._to_last_layer(i, x, hidden)
            kernels.bias_and_relu(hidden.arrays[-1], self._biases[i][-2])
            columns = torch.mm(self._weights[i][-1], hidden.tensors[-1].T)  # few rows: fast this way round
            kernels.transpose_and_add(columns.numpy(), self._biases[i][-1], rows)
        return out

    def _memory(self, x: Tensor, keep: bool) -> list[Hidden]:
        """Where each network's hidden layers go: all to one place, or each to its own."""
        widths = self.sizes[1:-1]
        if not keep:
            return [self.scratch.hidden(len(x), widths, self.dtype)] * self.n
        if not self._kept or len(self._kept[0].tensors[0]) != len(x):
            made = [[torch.empty(len(x), width, dtype=self.dtype) for width in widths] for _ in range(self.n)]
            self._kept = [Hidden(tensors) for tensors in made]
        self._kept_inputs = x
        return self._kept

    def _take_kept(self) -> Tensor:
        """The inputs of the last forward pass that was kept; there is one backward pass for each."""
        x, self._kept_inputs = self._kept_inputs, None
        if x is None:
            raise RuntimeError("no hidden layers were kept for this backward pass: give keep=True, each time")
        return x

    def _to_last_layer(self, i: int, x: Tensor, hidden: Hidden) -> None:
        """All hidden layers of network i; the last without bias and ReLU, which go with what follows."""
        before = x
        for k, tensor in enumerate(hidden.tensors):
            if k > 0:
                kernels.bias_and_relu(hidden.arrays[k - 1], self._biases[i][k - 1])
            torch.mm(before, self._weights[i][k].T, out=tensor)
            before = tensor

    # Backward

    def regress(self, x: Tensor, targets: Tensor, scale: float) -> tuple[Tensor, float]:
        """Gradients of scale / 2 sum_i sum_b (q_i(x_b) - targets_b)^2; each network goes forward and straight back.

        Args:
            x: ``[B, in]``.
            targets: ``[B]``.
            scale: of the loss.

        Returns:
            q, ``[n, B]``, and the sum of squares.
        """
        q, wanted, squares = torch.empty(self.n, len(x), dtype=self.dtype), targets.numpy(), 0.0
        for i, row in enumerate(q.numpy()):
            hidden = self.scratch.hidden(len(x), self.sizes[1:-1], self.dtype)
            self._to_last_layer(i, x, hidden)
            squares += kernels.regression_head(
                hidden.arrays[-1], self._biases[i][-2], self._weights[i][-1].numpy()[0], self._biases[i][-1], wanted,
                scale, row, self._of_weights[i][-1].numpy()[0], self._of_biases[i][-1], self._of_biases[i][-2],
            )  # fmt: skip
            self._down(i, x, hidden)
        return q, squares

    def output_gradients(self, of_outputs: Tensor) -> None:
        """Gradients of the parameters from those of the outputs that were kept, ``[n, B, out]``."""
        x = self._take_kept()
        for i, (hidden, delta) in enumerate(zip(self._kept, of_outputs, strict=True)):
            torch.mm(delta.T, hidden.tensors[-1], out=self._of_weights[i][-1])
            kernels.column_sums(delta.numpy(), self._of_biases[i][-1])
            back = self.scratch.take("back", len(x), self.sizes[-2], self.dtype)
            torch.mm(delta, self._weights[i][-1], out=back)
            kernels.gated(hidden.arrays[-1], back.numpy(), self._of_biases[i][-2])
            self._down(i, x, hidden)

    def _down(self, i: int, x: Tensor, hidden: Hidden) -> None:
        """The rest of network i's gradients, from the one before the last ReLU, which stands in ``hidden``."""
        for k in range(len(hidden.tensors) - 1, 0, -1):
            gradient = hidden.tensors[k]
            torch.mm(gradient.T, hidden.tensors[k - 1], out=self._of_weights[i][k])
            back = self.scratch.take("back", len(x), self.sizes[k], self.dtype)
            torch.mm(gradient, self._weights[i][k], out=back)
            kernels.gated(hidden.arrays[k - 1], back.numpy(), self._of_biases[i][k - 1])
        columns = self.scratch.take("back", self.sizes[0], self.sizes[1], self.dtype)
        torch.mm(x.T, hidden.tensors[0], out=columns)
        kernels.transpose_into(columns.numpy(), self._of_weights[i][0].numpy())

    def smallest_to_inputs(self, q: Tensor, scale: float, inputs: int) -> tuple[Tensor, float]:
        """The gradient of scale sum_b min_i q_i(x_b) by the last entries of x; no parameter gets one.

        Each row goes back through the network that has its smallest value only.

        Args:
            q: what :meth:`values` gave and kept, ``[n, B]``.
            scale: of the loss.
            inputs: how many entries of x, from its end.

        Returns:
            The gradient, ``[B, inputs]``, and sum_b min_i q_i.
        """
        batch = len(self._take_kept())
        order, counts = np.empty(q.shape, np.int64), np.empty(self.n, np.int64)
        total = kernels.group_by_smallest(q.numpy(), order, counts)
        found = torch.empty(batch, inputs, dtype=self.dtype)
        for i, hidden in enumerate(self._kept):
            rows = order[i, : counts[i]]
            gradient = self.scratch.take("hidden 0", len(rows), self.sizes[-2], self.dtype)
            weight = self._weights[i][-1].numpy()[0]
            kernels.head_rows(hidden.arrays[-1], rows, weight, scale, gradient.numpy())
            for k in range(len(hidden.tensors) - 1, 0, -1):
                place = "back" if (len(hidden.tensors) - k) % 2 else "hidden 0"
                back = self.scratch.take(place, len(rows), self.sizes[k], self.dtype)
                gradient = torch.mm(gradient, self._weights[i][k], out=back)
                kernels.gated_rows(hidden.arrays[k - 1], rows, gradient.numpy())
            columns = torch.mm(self._weights[i][0][:, -inputs:].T, gradient.T)  # few rows: fast this way round
            kernels.scatter_columns(columns.numpy(), rows, found.numpy())
        return found, total

    # Optimiser

    def adam(self, target: "Stack | None" = None, tau: float = 0.0) -> None:
        """One step of the optimiser with the gradients as they stand, in one pass.

        Args:
            target: a stack of the same shape whose parameters then move by the share ``tau`` to this one's.
        """
        assert self.optimizer is not None
        group = self.optimizer.param_groups[0]
        if not self.optimizer.state:
            self._show_moments()
        self.steps += 1
        step, (beta1, beta2) = float(self.steps), group["betas"]
        own, gradients, means, squares = (
            v.numpy() for v in (self.parameters, self.gradients, self.means, self.squares)
        )
        rate, root, epsilon = group["lr"] / (1 - beta1**step), math.sqrt(1 - beta2**step), group["eps"]
        if target is None:
            kernels.adam(own, gradients, means, squares, rate, beta1, beta2, root, epsilon)
        else:
            slow = target.parameters.numpy()
            kernels.adam_and_polyak(own, gradients, means, squares, rate, beta1, beta2, root, epsilon, slow, tau)
