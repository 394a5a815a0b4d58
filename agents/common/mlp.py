"""Several multilayer perceptrons of one shape, evaluated and differentiated together.

A stack holds ``n`` networks: weights ``[n, out, in]`` and biases ``[n, 1, out]`` per layer, in PyTorch's
orientation. Every layer is one batched matrix product.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from agentgym.agents.common.workspace import WORKSPACE

__all__ = ["stacked_mlp"]


def stacked_mlp(
    inputs: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], activation: type[nn.Module] = nn.ReLU
) -> Tensor:
    """The outputs of ``n`` networks on one batch, ``[n, B, out]``.

    On the CPU, ReLU networks in float32 go through :class:`_ReluStack`, which gives the same numbers from reused
    memory; everything else (CUDA, other activations, ``torch.compile``) is written out for autograd.

    Args:
        inputs: ``[B, in]``, the same for all networks.
        weights: one ``[n, out, in]`` a layer. Detach them to keep a network frozen: only the inputs then get
            gradients, and the products for the weights' are not made.
        biases: one ``[n, 1, out]`` a layer.
        activation: the class of the function between layers; the last layer is linear.
    """
    if activation is nn.ReLU and _can_reuse_memory(inputs, weights[0]):
        outputs: Tensor = _ReluStack.apply(inputs, len(weights), *weights, *biases)
        return outputs
    hidden = inputs.expand(len(weights[0]), *inputs.shape)
    function = activation()
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = function(torch.baddbmm(bias, hidden, weight.mT))
    return torch.baddbmm(biases[-1], hidden, weights[-1].mT)


def _can_reuse_memory(inputs: Tensor, weight: Tensor) -> bool:
    on_cpu_in_float32 = weight.device.type == "cpu" and inputs.dtype == weight.dtype == torch.float32
    return on_cpu_in_float32 and not torch.compiler.is_compiling()


class _ReluStack(torch.autograd.Function):
    """Forward and backward pass with every large result in a reused buffer.

    With h_0 = x, h_k = relu(h_{k-1} W_k^T + b_k) and g_k the loss's gradient before the k-th ReLU:
    dW_k = g_k^T h_{k-1},  db_k = sum of g_k over the batch,  g_{k-1} = (g_k W_k) where h_{k-1} > 0.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, n_layers: int, *parameters: Tensor) -> Tensor:
        weights, biases = parameters[:n_layers], parameters[n_layers:]
        n, batch = len(weights[0]), len(inputs)
        hidden = [inputs.expand(n, *inputs.shape)]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            buffer = WORKSPACE.take(n, batch, weight.shape[1])
            hidden.append(torch.baddbmm(bias, hidden[-1], weight.mT, out=buffer).relu_())
        outputs = torch.baddbmm(biases[-1], hidden[-1], weights[-1].mT)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*weights)
            ctx.hidden = hidden
        else:
            WORKSPACE.give(*hidden[1:])
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, hidden, ctx.hidden = ctx.saved_tensors, ctx.hidden, None
        if hidden is None:
            raise RuntimeError("this graph was already differentiated: its buffers are in use again")
        n_layers, (n, batch) = len(weights), gradient.shape[:2]
        weight_gradients: list[Tensor | None] = [None] * n_layers
        bias_gradients: list[Tensor | None] = [None] * n_layers
        for k in reversed(range(n_layers)):
            if ctx.needs_input_grad[2 + k]:
                weight_gradients[k] = torch.bmm(gradient.mT, hidden[k], out=WORKSPACE.take(*weights[k].shape))
                bias_gradients[k] = torch.sum(gradient, 1, True, out=WORKSPACE.take(n, 1, gradient.shape[2]))
            if k > 0:
                before = torch.bmm(gradient, weights[k], out=WORKSPACE.take(n, batch, weights[k].shape[2]))
                torch.ops.aten.threshold_backward.grad_input(before, hidden[k], 0, grad_input=before)
                if k < n_layers - 1:
                    WORKSPACE.give(gradient)
                gradient = before
        input_gradient = torch.bmm(gradient, weights[0]).sum(0) if ctx.needs_input_grad[0] else None
        WORKSPACE.give(*hidden[1:], *([gradient] if n_layers > 1 else []))
        return input_gradient, None, *weight_gradients, *bias_gradients
