"""A dataset's world is the one it was recorded in: time limit, arguments, wrappers; nothing is imported for it."""

import json
import sys
from pathlib import Path

import gymnasium
import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer

from agentgym.agents.common.saving import load_agent
from agentgym.agents.offline.bc.bc import BC
from agentgym.data.checks import check_dataset
from agentgym.data.storage import load_dataset
from agentgym.errors import AskError, SpaceMismatch, UnknownId
from agentgym.evaluation.evaluate import evaluate
from agentgym.make import has_native_batch, make_env
from agentgym.runs.build import build
from agentgym.runs.run import RunConfig
from agentgym.runs.train import train

NAME = "theirs/pendulum/short-v0"
BC_QUICK = {"layers": (8,), "batch_size": 8, "log_every": 5, "evaluate_every": 5, "evaluation_episodes": 2}


def recorded(env: gymnasium.Env, name: str = NAME, episodes: int = 2, longest: int = 400) -> str:
    """Uniform actions, written by Minari itself."""
    kept = []
    env.action_space.seed(0)
    for number in range(episodes):
        seen, actions, rewards, ends, over = [env.reset(seed=number)[0]], [], [], [], False
        while not over and len(actions) < longest:
            actions.append(env.action_space.sample())
            observation, reward, terminated, truncated, _ = env.step(actions[-1])
            over = terminated or truncated
            seen.append(observation)
            rewards.append(reward)
            ends.append(terminated)
        truncations = np.arange(len(ends)) == len(ends) - 1
        kept.append(EpisodeBuffer(
            observations=np.array(seen), actions=np.array(actions), rewards=np.array(rewards),
            terminations=np.array(ends), truncations=truncations & ~np.array(ends)))  # fmt: skip
    minari.create_dataset_from_buffers(name, kept, env=env)
    return name


def altered(home: Path, **changes) -> None:
    """Change what NAME's file says of its environment."""
    file = home / NAME / "data/metadata.json"
    metadata = json.loads(file.read_text())
    metadata["env_spec"] = json.dumps({**json.loads(metadata["env_spec"]), **changes})
    metadata.pop("eval_env_spec", None)
    file.write_text(json.dumps(metadata))


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Minari asks for an author and more

WORLDS = {
    "limit": lambda: gymnasium.make("Pendulum-v1", max_episode_steps=25),
    "clipped": lambda: gymnasium.wrappers.ClipReward(gymnasium.make("Pendulum-v1", max_episode_steps=30), -1, 0),
    "rescaled": lambda: gymnasium.wrappers.RescaleAction(
        gymnasium.make("Pendulum-v1", max_episode_steps=20, g=5.0), -1.0, 1.0
    ),
    "aware": lambda: gymnasium.wrappers.TimeAwareObservation(gymnasium.make("CartPole-v1", max_episode_steps=14)),
    "watched": lambda: gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("Pendulum-v1", max_episode_steps=7)),
}


@pytest.mark.parametrize("world", WORLDS)
def test_it_is_evaluated_where_it_was_recorded(world, home, tmp_path):
    recorded(WORLDS[world]())
    data = load_dataset(NAME)
    [told] = [one.message for one in check_dataset(NAME) if one.check == "environment"]
    assert f"max_episode_steps={data.description.env_kwargs['max_episode_steps']}" in told
    made = make_env(data.description.env, dict(data.description.env_kwargs))
    assert (made.observation_space, made.action_space) == (data.observation_space, data.action_space)
    agent = "bc" if isinstance(data.action_space, gymnasium.spaces.Box) else "iql"
    run = train(RunConfig(agent, dataset=NAME, steps=5, config=BC_QUICK), "run", tmp_path, progress=False)
    [seen] = {row["eval/length_mean"] for row in _rows(run.path / "metrics.csv")}
    assert float(seen) <= data.lengths.max()
    if world == "clipped":
        assert run.record()["scores"]["final_return"] >= -30
    rows = evaluate(
        run.path, "stochasticity:intensities=0.5", run.config.env, run.config.env_kwargs, 1, progress=False
    ).rows
    assert {row.length for row in rows} <= set(range(1, data.lengths.max() + 1))
    assert not [row.error for row in rows if row.error]
    assert load_agent(run.final).observation_space == data.observation_space


