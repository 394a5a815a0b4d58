"""Several processes that train one agent and write one run; ``torchrun -m agentgym train ...`` starts them.

Process 0 writes the run. The others hold the same weights and take the same steps, and write nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import distributed

from agentgym.errors import Elsewhere

__all__ = ["agree", "gathered", "joined", "largest", "place"]

Value = TypeVar("Value")


def place() -> tuple[int, int]:
    """The rank of this process and the number of processes, in ``torch.distributed`` if that was initialised."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


@contextmanager
def joined() -> Iterator[None]:
    """Within it this process belongs to the group that torchrun's environment variables describe, if there are any."""
    if os.environ.get("WORLD_SIZE", "1") in ("", "0", "1"):
        yield
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def gathered(values: list[Value]) -> list[Value]:
    """The lists of all processes joined in order of rank. ``torch.distributed`` sends them as pickles."""
    _, count = place()
    if count == 1:
        return values
    lists: list[list[Value]] = [[] for _ in range(count)]
    distributed.all_gather_object(lists, values)
    return [value for one in lists for value in one]


def largest(number: int) -> int:
    """The largest of all processes' numbers."""
    return max(gathered([number]))


def agree(function: Callable[[], Value]) -> Value:
    """Call a function in every process; if it fails in one, fail in all.

    Raises:
        Exception: what the function raised in this process, if that is the first one in which it did.
        Elsewhere: it raised in another one before.
    """
    try:
        value, problem = function(), None
    except Exception as error:
        problem = error
    failed = [rank for rank, bad in enumerate(gathered([problem is not None])) if bad]
    if problem is not None and failed[0] == place()[0]:
        raise problem
    if failed:
        raise Elsewhere(f"Process {failed[0]} failed; its own message says why.") from problem
    return value
