"""Several processes that learn as one: each plays its share of the tasks and passes its share of every batch.

They are those of ``torch.distributed``, once somebody has started it (``accelerate.PartialState()``, or
``torch.distributed.init_process_group``); otherwise this process is alone. All hold the same weights and plug-ins, see
all episodes, and take the same steps: only passes through the model are divided, so no method needs to know.
"""

from typing import TypeVar

import torch
from torch import Tensor, distributed
from torch.nn import functional

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.policy import Policy

__all__ = ["evaluate_decisions", "gathered", "place", "sum_gradients"]

Value = TypeVar("Value")


def place() -> tuple[int, int]:
    """This process's number, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gathered(values: list[Value]) -> list[Value]:
    """All processes' lists in one, in order of processes. They reach each other as pickles, from nobody else."""
    _, count = place()
    if count == 1:
        return values
    lists: list[list[Value]] = [[] for _ in range(count)]
    distributed.all_gather_object(lists, values)
    return [value for one in lists for value in one]


def evaluate_decisions(policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
    """As :meth:`Policy.evaluate_decisions`, every process with its own rows.

    Gradients flow through these rows only: :func:`sum_gradients` completes them.
    """
    number, count = place()
    if count == 1:
        return policy.evaluate_decisions(batch)
    rows = torch.arange(len(batch), device=batch.ids.device)
    own = rows % count == number
    # Without a row of its own a process passes the first one all the same: its gradient is then 0, not missing.
    index = rows[own] if own.any() else rows[:1]
    found = policy.evaluate_decisions(batch.rows(index))
    whole = []
    for values in found:
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
            distributed.all_reduce(parameter.grad)
