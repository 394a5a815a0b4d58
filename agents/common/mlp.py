"""Several multilayer perceptrons of equal shape, evaluated and differentiated together.

A stack holds ``n`` networks: weights ``[n, out, in]`` and biases ``[n, 1, out]`` per layer, in PyTorch's
orientation. Every layer is one batched matrix product.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from agentgym.agents.common.workspace import WORKSPACE

__all__ = ["stacked_mlp"]


def stacked_mlp(
    inputs: Tensor | tuple[Tensor, ...],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    activation: type[nn.Module] = nn.ReLU,
    graded: int | None = None,
) -> Tensor:
    """The outputs of ``n`` networks on one batch, ``[n, B, out]``.

    On the CPU, float32 ReLU networks use :class:`_ReluStack`, which computes the same numbers in reused memory.
    Everything else (CUDA, other activations, ``torch.compile``) uses autograd.

    Args:
        inputs: ``[B, in]``, shared by all networks; or parts to be concatenated, each with or without gradient.
        weights: one ``[n, out, in]`` per layer, or ``[out, in]`` for a single network.
            Detach them to freeze a network: then only the inputs get gradients, and the products for the weights'
            gradients are skipped.
        biases: one ``[n, 1, out]`` per layer, or ``[out]`` for a single network.
        activation: the class of the function between layers; the last layer is linear.
        graded: rows of the batch from this one on get no gradient (all do by default). The caller must detach the
            outputs of those rows.
    """
    parts = inputs if isinstance(inputs, tuple) else (inputs,)
    if activation is nn.ReLU and _can_reuse_memory(parts, weights[0]):
        outputs: Tensor = _ReluStack.apply(len(parts), len(weights), graded, *parts, *weights, *biases)
        return outputs
    weights, biases = [_stack(weight) for weight in weights], [_stack(bias) for bias in biases]
    hidden = torch.cat(parts, dim=1).expand(len(weights[0]), -1, -1)
    function = activation()
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = function(torch.baddbmm(bias, hidden, weight.mT))
    return torch.baddbmm(biases[-1], hidden, weights[-1].mT)


def _stack(parameter: Tensor) -> Tensor:
    """Turn a single network's weight or bias into a stack of one."""
    return parameter if parameter.dim() == 3 else parameter.view(1, -1, parameter.shape[-1])


def _can_reuse_memory(parts: tuple[Tensor, ...], weight: Tensor) -> bool:
    on_cpu_in_float32 = weight.device.type == "cpu" and {weight.dtype, *(p.dtype for p in parts)} == {torch.float32}
    return on_cpu_in_float32 and not torch.compiler.is_compiling()


class _ReluStack(torch.autograd.Function):
    """Forward and backward pass that keep all large results in reused buffers.

    With h_0 = x, h_k = relu(h_{k-1} W_k^T + b_k) and g_k the loss's gradient before the k-th ReLU:
    dW_k = g_k^T h_{k-1},  db_k = sum of g_k over the batch,  g_{k-1} = (g_k W_k) where h_{k-1} > 0.
    """

    @staticmethod
    def forward(ctx: Any, n_parts: int, n_layers: int, graded: int | None, *tensors: Tensor) -> Tensor:
        parts, parameters = tensors[:n_parts], [_stack(tensor) for tensor in tensors[n_parts:]]
        weights, biases = parameters[:n_layers], parameters[n_layers:]
        n, batch = len(weights[0]), len(parts[0])
        joined = parts[0] if n_parts == 1 else torch.cat(parts, dim=1)
        hidden = [joined.expand(n, -1, -1)]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            buffer = WORKSPACE.take(n, batch, weight.shape[1])
            hidden.append(torch.baddbmm(bias, hidden[-1], weight.mT, out=buffer).relu_())
        outputs = torch.baddbmm(biases[-1], hidden[-1], weights[-1].mT)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*tensors[n_parts:])
            ctx.hidden, ctx.widths, ctx.graded = hidden, [part.shape[1] for part in parts], graded
        else:
            WORKSPACE.give(*hidden[1:])
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.hidden is None:
            raise RuntimeError("this graph was already differentiated: its buffers are in use again")
        buffers, ctx.hidden = ctx.hidden, None
        n_layers, n_parts, batch = len(buffers), len(ctx.widths), buffers[0].shape[1]
        weights = [_stack(weight) for weight in ctx.saved_tensors[:n_layers]]
        hidden = buffers
        if ctx.graded is not None:
            hidden, gradient = [buffer[:, : ctx.graded] for buffer in buffers], gradient[:, : ctx.graded]
        of_weights: list[Tensor | None] = [None] * n_layers
        of_biases: list[Tensor | None] = [None] * n_layers
        for k in reversed(range(n_layers)):
            if ctx.needs_input_grad[3 + n_parts + k]:
                of_weights[k], of_biases[k] = _parameter_gradients(gradient, hidden[k])
            if k > 0:
                before = torch.bmm(gradient, weights[k], out=WORKSPACE.take(*hidden[k].shape))
                torch.ops.aten.threshold_backward.grad_input(before, hidden[k], 0, grad_input=before)
                if k < n_layers - 1:
                    WORKSPACE.give(gradient)
                gradient = before
        of_parts: list[Tensor | None] = [None] * n_parts
        for part, end in enumerate(itertools.accumulate(ctx.widths)):
            if ctx.needs_input_grad[3 + part]:
                columns = weights[0][:, :, end - ctx.widths[part] : end]
                of_part = torch.bmm(columns.mT, gradient.mT).sum(0).T  # faster in this order if there are few columns
                constant = batch - len(of_part)
                of_parts[part] = F.pad(of_part, (0, 0, 0, constant)) if constant else of_part
        WORKSPACE.give(*buffers[1:], *([gradient] if n_layers > 1 else []))
        of_parameters = [
            found if found is None or found.dim() == parameter.dim() else found.view_as(parameter)
            for found, parameter in zip(of_weights + of_biases, ctx.saved_tensors, strict=True)
        ]
        return None, None, None, *of_parts, *of_parameters


def _parameter_gradients(gradient: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """gradient^T inputs, ``[n, out, in]``, and the sum of the gradient over the batch, ``[n, 1, out]``.

    With few inputs the product is computed in transposed order, which is twice as fast.
    """
    n, _, width = inputs.shape
    of_weight = WORKSPACE.take(n, gradient.shape[2], width)
    if width < gradient.shape[2] // 2:
        of_weight.copy_(torch.bmm(inputs.mT, gradient).mT)
    else:
        torch.bmm(gradient.mT, inputs, out=of_weight)
    return of_weight, torch.sum(gradient, 1, True, out=WORKSPACE.take(n, 1, gradient.shape[2]))
