"""What an agent in Stable-Baselines3's shape owns, so that a run can be stopped and go on as if it never was.

The list covers off-policy and on-policy agents alike. A class with more state than this adds to what
:meth:`agentgym.agents.common.agent.Agent.inventory` returns.
"""

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.noise import ActionNoise, OrnsteinUhlenbeckActionNoise, VectorizedActionNoise
from stable_baselines3.common.save_util import recursive_getattr

from agentgym.agents.common import saving
from agentgym.errors import InvalidParameter
from agentgym.state import Inventory, Item, Rows

if TYPE_CHECKING:
    from agentgym.agents.common.agent import Agent

__all__ = ["agent_inventory", "replay_rows"]

COUNTERS = (*saving.COUNTERS, "_current_progress_remaining")
LAST_STEP = ("_last_obs", "_last_episode_starts", "_last_original_obs")
STATISTICS = ("ep_info_buffer", "ep_success_buffer")


def agent_inventory(agent: "Agent") -> Inventory:
    """Networks, optimisers, temperature, counters, the last step, episode statistics, action noise, replay buffer.

    Raises:
        InvalidParameter: the agent has action noise or a replay buffer of a kind that is not known here.
    """
    modules, variables = agent._get_torch_save_params()
    items = [_module(agent, name) for name in modules] + [_variable(agent, name) for name in variables]
    items += [_attribute(agent, name) for name in (*COUNTERS, *LAST_STEP)]
    items += [_statistics(agent, name) for name in STATISTICS]
    if noise := getattr(agent, "action_noise", None):
        items.append(_action_noise(noise))
    buffer = getattr(agent, "replay_buffer", None)
    return Inventory(items, [] if buffer is None else [replay_rows(agent, buffer)])


def _module(agent: "Agent", name: str) -> Item:
    part = recursive_getattr(agent, name)
    if isinstance(part, torch.optim.Optimizer):
        return Item(name, lambda: saving.optimizer_state(part), lambda state: saving.restore_optimizer(part, state))
    return Item(name, part.state_dict, part.load_state_dict)


def _variable(agent: "Agent", name: str) -> Item:
    """A tensor that an optimiser holds: its values change, the object stays."""
    return Item(
        name, lambda: recursive_getattr(agent, name), lambda value: recursive_getattr(agent, name).data.copy_(value)
    )


def _attribute(agent: "Agent", name: str) -> Item:
    return Item(name, lambda: getattr(agent, name, None), lambda value: setattr(agent, name, value))


def _statistics(agent: "Agent", name: str) -> Item:
    """A deque of numbers, or of dictionaries of them; NumPy scalars keep their type, which means depend on."""

    def write(entries: list[Any]) -> None:
        setattr(agent, name, deque(entries, maxlen=agent._stats_window_size))

    return Item(name, lambda: list(getattr(agent, name) or ()), write)


def _action_noise(noise: ActionNoise) -> Item:
    """Action noise that remembers; ``learn()`` resets it, so it is put back after that."""
    parts = noise.noises if isinstance(noise, VectorizedActionNoise) else [noise]

    def write(state: list[np.ndarray]) -> None:
        for part, previous in zip(remembering, state, strict=True):
            part.noise_prev = previous

    remembering = [part for part in parts if isinstance(part, OrnsteinUhlenbeckActionNoise)]
    return Item("action_noise", lambda: [part.noise_prev for part in remembering], write, when="first rollout")


def replay_rows(agent: "Agent", buffer: ReplayBuffer) -> Rows:
    """A replay buffer as rows that only grow at their end.

    Raises:
        InvalidParameter: a buffer that writes to rows again (hindsight, ``optimize_memory_usage``).
    """
    if not _append_only(buffer):
        raise InvalidParameter(
            f"A run with {type(buffer).__name__} (optimize_memory_usage={buffer.optimize_memory_usage}) cannot be "
            "resumed exactly: it changes rows after writing them. Use the plain buffer."
        )
    arrays = [name for name, value in vars(buffer).items() if isinstance(value, np.ndarray)]

    def count() -> int:
        return agent.num_timesteps // agent.n_envs  # one row a step of all environments

    def read(first: int, last: int) -> dict[str, np.ndarray]:
        places = np.arange(first, last) % buffer.buffer_size
        return {name: getattr(buffer, name)[places] for name in arrays}

    def write(first: int, last: int, found: Mapping[str, np.ndarray]) -> None:
        places = np.arange(first, last) % buffer.buffer_size
        for name in arrays:
            getattr(buffer, name)[places] = found[name]
        buffer.pos, buffer.full = last % buffer.buffer_size, last >= buffer.buffer_size

    return Rows("replay", buffer.buffer_size, count, read, write)


def _append_only(buffer: ReplayBuffer) -> bool:
    plain = {ReplayBuffer, NStepReplayBuffer}
    lineage = [kind for kind in type(buffer).__mro__ if issubclass(kind, ReplayBuffer)]
    ours = all(kind in plain or kind.__module__.startswith("agentgym.") for kind in lineage)
    return ours and not buffer.optimize_memory_usage
