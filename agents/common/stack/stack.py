"""A stack of equal ReLU networks on the CPU: forward, backward and Adam without autograd.

With h_0 = x, h_k = relu(h_{k-1} W_k^T + b_k) and g_k the loss's gradient before the k-th ReLU:
dW_k = g_k^T h_{k-1},  db_k = sum of g_k over the batch,  g_{k-1} = (g_k W_k) where h_{k-1} > 0.
Matrix products are torch's; everything between two of them is one compiled pass (:mod:`.kernels`). Networks take
turns, so that the memory of one serves all and stays in the processor's cache.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentgym.agents.common.optim import FusedAdam
from agentgym.agents.common.stack import kernels
from agentgym.agents.common.stack.memory import FEW, Matrix, Scratch

__all__ = ["Stack"]


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
        beside: further parameters of that optimiser, which are no network's; :meth:`descend` gives them gradients.
    """

    def __init__(
        self, n: int, sizes: Sequence[int], parameters: Sequence[Tensor], scratch: Scratch,
        optimizer: FusedAdam | None = None, beside: Sequence[Tensor] = (),
    ) -> None:  # fmt: skip
        self.n, self.sizes, self.scratch, self.optimizer = n, tuple(sizes), scratch, optimizer
        self.owned, self.beside = [*parameters, *beside], list(beside)
        self.dtype = self.owned[0].dtype
        shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
        if sum(tensor.numel() for tensor in parameters) != n * sum(out * (into + 1) for out, into in shapes):
            raise ValueError(f"{n} networks of {sizes} have another number of parameters than those given")
        self._allocate()
        self.bind()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: views would not be views of the copied vectors."""
        return {name: vars(self)[name] for name in ("n", "sizes", "scratch", "optimizer", "owned", "beside", "dtype")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._allocate()
        self.bind()

    # Memory

    def _allocate(self) -> None:
        size = sum(tensor.numel() for tensor in self.owned)
        self.parameters = torch.zeros(size, dtype=self.dtype)
        self._weights, self._biases = self._layers(self.parameters)
        self._shown = self._views(self.parameters)
        self._places = [view.data_ptr() for view in self._shown]
        self._of_weights: list[list[Matrix]] = []
        self._of_biases: list[list[np.ndarray]] = []
        self._kept: list[list[Matrix]] = []
        self._kept_members = range(0)
        self._kept_inputs: Tensor | None = None
        self._first_state: dict[str, Tensor] | None = None
        if self.optimizer is not None:
            self.gradients, self.means, self.squares = (torch.zeros_like(self.parameters) for _ in range(3))
            self._of_weights, self._of_biases = self._layers(self.gradients)
            self._shown_gradients = self._views(self.gradients)
            self.steps = torch.zeros((), dtype=torch.float32)
            own, gradients = self.parameters.numpy(), self.gradients.numpy()
            self._vectors = (own, gradients, self.means.numpy(), self.squares.numpy())
            self._count = self.steps.numpy()

    def _layers(self, flat: Tensor) -> tuple[list[list[Matrix]], list[list[np.ndarray]]]:
        """Views of a vector: weights ``[out, in]`` and biases ``[out]`` by network and layer."""
        weights: list[list[Matrix]] = [[] for _ in range(self.n)]
        biases: list[list[np.ndarray]] = [[] for _ in range(self.n)]
        start = 0
        for into, out in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            for i in range(self.n):
                weights[i].append(Matrix(flat[start : start + out * into].view(out, into)))
                start += out * into
            for i in range(self.n):
                biases[i].append(flat[start : start + out].numpy())
                start += out
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
        if self._is_bound():
            return
        for tensor, view, place in zip(self.owned, self._shown, self._places, strict=True):
            if tensor.data_ptr() != place:
                view.copy_(tensor)
                tensor.data = view
        if self.optimizer is None:
            return
        for tensor, view in zip(self.owned, self._shown_gradients, strict=True):
            if tensor.grad is not view:
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
        self._first_state = self.optimizer.state.get(self.owned[0])

    def _is_bound(self) -> bool:
        """Nothing was put elsewhere since :meth:`bind` or :meth:`adam`. A load of an optimiser replaces all states."""
        if [tensor.data_ptr() for tensor in self.owned] != self._places:
            return False
        if self.optimizer is None:
            return True
        if self.optimizer.state.get(self.owned[0]) is not self._first_state:
            return False
        return all(map(operator.is_, [tensor.grad for tensor in self.owned], self._shown_gradients))

    def _show_moments(self) -> None:
        """Put the moments where the optimiser keeps them."""
        assert self.optimizer is not None
        moments = zip(self.owned, self._views(self.means), self._views(self.squares), strict=True)
        for tensor, mean, square in moments:
            self.optimizer.state[tensor] = {"step": self.steps, "exp_avg": mean, "exp_avg_sq": square}
        self._first_state = self.optimizer.state[self.owned[0]]
        self.optimizer.forget_lists()

    # Forward

    def values(self, x: Tensor, keep: bool = False, members: slice = slice(None)) -> Tensor:
        """The outputs of networks with one output, ``[m, B]``.

        Args:
            x: ``[B, in]``.
            keep: remember the hidden layers for one backward pass.
            members: which m of the networks; all by default.
        """
        chosen, batch = range(self.n)[members], x.shape[0]
        q = torch.empty(len(chosen), batch, dtype=self.dtype)
        for i, row, hidden in zip(chosen, q.numpy(), self._memory(x, batch, keep, chosen), strict=True):
            self._to_last_layer(i, x, hidden)
            weights, biases = self._weights[i], self._biases[i]
            kernels.head_values(hidden[-1].array, biases[-2], weights[-1].array[0], biases[-1], row)
        return q

    def outputs(self, x: Tensor, keep: bool = False) -> Tensor:
        """The outputs of all networks, with any number of them, ``[n, B, out]``; arguments as in :meth:`values`."""
        batch, width = x.shape[0], self.sizes[-1]
        out = torch.empty(self.n, batch, width, dtype=self.dtype)
        if batch <= FEW and not keep:
            return self._few_outputs(x, out)
        columns = self.scratch.take("back", width, batch, self.dtype)
        for i, (rows, hidden) in enumerate(zip(out.numpy(), self._memory(x, batch, keep, range(self.n)), strict=True)):
            self._to_last_layer(i, x, hidden)
            kernels.bias_and_relu(hidden[-1].array, self._biases[i][-2])
            torch.mm(self._weights[i][-1].tensor, hidden[-1].turned, out=columns.tensor)  # few rows: fast this way
            kernels.transpose_and_add(columns.array, self._biases[i][-1], rows)
        return out

    def _few_outputs(self, x: Tensor, out: Tensor) -> Tensor:
        last = len(self.sizes) - 2
        hidden = self.scratch.hidden(len(x), self.sizes[1:-1], self.dtype)
        for i, rows in enumerate(out.numpy()):
            before = x.numpy()
            for k, (weight, bias) in enumerate(zip(self._weights[i], self._biases[i], strict=True)):
                after = rows if k == last else hidden[k].array
                kernels.dense(before, weight.array, bias, k < last, after)
                before = after
        return out

    def _memory(self, x: Tensor, batch: int, keep: bool, members: range) -> list[list[Matrix]]:
        """Where each network's hidden layers go: all to one place, or each to its own."""
        widths = self.sizes[1:-1]
        if not keep:
            return [self.scratch.hidden(batch, widths, self.dtype)] * len(members)
        if not self._kept or self._kept[0][0].tensor.shape[0] != batch:
            made = [[torch.empty(batch, width, dtype=self.dtype) for width in widths] for _ in range(self.n)]
            self._kept = [[Matrix(tensor) for tensor in tensors] for tensors in made]
        self._kept_inputs, self._kept_members = x, members
        return self._kept[members.start : members.stop : members.step]

    def _take_kept(self) -> tuple[Tensor, list[tuple[int, list[Matrix]]]]:
        """Inputs and hidden layers of the last forward pass that was kept; there is one backward pass for each."""
        x, self._kept_inputs = self._kept_inputs, None
        if x is None:
            raise RuntimeError("no hidden layers were kept for this backward pass: give keep=True, each time")
        return x, [(i, self._kept[i]) for i in self._kept_members]

    def _to_last_layer(self, i: int, x: Tensor, hidden: list[Matrix]) -> None:
        """All hidden layers of network i; the last without bias and ReLU, which go with what follows."""
        weights, biases = self._weights[i], self._biases[i]
        torch.mm(x, weights[0].turned, out=hidden[0].tensor)
        for k in range(1, len(hidden)):
            kernels.bias_and_relu(hidden[k - 1].array, biases[k - 1])
            torch.mm(hidden[k - 1].tensor, weights[k].turned, out=hidden[k].tensor)

    # Backward

    def regress(self, x: Tensor, targets: Tensor, scale: float, expectile: float = 0.5) -> tuple[Tensor, float]:
        """Gradients of scale / 2 sum_i sum_b w (q_i(x_b) - targets_b)^2; each network goes forward and straight back.

        Args:
            x: ``[B, in]``.
            targets: ``[B]``.
            scale: of the loss.
            expectile: w is twice this where q is below its target, twice the rest to 1 elsewhere: 1 for 0.5.

        Returns:
            q, ``[n, B]``, and the sum of w times the squares.
        """
        batch, wanted, squares = x.shape[0], targets.numpy(), 0.0
        q = torch.empty(self.n, batch, dtype=self.dtype)
        hidden, turned = self.scratch.hidden(batch, self.sizes[1:-1], self.dtype), x.T
        for i, row in enumerate(q.numpy()):
            self._to_last_layer(i, x, hidden)
            biases, of_biases = self._biases[i], self._of_biases[i]
            squares += kernels.regression_head(
                hidden[-1].array, biases[-2], self._weights[i][-1].array[0], biases[-1], wanted, scale, expectile,
                row, self._of_weights[i][-1].array[0], of_biases[-1], of_biases[-2],
            )  # fmt: skip
            self._down(i, turned, hidden)
        return q, squares

    def descend(
        self, outputs: Tensor, results: Sequence[Tensor], of_results: Sequence[Tensor | None] = (None,)
    ) -> None:
        """Gradients of all parameters, from what autograd has recorded between the outputs and a loss.

        Args:
            outputs: what :meth:`outputs` gave and kept; they require gradients.
            results: made from them: a loss, and others whose gradient is known.
            of_results: these gradients, None for a loss.
        """
        of_outputs, *of_beside = torch.autograd.grad(results, [outputs, *self.beside], of_results)
        for tensor, gradient in zip(self.beside, of_beside, strict=True):
            assert tensor.grad is not None
            tensor.grad.copy_(gradient)
        self.output_gradients(of_outputs)

    def output_gradients(self, of_outputs: Tensor) -> None:
        """Gradients of the parameters from those of the outputs that were kept, ``[n, B, out]``."""
        x, kept = self._take_kept()
        turned, back = x.T, self.scratch.take("back", x.shape[0], self.sizes[-2], self.dtype)
        for (i, hidden), delta in zip(kept, of_outputs.contiguous(), strict=True):
            torch.mm(delta.T, hidden[-1].tensor, out=self._of_weights[i][-1].tensor)
            kernels.column_sums(delta.numpy(), self._of_biases[i][-1])
            torch.mm(delta, self._weights[i][-1].tensor, out=back.tensor)
            kernels.gated(hidden[-1].array, back.array, self._of_biases[i][-2])
            self._down(i, turned, hidden)

    def _down(self, i: int, turned_x: Tensor, hidden: list[Matrix]) -> None:
        """The rest of network i's gradients, from the one before the last ReLU, which stands in ``hidden``."""
        weights, of_weights = self._weights[i], self._of_weights[i]
        for k in range(len(hidden) - 1, 0, -1):
            gradient, below = hidden[k], hidden[k - 1]
            torch.mm(gradient.turned, below.tensor, out=of_weights[k].tensor)
            back = self.scratch.take("back", below.array.shape[0], self.sizes[k], self.dtype)
            torch.mm(gradient.tensor, weights[k].tensor, out=back.tensor)
            kernels.gated(below.array, back.array, self._of_biases[i][k - 1])
        columns = self.scratch.take("back", self.sizes[0], self.sizes[1], self.dtype)
        torch.mm(turned_x, hidden[0].tensor, out=columns.tensor)
        kernels.transpose_into(columns.array, of_weights[0].array)

    def smallest_to_inputs(self, q: Tensor, scale: float, inputs: int) -> tuple[Tensor, float]:
        """The gradient of scale sum_b min_i q_i(x_b) by the last entries of x; no parameter gets one.

        Each row goes back through the network that has its smallest value only.

        Args:
            q: what :meth:`values` gave and kept, ``[m, B]``. Of one member, its values are the smallest.
            scale: of the loss.
            inputs: how many entries of x, from its end.

        Returns:
            The gradient, ``[B, inputs]``, and sum_b min_i q_i.
        """
        (x, kept), values = self._take_kept(), q.numpy()
        batch = x.shape[0]
        order, counts = np.empty(values.shape, np.int64), np.empty(len(values), np.int64)
        total = kernels.group_by_smallest(values, order, counts)
        found = torch.empty(batch, inputs, dtype=self.dtype)
        for (i, hidden), rows, count in zip(kept, order, counts.tolist(), strict=True):
            rows = rows[:count]
            weights, place = self._weights[i], "back"
            gradient = self.scratch.take("hidden 0", batch, self.sizes[-2], self.dtype).first(count)
            kernels.head_rows(hidden[-1].array, rows, weights[-1].array[0], scale, gradient.numpy())
            for k in range(len(hidden) - 1, 0, -1):
                back = self.scratch.take(place, batch, self.sizes[k], self.dtype).first(count)
                torch.mm(gradient, weights[k].tensor, out=back)
                kernels.gated_rows(hidden[k - 1].array, rows, back.numpy())
                gradient, place = back, "hidden 0" if place == "back" else "back"
            columns = torch.mm(weights[0].turned[-inputs:], gradient.T)  # few rows: fast this way round
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
        self._count += 1
        step, (beta1, beta2) = float(self._count), group["betas"]
        rate, root = group["lr"] / (1 - beta1**step), math.sqrt(1 - beta2**step)
        if target is None:
            kernels.adam(*self._vectors, rate, beta1, beta2, root, group["eps"])
        else:
            slow = target.parameters.numpy()
            kernels.adam_and_polyak(*self._vectors, rate, beta1, beta2, root, group["eps"], slow, tau)