def _rows(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_recording_without_a_time_limit_has_none_here(home):
    recorded(gymnasium.make("Pendulum-v1", max_episode_steps=-1), longest=210)
    assert load_dataset(NAME).description.env_kwargs == {"max_episode_steps": -1}


def test_the_environment_to_evaluate_in_is_the_author_s(home):
    name = recorded(gymnasium.make("Pendulum-v1", max_episode_steps=9))
    file = home / NAME / "data/metadata.json"
    metadata = json.loads(file.read_text())
    metadata["eval_env_spec"] = gymnasium.make("Pendulum-v1", max_episode_steps=11, g=4.0).spec.to_json()
    file.write_text(json.dumps(metadata))
    assert load_dataset(name).description.env_kwargs == {"g": 4.0, "max_episode_steps": 11}


@pytest.mark.parametrize(
    ("wrapper", "said"),
    [
        ({"name": "NormalizeObservation", "entry_point": "gymnasium.wrappers.stateful_observation:NormalizeObservation",
          "kwargs": {}}, "running statistics"),
        ({"name": "Mark", "entry_point": "worldtrap:Mark", "kwargs": {}}, "which modules are imported"),
        ({"name": "ClipReward", "entry_point": "worldtrap:ClipReward", "kwargs": {}}, "which modules are imported"),
        ({"name": "ClipReward", "entry_point": "gymnasium.wrappers.transform_reward:ClipReward",
          "kwargs": {"no_such": 1}}, "cannot wrap"),
    ],
)  # fmt: skip
def test_other_wrappers_are_refused_with_the_way_out_and_the_linter_says_the_same(
    wrapper, said, home, tmp_path, monkeypatch
):
    (tmp_path / "worldtrap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    recorded(gymnasium.make("Pendulum-v1", max_episode_steps=5))
    altered(home, additional_wrappers=[wrapper])
    with pytest.raises(AskError, match=said) as refused:
        build(RunConfig("bc", dataset=NAME))
    assert str(refused.value) in [one.message for one in check_dataset(NAME) if one.level == "error"]
    assert "worldtrap" not in sys.modules
    assert build(RunConfig("bc", "Pendulum-v1", dataset=NAME)).evaluation is not None  # the way out
    assert BC(dataset=NAME).evaluation is None


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"id": "Nowhere-v0"}, UnknownId, "install and import"),
        ({"id": "nowhere:Pendulum-v1"}, AskError, "--env nowhere:Pendulum-v1 --env-kwargs max_episode_steps=5"),
        ({"kwargs": {"no_such": 1}}, UnknownId, "keyword argument of Pendulum-v1"),
        ({"id": "CartPole-v1", "entry_point": "x:y"}, SpaceMismatch, "the environment's are"),
    ],
)
def test_worlds_that_cannot_be_made(changes, error, said, home):
    recorded(gymnasium.make("Pendulum-v1", max_episode_steps=5))
    altered(home, **changes)
    with pytest.raises(error, match=said) as refused:
        build(RunConfig("bc", dataset=NAME))
    assert str(refused.value) in [one.message for one in check_dataset(NAME) if one.level == "error"]


@pytest.mark.parametrize("limit", [0, -3, "25", 2.5, True])
def test_a_time_limit_that_is_none_is_damage(limit, home):
    recorded(gymnasium.make("Pendulum-v1", max_episode_steps=5))
    altered(home, max_episode_steps=limit)
    with pytest.raises(AskError, match="damaged"):
        load_dataset(NAME)
    assert [one.level for one in check_dataset(NAME)] == ["error"]


def test_wrappers_by_name_are_for_single_environments_and_from_a_list():
    robust = "agentgym/Convection-v0"
    clipped = {"additional_wrappers": [{"name": "ClipReward", "kwargs": {"min_reward": -1.0}}]}
    assert has_native_batch(robust)
    assert not has_native_batch(robust, clipped)
    for wrong in (
        "NormalizeReward",
        ["RecordVideo"],
        [{"name": "os.system"}],
        3,
        [{"name": "ClipReward", "kwargs": 3}],
    ):
        with pytest.raises(AskError):
            make_env("Pendulum-v1", {"additional_wrappers": wrong})
