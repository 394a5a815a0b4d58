"""Processes to be killed: real ones, forked from one that has imported everything, so that each starts at once."""

import multiprocessing

# There is one such server for all tests of a process, and the list that is set last is the one that counts.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    [
        "agentgym.runs.train", "agentgym.study.runner", "agentgym.evaluation.evaluate", "agentgym.envs.robust.env",
        "agentgym.agents.sac.sac", "agentgym.agents.baselines.ppo", "agentgym.agents.common.stack.kernels", "mujoco",
        "torch._dynamo",  # two seconds of every process that makes an optimiser
    ]
)  # fmt: skip
