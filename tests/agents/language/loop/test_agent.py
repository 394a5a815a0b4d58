"""The agents from outside: learning, acting, saving, bad input."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from agentgym import catalog
from agentgym.agents import GRPO, SPEAR
from agentgym.agents.common.denormals import flushing_denormals
from agentgym.agents.common.saving import load_agent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.diagnostics import Alarms
from agentgym.errors import CorruptFile, InvalidParameter, NonFinite, SpaceMismatch, UnknownId
from tests.agents.language.worlds import SMALL, homes, small

AGENTS = ("grpo", "dr-grpo", "rloo", "gigpo", "spear", "epo", "oreo")


def play(agent, seed=11, deterministic=False):
    env = homes(1).unwrapped.worlds[0]
    observation, info = env.reset(seed=seed)
    state, said = None, []
    for _ in range(4):
        commands = info["admissible_commands"] if agent.choosing else None
        command, state = agent.predict(observation, state, deterministic=deterministic, commands=commands)
        said.append(command)
        observation, _, terminated, truncated, info = env.step(command)
        if terminated or truncated:
            break
    return said


@pytest.mark.parametrize("actions", ["choose", "write"])
@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_learns_and_is_saved(name, actions, tmp_path):
    agent_class = catalog.load(catalog.find("agent", name))
    agent = small(agent_class, actions=actions).learn(60)
    assert agent.num_timesteps >= 60
    assert agent.iteration >= 1
    agent.save(tmp_path / "saved")
    loaded = load_agent(tmp_path / "saved", device="cpu")
    assert type(loaded) is agent_class
    assert all(torch.equal(a, b) for a, b in zip(agent.policy.parameters(), loaded.policy.parameters(), strict=True))
    assert play(loaded, deterministic=True) == play(agent, deterministic=True)


def test_a_saved_agent_is_where_another_begins(tmp_path):
    first = small(imitation_batches=1).learn(0)
    first.save(tmp_path / "first")
    second = small(SPEAR, start=str(tmp_path / "first"))
    assert all(map(torch.equal, first.policy.parameters(), second.policy.parameters()))
    second.learn(30).save(tmp_path / "second")
    (tmp_path / "first").rename(tmp_path / "moved")
    loaded = load_agent(tmp_path / "second", device="cpu")  # its weights are its own by now
    assert all(map(torch.equal, second.policy.parameters(), loaded.policy.parameters()))
    with pytest.raises(InvalidParameter, match="width"):
        small(SPEAR, start=str(tmp_path / "moved"), width=32)
    with pytest.raises(FileNotFoundError):
        small(start=str(tmp_path / "nowhere"))


def test_a_progress_bar_tells_of_the_imitation_too(capsys, monkeypatch):
    monkeypatch.setattr("agentgym.progress.SECONDS_BETWEEN_LINES", 0)
    small(imitation_batches=2).learn(30, progress_bar=True)
    said = capsys.readouterr().err
    assert "imitation 2/2, loss " in said
    assert "steps/s" in said


def test_all_methods_together():
    names = [entry.id for entry in catalog.entries("method") if not catalog.load(entry).REPLACES]
    agent = small(methods=tuple(names), skip_dead=False).learn(60)
    assert all(parameter.isfinite().all() for parameter in agent.policy.parameters())


def test_dr_bot_is_a_setting():
    assert small(preset="dr-bot").learn(30).iteration == 1


def test_equal_seeds_learn_equally():
    first, second, other = (small(seed=seed).learn(60) for seed in (3, 3, 4))
    left, right = (list(agent.policy.parameters()) for agent in (first, second))
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
    assert not torch.equal(left[0], next(other.policy.parameters()))


def test_making_an_agent_moves_no_generator():
    before = torch.get_rng_state()
    small()
    assert torch.equal(before, torch.get_rng_state())


def test_fewer_worlds_are_played_in_turns():
    whole, halves = small(env=homes(8)), small(env=homes(4))
    heard = []
    for agent in (whole, halves):
        agent.learn(1)
        heard.append((agent.iteration, agent._episode_num))
    assert heard[0] == heard[1] == (1, 8)


def test_good_choices_become_likelier():
    """Rewards by hand: the first command of every list is good."""
    agent = small(learning_rate=3e-3, warmup_iterations=0, methods=(), epochs=2)
    shares = []
    for _ in range(12):
        from agentgym.agents.language.loop.trajectory import collate
        from agentgym.agents.language.policies.policy import Sampler

        episodes = agent.rollout.play([1, 2], Sampler(agent.generator))
        for one in episodes:
            for turn in one.turns:
                turn.reward = float(turn.choice == 0)
        made = collate(episodes, True)
        shares.append(float(made.rewards.sum() / made.turns.sum()))
        agent.learner.update(made, agent.iteration)
        agent.iteration += 1
    assert np.mean(shares[-3:]) > np.mean(shares[:3]) + 0.2


def test_imitation_learns_the_experts_commands():
    agent = small(imitation_batches=12, imitation_size=16, imitation_rate=1e-2)
    losses = [agent.learner.imitate(made) for made in agent.demonstrations(12)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_imitation_is_the_first_thing(actions, tmp_path):
    agent = small(imitation_batches=2, imitation_size=4, actions=actions)
    assert not agent.imitated
    agent.learn(1).save(tmp_path / "saved")
    assert agent.imitated
    assert load_agent(tmp_path / "saved", env=homes()).imitated  # it does not imitate again when it goes on


def test_callbacks_hear_and_stop():
    from stable_baselines3.common.callbacks import BaseCallback

    class Stop(BaseCallback):
        def _on_step(self):
            return self.n_calls < 3

    agent = small().learn(10_000, callback=Stop())
    assert agent.iteration == 0
    assert 0 < agent.num_timesteps <= 24


def test_predict_needs_its_commands():
    agent = small()
    with pytest.raises(InvalidParameter, match="admissible_commands"):
        agent.predict("You are at a shelf.")
    with pytest.raises(InvalidParameter, match="string"):
        agent.predict(np.zeros(3), commands=["look"])
    with pytest.raises(InvalidParameter, match="larger context"):
        small(context=20).predict("You are here. " * 30, commands=["look"])


def test_predict_acts_as_the_rollout_did():
    from agentgym.agents.language.policies.policy import Sampler

    agent = small()
    episodes = agent.rollout.play([11, 12], Sampler(None, deterministic=True))
    assert play(agent, 11, deterministic=True) == [turn.command for turn in episodes[0].turns][:4]


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_episodes_side_by_side_are_each_alone(actions):
    """Lanes that begin at different times, wait, and begin again say what they would have said alone."""
    agent = small(actions=actions)
    told = ["You are at desk 1.", "You see: mug 1.", "It is closed.", "On it: nothing."]
    offers = [["look", "go to desk 1", "take mug 1 from desk 1"], ["look", "open chest 1"]]

    def alone(lines, commands):
        state, said = None, []
        for line in lines:
            command, state = agent.predict(line, state, deterministic=True, commands=commands)
            said.append(command)
        return said

    state, said = None, [[], [], []]
    # Lane 1 waits in the second turn; lane 2 ends after two and begins anew.
    for turn, line in enumerate(told):
        seen = [line, None if turn == 1 else line, told[3 - turn]]
        starts = [turn == 0, turn == 0, turn in (0, 2)]
        answers, state = agent.predict(seen, state, starts, True, commands=[*offers, offers[0]])
        for lane, answer in zip(said, answers, strict=True):
            lane.append(answer)
    assert said[0] == alone(told, offers[0])
    assert said[1][1] == ""
    assert [said[1][0], *said[1][2:]] == alone([told[0], *told[2:]], offers[1])
    assert said[2] == alone(told[:1:-1], offers[0]) + alone(told[1::-1], offers[0])


def test_side_by_side_an_episode_that_outgrows_the_context_falls_silent():
    agent = small(context=60)
    answers, state = agent.predict(["On it: nothing. " * 30, "On it: nothing."], commands=[["look"], ["look"]])
    assert answers == ["", "look"]
    assert state.overlong == [True, False]
    answers, state = agent.predict(["Short.", "Short."], state, [True, False], commands=[["look"], ["look"]])
    assert answers == ["look", "look"]
    assert state.overlong == [False, False]
    with pytest.raises(InvalidParameter, match="admissible_commands"):
        agent.predict(["Short.", "Short."], commands=[["look"], []])


def test_words_that_it_does_not_know_are_read_as_unknown():
    agent = small()
    assert agent.predict("Qwzx zzyzx 9 ünïcode", commands=["grab qqq", "look"])[0] in ("grab qqq", "look")
    assert "mug" in agent.words
    assert "grab" not in agent.words


def test_loading_to_go_on(tmp_path):
    agent = small(SPEAR).learn(30)
    agent.save(tmp_path / "saved")
    went_on = SPEAR.load(tmp_path / "saved", env=homes(), device="cpu").learn(30, reset_num_timesteps=False)
    assert went_on.num_timesteps > agent.num_timesteps
    with pytest.raises(InvalidParameter, match="no environment"):
        SPEAR.load(tmp_path / "saved", device="cpu").learn(1)
    with pytest.raises(CorruptFile, match="spear"):
        GRPO.load(tmp_path / "saved")
    with pytest.raises(SpaceMismatch):
        agent.set_env(homes(size="house"))


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"tasks": -1}, InvalidParameter, "tasks"),
        ({"learning_rate": float("nan")}, NonFinite, "learning_rate"),
        ({"minibatches": 99}, InvalidParameter, "minibatches"),
        ({"tasks": 3}, InvalidParameter, "multiple"),
        ({"group_size": 3, "tasks": 8}, InvalidParameter, "groups"),
        ({"methods": ("spaer",)}, UnknownId, "spear"),
        ({"advantage": "gipgo"}, UnknownId, "gigpo"),
        ({"aggregation": "token"}, UnknownId, "decisions"),
    ],
)
def test_bad_settings(settings, error, said):
    with pytest.raises(error, match=said):
        small(**settings)


def test_environments_without_texts_are_refused():
    with pytest.raises(SpaceMismatch, match="texts"):
        GRPO("tiny", gymnasium.make_vec("CartPole-v1", 8), **SMALL)
    for alone in ("CartPole-v1", gymnasium.make("CartPole-v1")):
        with pytest.raises(SpaceMismatch, match="texts"):
            GRPO("tiny", alone, **SMALL)
    with pytest.raises(SpaceMismatch, match="VecEnv"):
        GRPO("tiny", DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]), **SMALL)


def test_unknown_ids_are_named():
    with pytest.raises(UnknownId, match="Household"):
        GRPO("tiny", "agentgym/Houshold-v0", **SMALL)


def test_a_single_environment_or_an_id_becomes_a_batch():
    env = gymnasium.make("agentgym/Household-v0", size="tiny", max_turns=3)
    assert GRPO("tiny", env, seed=0, device="cpu", **SMALL).learn(1).n_envs == 8
    assert GRPO("tiny", "agentgym/Household-v0", seed=0, device="cpu", **SMALL).n_envs == 8
    for wrapped in (gymnasium.wrappers.TimeLimit(env, 2), gymnasium.wrappers.RecordEpisodeStatistics(env)):
        with pytest.raises(InvalidParameter, match="copied"):
            GRPO("tiny", wrapped, **SMALL)


def test_alarms_are_heard_once():
    alarms = Alarms()
    good = {"rollout/success": 0.9, "entropy/mean": 1.0, "rollout/void_episodes": 0.0, "rollout/repeated_commands": 0.0}
    alarms.check(good)
    bad = {**good, "rollout/success": 0.0, "entropy/mean": 0.01}
    with pytest.warns(UserWarning, match="entropy_collapse"):
        found = [alarms.check(bad) for _ in range(5)]
    assert found[-1]["alarm/entropy_collapse"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alarms.check(bad)


def test_the_defaults_fit_together():
    assert LanguageConfig().worlds == 128
    for name in AGENTS:
        agent_class = catalog.load(catalog.find("agent", name))
        assert agent_class.catalog_name == name
        assert "arXiv" in agent_class.__doc__
        agent_class.Config(**agent_class.Config().to_kwargs())


def test_arithmetic_outside_is_left_as_it_was():
    """Denormals are flushed while the agent computes, and never for the rest of the process."""
    smallest = torch.tensor([1e-40])
    with flushing_denormals():
        assert (smallest * 1.0).item() == 0.0
        with flushing_denormals():
            pass
        assert (smallest * 1.0).item() == 0.0
    assert (smallest * 1.0).item() > 0.0


BAD_COMMANDS = ["look", [3], ["look", None], {"look"}, [""], ["  ", ""]]


@pytest.mark.parametrize("commands", BAD_COMMANDS, ids=repr)
def test_commands_to_choose_from_are_strings(commands):
    for given, observation in ((commands, "You see a mug."), ([commands, ["look"]], ["You see a mug.", "A mug."])):
        with pytest.raises(InvalidParameter, match="ommands to choose from"):
            small().predict(observation, commands=given)


@pytest.mark.parametrize("command", ["look\ud800", "x" * 5000, "look, then\x00 look", "\u202e"], ids=ascii)
def test_any_string_can_be_chosen(command):
    assert small().predict("You see a mug.", commands=[command, ""], deterministic=True)[0] in (command, "")


@pytest.mark.parametrize("steps", [-5, 2.5, float("nan"), "9", True, None])
def test_how_long_to_learn_is_a_whole_number(steps):
    with pytest.raises(NonFinite if steps != steps else InvalidParameter, match="total_timesteps"):
        small().learn(steps)


def test_numpys_whole_numbers_are_lengths_too():
    assert small().learn(np.int64(1)).num_timesteps > 0
    assert small().learn(0).num_timesteps == 0


def test_a_context_in_which_no_demonstration_fits():
    with pytest.raises(InvalidParameter, match="context of 1 tokens"):
        small(env="agentgym/Household-v0", context=1, imitation_batches=1, imitation_size=2).learn(1)
