"""How an agent is asked for actions: what it hears beside the observations, and what it promises.

An agent that conditions on returns may say two things of its class:

- ``hears_rewards``: its ``predict`` takes ``reward``, float32 ``[B]``, what each world paid in the last step, as the
  agent is told it (after perturbations of rewards). Where an episode has just begun it means nothing.
- ``promises``: its ``promised(state, B)`` gives the undiscounted returns ``[B]`` that it expects of the episodes that
  have just begun, from the state that their first ``predict`` gave.
"""

from typing import Any

import numpy as np

__all__ = ["PROMISED", "ask", "promises"]

PROMISED = "promised_return"  # name of the promise among an episode's measures


def ask(
    agent: Any, observations: Any, state: Any, starts: np.ndarray, rewards: np.ndarray, deterministic: bool
) -> tuple[Any, Any]:
    """Actions ``[B, ...]`` and the agent's next state, by ``agent.predict``.

    Args:
        agent: anything with Stable-Baselines3's ``predict``.
        observations: of B worlds.
        state: what the last call gave, None in the first.
        starts: which worlds' episodes have just begun, bool ``[B]``.
        rewards: of the last step, as the agent is told them, ``[B]``; told only to who hears rewards.
        deterministic: the policy's mode instead of a sample.
    """
    heard = {}
    if getattr(agent, "hears_rewards", False):
        heard["reward"] = np.where(starts, 0.0, rewards).astype(np.float32)
    actions, state = agent.predict(
        observations, state=state, episode_start=starts, deterministic=deterministic, **heard
    )
    return actions, state


def promises(agent: Any, state: Any, count: int) -> np.ndarray | None:
    """What the agent promises of ``count`` worlds, float64 ``[count]``; None where it is no agent that promises.

    Only the entries of episodes whose first step was just asked for mean something.
    """
    if not getattr(agent, "promises", False):
        return None
    return np.asarray(agent.promised(state, count), np.float64)
