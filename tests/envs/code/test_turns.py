"""Turn control as a perturbation, wrong reports, and the environment in which a control is learned."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import agentgym  # noqa: F401
from agentgym.envs.perturb import TurnControl, WrongReports, perturb
from agentgym.errors import AskError, InvalidAction, InvalidParameter, UnknownId
from agentgym.vector.infos import split_infos

MEDIUM = "agentgym/CodeRepairMedium-v0"


def played(*effects, seed=0, kind="explorer", **arguments):
    env = perturb(gym.make(MEDIUM, **arguments), *effects)
    player = env.unwrapped.controllers[kind].acting_in(env)
    text, info = env.reset(seed=seed)
    texts, over, total, first = [text], False, 0.0, True
    while not over:
        command, _ = player.predict(text, None, [first])
        first = False
        text, reward, terminated, truncated, info = env.step(command)
        texts.append(text)
        total += reward
        over = terminated or truncated
    return texts, total, info


def test_a_silent_limit_cuts_the_unrestricted_episode():
    whole, reward, free = played(TurnControl())
    turns = int(free["measures"]["turns"])
    assert free["measures"]["auto_submitted"] == 0
    same, again, within = played(TurnControl(rule="fixed", limit=turns))
    assert (same, again, within["measures"]["cost"]) == (whole, reward, free["measures"]["cost"])
    cut, _, info = played(TurnControl(rule="fixed", limit=4))
    assert cut[:5] == whole[:5]
    assert len(cut) == 6  # the submission is no turn
    assert info["measures"]["turns"] == 4
    assert info["measures"]["auto_submitted"] == 1
    assert info["measures"]["prompt_words"] < free["measures"]["prompt_words"]


def test_cost_is_that_of_the_words():
    _, _, info = played(TurnControl(prompt_price=2.0, cached_price=0.5, answer_price=3.0))
    of = info["measures"]
    assert of["cost"] == pytest.approx((2 * of["prompt_words"] + 3 * of["answer_words"]) / 1e3)
    read = of["prompt_words"] - of["fresh_words"]
    assert of["cached_cost"] == pytest.approx((2 * of["fresh_words"] + 0.5 * read + 3 * of["answer_words"]) / 1e3)


def test_extensions_and_reminders():
    texts, _, info = played(TurnControl(rule="automatic", limit=4, step=2, cap=8, reminders=(0.5,)))
    assert info["measures"]["turns"] <= 8
    assert info["measures"]["extended"] == 2
    assert [n for n, text in enumerate(texts) if "[Turns:" in text] == [2]
    assert "2 of 4 used, 2 left" in texts[2]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rule": "fixed"}, "limit"), ({"rule": "often"}, "rule"), ({"rule": "learned"}, "policy"),
        ({"policy": "runs/x"}, "policy"), ({"reminders": (2.0,)}, "between 0 and 1"),
        ({"rule": "automatic", "limit": 5, "step": 1, "cap": 2}, "cap"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(settings, says):
    if settings == {"reminders": (2.0,)}:
        settings = {"rule": "fixed", "limit": 3, **settings}
    with pytest.raises(AskError, match=says):
        TurnControl(**settings)


def test_worlds_without_a_submission_are_refused():
    for effect in (TurnControl(), WrongReports()):
        with pytest.raises(InvalidParameter, match="needs a world"):
            perturb(gym.make("agentgym/Household-v0"), effect)


def test_reports_are_wrong_at_their_rate_and_only_of_their_kind():
    right = wrong = 0
    for seed in range(12):
        env = perturb(
            gym.make(MEDIUM),
            WrongReports(kind="tests", rate=0.5),
        )
        true = gym.make(MEDIUM)
        _, info = env.reset(seed=seed)
        true.reset(seed=seed)
        for command in [c for c in info["admissible_commands"] if c.startswith(("run t", "run s"))]:
            said, told = env.step(command)[0], true.step(command)[0]
            assert ("passes" in said) != ("fails" in said)
            right, wrong = right + (said == told), wrong + (("passes" in said) != ("passes" in told))
        said, told = env.step("run all")[0], true.step("run all")[0]
        assert said == told
    assert right + wrong >= 20
    assert 0.2 < wrong / (right + wrong) < 0.8


def test_traces_mislead_and_progress_is_overstated():
    numbers = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
    for seed in range(6):
        env, true = perturb(gym.make(MEDIUM), WrongReports(kind="progress", rate=1.0)), gym.make(MEDIUM)
        env.reset(seed=seed)
        true.reset(seed=seed)
        said, told = env.step("run all")[0].split()[0], true.step("run all")[0].split()[0]
        if told in numbers:
            assert numbers[said] < numbers[told]
        env = perturb(gym.make(MEDIUM), WrongReports(kind="traces", rate=1.0))
        _, info = env.reset(seed=seed)
        command = next(c for c in info["admissible_commands"] if c.startswith("run ") and c != "run all")
        assert ", ran" not in env.step(command)[0]
        assert env.step("run all")[4]["perturbed"] == {"WrongReports": False}


def test_batch_equals_single():
    effects = [WrongReports(kind="tests", rate=0.3), TurnControl(rule="fixed", limit=5)]
    batch = perturb(gym.make_vec(MEDIUM, num_envs=3), *effects)
    singles = [perturb(gym.make(MEDIUM), *effects) for _ in range(3)]
    texts, infos = batch.reset(seed=[5, 6, 7])
    alone = [env.reset(seed=5 + n) for n, env in enumerate(singles)]
    assert list(texts) == [text for text, _ in alone]
    infos = split_infos(infos, 3)
    for _ in range(6):
        commands = [info["admissible_commands"][0] for info in infos]
        texts, rewards, terminated, _, told = batch.step(commands)
        steps = [env.step(command) for env, command in zip(singles, commands, strict=True)]
        infos = split_infos(told, 3)
        if terminated.any():
            assert terminated.all()
            finals = [info["final_info"]["measures"] for info in infos] if "final_info" in infos[0] else None
            assert finals is None or finals == [step[4]["measures"] for step in steps]
            break
        assert list(texts) == [step[0] for step in steps]
        assert rewards.tolist() == [step[1] for step in steps]


def test_the_environment_of_the_control():
    env = gym.make("agentgym/TurnControl-v0")
    check_env(env.unwrapped, skip_render_check=True)
    features, info = env.reset(seed=3)
    task = gym.make(MEDIUM)
    task.reset(seed=3)
    explorer = task.unwrapped.controllers["explorer"].acting_in(task)
    total = cost = 0.0
    over = False
    text, words = "", 0
    while not over:
        command, _ = explorer.predict(text)
        text, _, terminated, truncated, _ = task.step(command)
        features, reward, *ends, info = env.step(0)
        assert ends == [terminated, truncated]
        words += len(command.split())
        total += reward
        over = terminated or truncated
    _, _, controlled = played(TurnControl(), seed=3)
    cost = controlled["measures"]["cost"]
    assert total == pytest.approx(info["measures"]["success"] - cost / 20)
    assert features[0] == pytest.approx(info["turn"] / 40)
    assert words == controlled["measures"]["answer_words"]


def test_submission_ends_the_task_and_costs_nothing():
    env = gym.make("agentgym/TurnControl-v0", value=5.0)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(np.int64(1))
    assert (reward, terminated, info["won"]) == (0.0, True, False)
    with pytest.raises(gym.error.ResetNeeded):
        env.unwrapped.step(0)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="go on"):
        env.unwrapped.step(2)
    with pytest.raises(UnknownId, match="explorer"):
        gym.make("agentgym/TurnControl-v0", player="explorr")
    with pytest.raises(AskError, match="submit"):
        gym.make("agentgym/TurnControl-v0", task="agentgym/Household-v0")
