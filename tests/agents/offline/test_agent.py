"""What every offline agent must do: learn, be saved and read, resume exactly, refuse bad data."""

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from agentgym import catalog
from agentgym.agents.common.saving import load_agent
from agentgym.agents.offline.agent import OfflineAgent
from agentgym.agents.offline.bc.bc import BC, best_episodes
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import AskError, InvalidParameter, NonFinite, SpaceMismatch, Stopped
from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import RunConfig
from agentgym.runs.train import resume, train
from tests.resume.test_kill import killed_and_resumed

# Agents that learn from a Pendulum's data, with settings that make a step cheap.
SMALL: dict[str, dict] = {
    "bc": {"layers": (16,)},
    "percent-bc": {"layers": (16,)},
    "iql": {"layers": (16,), "schedule_steps": 60},  # a run that was made longer has the same schedule then
    "odice": {"value_layers": (16,), "policy_layers": (16,)},
    "td3bc": {"layers": (16,)},
    "prdc": {"layers": (16,)},
    "dt": {"width": 16, "layers": 1, "context": 4},
    "doc": {"width": 16, "layers": 1, "context": 4, "future": 4, "latent": 4, "hidden": (16,), "samples": 8},
}
QUICK = {"batch_size": 32, "log_every": 10, "evaluate_every": 20, "evaluation_episodes": 1}
every_agent = pytest.mark.parametrize("name", SMALL)


def test_every_offline_agent_is_tried_here() -> None:
    offline = [entry.id for entry in catalog.entries("agent") if ".offline." in entry.target]
    assert {*SMALL} == {name for name in offline if name not in ELSEWHERE}


ELSEWHERE: set[str] = {"doc-tabular", "rcbc"}  # agents that take no Pendulum, with tests of their own


def make(name: str, dataset: OfflineDataset, **more) -> OfflineAgent:
    return catalog.load(catalog.find("agent", name))(dataset=dataset, seed=3, **{**QUICK, **SMALL[name], **more})


@every_agent
def test_saved_and_loaded_agents_act_and_learn_alike(name: str, pendulum: OfflineDataset, tmp_path: Path) -> None:
    agent = make(name, pendulum).learn(30)
    agent.save(tmp_path / "agent")
    loaded = load_agent(tmp_path / "agent")
    observations = pendulum.observations[:7]
    acts = [learner.predict(observations, deterministic=True)[0] for learner in (agent, loaded)]
    np.testing.assert_array_equal(*acts)
    assert loaded.dataset_record["sha256"] == pendulum.digest
    loaded.set_dataset(pendulum)
    loaded.generator.set_state(agent.generator.get_state())
    for learner in (agent, loaded):
        learner.learn(5, reset_num_timesteps=False)
    for own, other in zip(agent.policy.state_dict().values(), loaded.policy.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)


@every_agent
def test_a_run_is_resumed_bit_for_bit_and_keeps_both_scores(name: str, stored: str, tmp_path: Path) -> None:
    settings = {**QUICK, **SMALL[name], "evaluate_every": 30}
    config = RunConfig(name, dataset=stored, steps=60, checkpoint_every=20, config=settings, threads=1)
    whole = train(config, "whole", tmp_path, progress=False)
    half = train(dataclasses.replace(config, steps=30), "half", tmp_path, progress=False)
    resumed = resume(half.path, 30, progress=False)
    assert (whole.path / "metrics.csv").read_text().splitlines()[-1] == (
        resumed.path / "metrics.csv").read_text().splitlines()[-1]  # fmt: skip
    one, two = load_agent(whole.final), load_agent(resumed.final)
    for own, other in zip(one.policy.state_dict().values(), two.policy.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)
    scores = whole.record()["scores"]
    assert scores["final_step"] == 60
    assert scores["best_return"] >= scores["final_return"]
    assert whole.config.env == "Pendulum-v1"
    assert len(whole.config.dataset_sha256) == 64


