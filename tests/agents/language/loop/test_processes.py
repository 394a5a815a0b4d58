"""Two processes that learn as one."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from agentgym.agents import GRPO
from agentgym.agents.common.saving import load_agent
from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.policies import pretrained
from agentgym.agents.language.policies.policy import Sampler
from agentgym.errors import AskError, InvalidParameter
from agentgym.runs.build import build
from agentgym.runs.processes import agree
from agentgym.runs.run import Run, RunConfig
from agentgym.runs.train import resume
from tests.agents.language.batches import close
from tests.agents.language.policies.test_pretrained import model_folder
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
    """An agent after imitation and three updates on a given batch; ``updated``: its weights then."""
    agent = small(env=homes(worlds), methods=METHODS, learning_rate=1e-2, warmup_iterations=0)
    for shown in agent.demonstrations(1):
        agent.learner.imitate(shown)
    for iteration in range(3):
        agent.learner.update(batch.rows(torch.arange(len(batch))), iteration)
    agent.updated = torch.cat([p.detach().flatten() for p in agent.policy.parameters()])
    learn_from = agent._learn_from
    agent.seen = []

    def note(episodes, *others):
        agent.seen += [(episode.group, episode.seed, len(episode.turns)) for episode in episodes]
        learn_from(episodes, *others)

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


# Each process trains its part of a model from the same batch.
DIVIDED = """
import sys, torch
from torch import distributed
from agentgym.agents.language.policies import pretrained
from agentgym.agents.language.policies.policy import Sampler
from agentgym.runs.processes import gathered
from tests.agents.language.loop.test_processes import model_learned, model_played, parts

batch, calls, divide = model_played(sys.argv[2]), [], pretrained._parts
def counted(batch):
    made = list(divide(batch))
    calls.append(len(made))
    return made
pretrained._parts = counted
distributed.init_process_group("gloo")
agent = model_learned(sys.argv[2], batch, worlds=4, shard=True)
with agent.policy.whole():  # acts by itself
    agent.rollout.play([distributed.get_rank()], Sampler(None))
held = parts(agent)
state, calls = agent.policy.state_dict(), gathered([calls])  # all processes put it together
if distributed.get_rank() == 0:
    torch.save({"state": state, "held": held, "calls": calls}, sys.argv[1])
distributed.destroy_process_group()
"""


def model_agent(folder, worlds=8, **settings):
    return GRPO(
        folder, homes(worlds, max_turns=3), seed=0, device="cpu", actions="choose", context=1500, temperature=20,
        learning_rate=1e-2, warmup_iterations=0, max_grad_norm=0.1, tasks=2, group_size=4,
        methods=("entropy:weight=0.01",), **settings,
    )  # fmt: skip


def model_played(folder):
    """A batch of episodes of different lengths, some of which gain something."""
    episodes = model_agent(folder).rollout.play([1, 2], Sampler(torch.Generator().manual_seed(0)))
    for number, episode in enumerate(episodes):
        episode.turns[-1].reward = float(number % 3)
        if number % 4 == 3:
            del episode.turns[1:]
    return collate(episodes, True)


def model_learned(folder, batch, **settings):
    """A pretrained policy after three updates on a batch, in parts that hold few tokens."""
    pretrained.TOKENS_AT_ONCE = 900
    trained = model_agent(folder, **settings)
    for iteration in range(3):
        trained.learner.update(batch.rows(torch.arange(len(batch))), iteration)
    return trained


def parts(agent):
    """The numbers that this process holds of weights and moments."""
    moments = [value for own in agent.learner.optimizer.state.values() for value in own.values()]
    weights = [p.to_local() if hasattr(p, "to_local") else p for p in agent.policy.parameters()]
    moments = [m.to_local() if hasattr(m, "to_local") else m for m in moments]
    return [sum(t.numel() for t in weights), sum(t.numel() for t in moments)]


@pytest.mark.slow
def test_a_divided_model_learns_what_a_whole_one_does(tmp_path):
    folder = model_folder(tmp_path / "model")
    (tmp_path / "script.py").write_text(DIVIDED)
    done = together([str(tmp_path / "script.py"), str(tmp_path / "out.pt"), folder], Path(__file__).parents[4])
    assert done.returncode == 0, done.stderr
    out = torch.load(tmp_path / "out.pt", weights_only=True)
    assert out["calls"][0] != out["calls"][1]  # processes call the model different numbers of times
    alone = model_learned(folder, model_played(folder))
    wanted = alone.policy.state_dict()
    assert out["state"].keys() == wanted.keys()
    first = model_agent(folder).policy.state_dict()
    assert max(float((wanted[name] - first[name]).abs().max()) for name in wanted) > 1e-2
    for name, value in wanted.items():
        close(out["state"][name], value, 1e-4)
    sizes = parts(alone)
    assert all(own < 0.9 * whole for own, whole in zip(out["held"], sizes, strict=True))  # its embeddings are whole


COMMAND = (
    "train grpo --env agentgym/Household-v0 --env-kwargs size=tiny max_turns=4 --seed 3 --threads 1 --device cpu "
    "--steps 48 --checkpoint-every 16 --keep-checkpoints 0 --name whole --config.tasks 2 --config.group-size 2 "
    "--config.no-skip-dead "
)
TINY = (
    "--config.width 16 --config.layers 1 --config.heads 2 --config.context 400 --config.imitation-batches 2 "
    "--config.imitation-size 4 --config.methods entropy:weight=0.1 kl epo"
)
SHARDED = "--config.shard --config.learning-rate 1e-2 --config.methods entropy:weight=0.1 --policy "


def torchrun(command, where):
    """Run a command of agentgym in two processes."""
    return together(["-m", "agentgym", *command.split()], where)


def together(words, where):
    """Run a script or module in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    return subprocess.run(
        [*launcher, *words], cwd=where, text=True, capture_output=True, timeout=540,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4]), "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["tiny", "sharded"])
