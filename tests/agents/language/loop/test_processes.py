"""Two processes that learn as one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.policies.policy import Sampler
from agentgym.cli.main import main
from tests.agents.language.batches import close
from tests.agents.language.worlds import homes, small

# Each process learns from the same batch, then plays and learns by itself; process 0 says what came out.
SCRIPT = """
import sys, torch
from torch import distributed
from tests.agents.language.loop.test_processes import learned, played

batch = played()
distributed.init_process_group("gloo")
agent = learned(4, batch)
agent.learn(1, reset_num_timesteps=False)
weights = torch.cat([p.detach().flatten() for p in agent.policy.parameters()])
both = [torch.zeros_like(weights) for _ in range(2)]
distributed.all_gather(both, weights)
assert torch.equal(*both)
if distributed.get_rank() == 0:
    torch.save({"updated": agent.updated, "timesteps": agent.num_timesteps, "groups": agent.seen}, sys.argv[1])
distributed.destroy_process_group()
"""
METHODS = ("entropy:weight=0.01", "spear:capacity=4", "epo:weight=0.01", "kl")


def played():
    """The batch of one iteration of an agent that nobody shares."""
    agent = small(env=homes(8), methods=METHODS)
    episodes = agent.rollout.play([1, 2], Sampler(torch.Generator().manual_seed(0)))
    for number, episode in enumerate(episodes):  # rewards that differ, so that there is something to learn
        episode.turns[-1].reward = float(number % 3)
    return collate(episodes, agent.choosing)


def learned(worlds, batch):
    """An agent after imitation and two updates on a given batch; ``updated``: its weights then."""
    agent = small(env=homes(worlds), methods=METHODS, learning_rate=1e-2, warmup_iterations=0)
    for shown in agent.demonstrations(1):
        agent.learner.imitate(shown)
    for iteration in range(2):
        agent.learner.update(batch.rows(torch.arange(len(batch))), iteration)
    agent.updated = torch.cat([p.detach().flatten() for p in agent.policy.parameters()])
    learn_from = agent._learn_from
    agent.seen = []

    def note(episodes, interval):
        agent.seen += [(episode.group, episode.seed, len(episode.turns)) for episode in episodes]
        learn_from(episodes, interval)

    agent._learn_from = note
    return agent


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).parents[4]
    ours = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out.pt")], cwd=root, text=True,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root), "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1",
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in ours:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    out = torch.load(tmp_path / "out.pt", weights_only=True)
    before = torch.cat([p.detach().flatten() for p in small(env=homes(8), methods=METHODS).policy.parameters()])
    alone = learned(8, played())
    assert (alone.updated - before).abs().max() > 1e-3
    # All but the last bias, which moves all commands' scores alike: its gradient is rounding, which Adam makes large.
    close(out["updated"][:-1], alone.updated[:-1], 1e-4)
    alone.learn(1, reset_num_timesteps=False)
    assert [tuple(one[:2]) for one in out["groups"]] == [one[:2] for one in alone.seen]  # the same tasks, shared
    assert out["timesteps"] == sum(turns for _, _, turns in out["groups"])


def test_a_run_is_of_one_process(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as ending:
        main(["train", "grpo", "--env", "agentgym/Household-v0"])
    assert ending.value.code == 2
    assert "one process" in capsys.readouterr().err
