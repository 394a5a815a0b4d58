"""Training with several processes: each plays its share of the tasks and processes its share of every batch.

Processes are those of ``torch.distributed``, if it was initialised (``accelerate.PartialState()`` or
``torch.distributed.init_process_group``). All hold the same weights and plug-ins, get all episodes and take the same
steps. Only forward and backward passes are divided, so methods work unchanged.
"""

import torch
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor
from torch.nn import functional

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.policy import Policy
from agentgym.runs.processes import gathered, place

__all__ = ["clip_gradients", "evaluate_decisions", "gathered", "groups_of", "place", "sum_gradients"]


def evaluate_decisions(policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
    """As :meth:`Policy.evaluate_decisions`, every process with its own rows.

    Gradients flow through these rows only: :func:`sum_gradients` completes them.
    """
    number, count = place()
    if count == 1:
        return policy.evaluate_decisions(batch)
    rows = torch.arange(len(batch), device=batch.ids.device)
    own = rows % count == number
    # A process without rows computes the first one, so that its gradient is 0 rather than missing.
    index = rows[own] if own.any() else rows[:1]
    outputs = policy.evaluate_decisions(batch.rows(index))
    whole = []
    for values in outputs:
        padded = functional.pad(values, (0, batch.at.shape[1] - values.shape[1]))
        mine = torch.zeros(batch.at.shape, device=values.device).index_copy(0, index, padded) * own[:, None]
        everybodys = mine.detach().clone()
        distributed.all_reduce(everybodys)
        whole.append(torch.where(own[:, None], mine, everybodys))
    return whole[0], whole[1]


def sum_gradients(policy: Policy) -> None:
    """Add up all processes' gradients."""
    if place()[1] == 1:
        return
    for parameter in policy.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            if isinstance(parameter, DTensor):
                parameter.grad.mul_(place()[1])  # FSDP has made means
            else:
                distributed.all_reduce(parameter.grad)


def clip_gradients(policy: Policy, most: float) -> Tensor:
    """Scale the gradient so that its norm is at most ``most``; the norm before."""
    gradients = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
    divided = [gradient.to_local() for gradient in gradients if isinstance(gradient, DTensor)]
    if not divided:
        return torch.nn.utils.clip_grad_norm_(policy.parameters(), most)
    squares = torch.stack([(part.double() ** 2).sum() for part in divided]).sum()
    distributed.all_reduce(squares)
    plain = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
    norm = (squares + sum((part.double() ** 2).sum() for part in plain)).sqrt().float()
    for part in [*divided, *plain]:
        part.mul_((most / (norm + 1e-6)).clamp(max=1.0))
    return norm


def groups_of(policy: Policy, shard: bool) -> list[dict[str, list[torch.nn.Parameter]]]:
    """The trained parameters as groups of an optimiser: those that stay whole apart, as its fast path takes no mixture.

    With ``shard`` they are the same in one process, which divides nothing, so that it can read what several saved.
    """
    learned = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    if not shard:
        return [{"params": learned}]
    whole = policy.kept_whole()
    groups = [[p for p in learned if (id(p) in whole) == apart] for apart in (True, False)]
    return [{"params": group} for group in groups if group]