@pytest.mark.parametrize("name", ["td3bc", "iql", "dt", "bc"])
def test_a_signal_is_heeded_between_two_rows_of_the_log(
    name: str, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(name, dataset=stored, steps=25, config={**QUICK, **SMALL[name]}, threads=1)
    whole = train(config, "whole", tmp_path, progress=False)
    agent_class = catalog.load(catalog.find("agent", name))
    update, calls = agent_class._update, []

    def signal_once(self: OfflineAgent) -> tuple[torch.Tensor, ...]:
        calls.append(name)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self)

    monkeypatch.setattr(agent_class, "_update", signal_once)
    with pytest.raises(Stopped, match="at step 7"):
        train(config, "half", tmp_path, progress=False)
    half = resume(tmp_path / "half", progress=False)
    assert half.record()["resumes"][0]["exact"]
    for file in ("metrics.csv", "final/manifest.json"):
        assert (half.path / file).read_text() == (whole.path / file).read_text()


@pytest.mark.slow  # stopped by a signal between two rows, and killed between them elsewhere, every agent goes on too
def test_a_run_that_is_killed_goes_on_from_a_checkpoint_between_two_rows(stored: str, tmp_path: Path) -> None:
    settings = {**QUICK, **SMALL["td3bc"], "log_every": 200, "evaluate_every": 250}
    config = RunConfig("td3bc", dataset=stored, steps=500, checkpoint_every=35, config=settings, threads=1)
    (tmp_path / "cut").mkdir()
    whole = train(config, "whole", tmp_path, progress=False)
    assert killed_and_resumed(tmp_path / "cut", config, kills=2, seed=1) == 2
    for file in ("metrics.csv", "final/manifest.json"):
        assert (tmp_path / "cut/run" / file).read_text() == (whole.path / file).read_text()


@every_agent
def test_agents_enter_a_suite(name: str, pendulum: OfflineDataset) -> None:
    agents, short = {name: make(name, pendulum)}, {"max_episode_steps": 40}
    found = evaluate(agents, "perturbations:levels=1", "Pendulum-v1", short, episodes=1, progress=False)
    assert not [row.error for row in found.rows if row.error]


@every_agent
def test_data_that_are_not_finite_or_of_other_spaces_are_refused(name: str, pendulum: OfflineDataset) -> None:
    rewards = pendulum.rewards.copy()
    rewards[5] = np.nan
    with pytest.raises(NonFinite, match="rewards are not finite: the first, at step 5 of episode 0, is nan"):
        make(name, dataclasses.replace(pendulum, rewards=rewards))
    with pytest.raises(SpaceMismatch, match="the environment's are"):
        make(name, pendulum, env="InvertedPendulum-v5")


def test_an_offline_agent_without_data_and_an_online_one_with_data_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AskError, match="--dataset NAME"):
        train(RunConfig("bc", "Pendulum-v1"), root=tmp_path)
    with pytest.raises(AskError, match="learns in an environment"):
        train(RunConfig("sac", "Pendulum-v1", dataset="x-v0"), root=tmp_path)
    with pytest.raises(InvalidParameter, match="learns from a dataset"):
        BC()


def test_cloning_recovers_a_deterministic_law(pendulum: OfflineDataset) -> None:
    law = (0.5 * pendulum.observations[:, 1:2] - 0.2 * pendulum.observations[:, 2:3]).clip(-2, 2)
    rows = np.arange(len(pendulum)) + pendulum.episode_of
    agent = BC(
        dataset=dataclasses.replace(pendulum, actions=law[rows]), seed=0, layers=(64, 64), learning_rate=1e-3
    ).learn(2000)
    actions, _ = agent.predict(pendulum.observations[rows])
    assert float(np.abs(actions - law[rows]).mean()) < 0.03


def test_percent_cloning_takes_the_best_episodes(pendulum: OfflineDataset) -> None:
    best = best_episodes(pendulum, 0.25)
    assert best.episodes == 5
    assert best.returns.min() >= np.sort(pendulum.returns)[-5]