def test_torchrun_writes_one_run_and_resumes_it_exactly(policy, tmp_path):
    own = TINY if policy == "tiny" else SHARDED + model_folder(tmp_path / "model")
    done = torchrun(COMMAND + own, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained for") == 1
    whole, half = tmp_path / "runs/whole", tmp_path / "runs/half"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["whole"]
    assert json.loads((whole / "config.json").read_text())["processes"] == 2
    shutil.copytree(whole, half)
    shutil.rmtree(half / "final")
    (half / "record.json").unlink()
    steps = sorted(path for path in (half / "checkpoints").iterdir() if path.name.isdigit())
    assert len(steps) >= 2
    for later in steps[1:]:
        shutil.rmtree(later)
    with pytest.raises(AskError, match=r"trained by 2 processes, not 1.*torchrun --nproc-per-node 2"):
        resume(half, progress=False)  # one process would play other episodes
    done = torchrun("resume runs/half", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("exactly") == 1
    for name in ("final/tensors.safetensors", "metrics.csv"):
        assert (half / name).read_bytes() == (whole / name).read_bytes()
    if policy == "sharded":  # what was saved is whole
        loaded = load_agent(whole / "final", device="cpu")
        assert loaded.predict("You see a mug.", commands=["look", "go to bed 1"], deterministic=True)[0]
        return
    done = torchrun("resume runs/half", tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("agentgym: runs/half is finished") == 1


def test_what_processes_cannot_do_is_refused(tmp_path):
    with pytest.raises(InvalidParameter, match="sac trains in one process, not 2"):
        build(RunConfig("sac", "Pendulum-v1", processes=2))
    Run.create(tmp_path / "run", RunConfig("grpo", "agentgym/Household-v0", processes=2))
    before = (tmp_path / "run/config.json").read_bytes()
    with pytest.raises(AskError, match="trained by 2 processes, not 1"):
        resume(tmp_path / "run", progress=False)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]
    assert (tmp_path / "run/config.json").read_bytes() == before


def test_what_cannot_be_divided_is_refused(tmp_path):
    with pytest.raises(InvalidParameter, match=r"shard.*pretrained"):
        small(shard=True)
    with pytest.raises(InvalidParameter, match="shard or lora_rank"):
        model_agent("somewhere", shard=True, lora_rank=2)
    policy = model_agent(model_folder(tmp_path / "model"), shard=True).policy  # one process: nothing to divide
    assert not policy.sharded
    policy.sharded = True
    with pytest.raises(InvalidParameter, match="kl, gae, oreo"):
        policy.twin()


def test_an_error_is_said_by_the_process_that_has_it():
    def fails():
        raise InvalidParameter("so it is")

    assert agree(lambda: 3) == 3
    with pytest.raises(InvalidParameter, match="so it is"):
        agree(fails)
