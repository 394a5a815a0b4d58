"""Small agents in small homes."""

import gymnasium
from gymnasium.vector import AutoresetMode

import agentgym  # noqa: F401  (registers the environments)
from agentgym.agents import GRPO

SMALL = {
    "tasks": 2, "group_size": 4, "width": 16, "layers": 1, "heads": 2, "context": 400, "minibatches": 2, "epochs": 1,
}  # fmt: skip


def homes(count=8, mode=AutoresetMode.SAME_STEP, **arguments):
    """A batch of tiny homes with short episodes."""
    arguments = {"size": "tiny", "max_turns": 6, **arguments}
    return gymnasium.make_vec("agentgym/Household-v0", count, "vector_entry_point", autoreset_mode=mode, **arguments)


def small(agent_class=GRPO, env=None, seed=0, **settings):
    """An agent with a handful of parameters."""
    env = homes() if env is None else env
    return agent_class("tiny", env, seed=seed, device="cpu", **{**SMALL, **settings})
