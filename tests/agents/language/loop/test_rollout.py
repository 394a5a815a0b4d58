"""What is sampled is what is learned from: ids, probabilities, masks, groups."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from agentgym.agents.language.loop.rollout import Rollout
from agentgym.agents.language.loop.trajectory import Batch, collate
from agentgym.agents.language.policies.policy import Decision, Sampler
from agentgym.agents.language.policies.tiny import TinySession
from agentgym.agents.language.policies.vocabulary import ACT, BEGIN, END
from agentgym.errors import InvalidParameter, NonFinite, SpaceMismatch
from tests.agents.language.batches import batch, close, episode
from tests.agents.language.worlds import homes, small

MODES = ("choose", "write")


def played(agent, seeds=(5, 6), seed=0):
    """Episodes, and what the policy's session gave for each of its decisions."""
    sampler = Sampler(torch.Generator().manual_seed(seed))
    return agent.rollout.play(list(seeds), sampler)


@pytest.mark.parametrize("actions", MODES)
def test_sampled_ids_are_trained_ids(actions, monkeypatch):
    """Every token that the session sampled stands in the batch, in order, with its log-probability."""
    agent = small(actions=actions)
    spoken: dict[int, list[Decision]] = {}

    def recorded(method):
        def wrapper(self, lanes, *arguments):
            decisions = method(self, lanes, *arguments)
            for lane, decision in zip(lanes, decisions, strict=True):
                spoken.setdefault(lane, []).append(decision)
            return decisions

        return wrapper

    monkeypatch.setattr(TinySession, "generate", recorded(TinySession.generate))
    monkeypatch.setattr(TinySession, "choose", recorded(TinySession.choose))
    made = collate(played(agent), agent.choosing)
    for row in range(len(made)):
        ids = [number for decision in spoken[row] for number in decision.ids]
        assert made.ids[row][made.sampled[row]].tolist() == ids
        logps = [value for decision in spoken[row] for value in decision.logps]
        there = made.mask[row]
        close(made.old_logp[row][there], logps)
        if actions == "write":
            assert made.targets[row][there].tolist() == ids
            assert made.ids[row][made.at[row][there] + 1].tolist() == ids
        else:
            for place, decision in zip(range(int(there.sum())), spoken[row], strict=True):
                option = made.choices[row, place, made.targets[row, place]]
                assert [*option[option >= 0].tolist(), END] == decision.ids
                start = int(made.at[row, place]) + 1
                assert made.ids[row, start : start + len(decision.ids)].tolist() == decision.ids


@pytest.mark.parametrize("actions", MODES)
def test_learning_sees_the_probabilities_that_acting_had(actions):
    agent = small(actions=actions, layers=2, temperature=0.7)
    made = collate(played(agent), agent.choosing)
    logp, entropy = agent.policy.evaluate_decisions(made)
    close(logp[made.mask], made.old_logp[made.mask], 1e-4)
    close(entropy[made.mask], made.old_entropy[made.mask], 1e-4)
    assert (made.old_logp[made.mask] < 0).any()


@pytest.mark.parametrize("actions", MODES)
def test_masks_cover_only_what_the_policy_said(actions):
    agent = small(actions=actions)
    for one in played(agent):
        at = 1
        assert one.ids[0] == BEGIN
        for turn in one.turns:  # observation, <act>, command, <end>
            act = one.ids.index(ACT, at)
            end = one.ids.index(END, act)
            assert not any(one.sampled[at : act + 1])
            said = [
                number
                for number, own in zip(one.ids[act + 1 : end + 1], one.sampled[act + 1 : end + 1], strict=True)
                if own
            ]
            assert agent.policy.decode([number for number in said if number != END]) == turn.command
            assert all(act < position <= end for position in turn.positions)
            at = end + 1
        assert at == len(one.ids)  # nothing is read after the last command


def test_an_overlong_command_ends_with_a_mark_that_was_not_sampled():
    agent = small(actions="write", max_command_tokens=1)
    for one in played(agent):
        for turn in one.turns:
            (position,) = turn.positions
            if one.ids[position] != END:
                assert one.ids[position + 1] == END
                assert not one.sampled[position + 1]


def test_a_group_is_one_world():
    env = homes()
    texts, infos = env.reset(seed=[5] * 4 + [6] * 4)
    assert len(set(texts[:4])) == len(set(texts[4:])) == 1
    assert len(set(infos["anchor"][:4])) == 1
    episodes = played(small(env=env))
    assert [one.group for one in episodes] == [0] * 4 + [1] * 4
    assert [one.seed for one in episodes] == [5] * 4 + [6] * 4
    first = {tuple(one.ids[: one.ids.index(ACT)]) for one in episodes[:4]}
    assert len(first) == 1
    assert len({one.turns[0].anchor for one in episodes}) == 1  # the same number in every group
    assert len({tuple(one.ids) for one in episodes[:4]}) > 1  # but they act differently


class Forgetful(gymnasium.vector.VectorWrapper):
    """Takes seeds and drops them."""

    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=list(range(self.num_envs)), options=options)


def test_worlds_that_ignore_their_seed_are_refused():
    agent = small()
    rollout = Rollout(Forgetful(homes()), agent.policy, 4, True, 8)
    with pytest.raises(InvalidParameter, match="equal seeds and started differently"):
        rollout.play([5, 6], Sampler(None, deterministic=True))


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_how_worlds_start_again_does_not_matter(mode):
    found = played(small(env=homes(mode=mode)))
    assert [one.ids for one in found] == [one.ids for one in played(small())]


def test_gymnasiums_own_batch_does_as_well():
    env = gymnasium.make_vec(
        "agentgym/Household-v0", 8, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        size="tiny", max_turns=6,
    )  # fmt: skip
    found = played(small(env=env))
    assert [one.ids for one in found] == [one.ids for one in played(small())]
    assert [one.ended for one in found] == [one.ended for one in played(small())]


def test_worlds_that_wait_to_be_started_are_refused():
    with pytest.raises(InvalidParameter, match="reset automatically"):
        small(env=homes(mode=AutoresetMode.DISABLED))


def test_a_full_context_ends_the_episode():
    for actions in MODES:
        for one in played(small(context=90, actions=actions)):
            assert one.ended == "overlong"
            assert len(one.ids) <= 90
            assert one.ids[-1] == END
    with pytest.raises(InvalidParameter, match="larger context"):
        played(small(context=20))


def test_commands_must_be_listed():
    agent = small(env=homes(admissible=False))
    with pytest.raises(InvalidParameter, match="admissible_commands"):
        played(agent)


def test_rewards_and_ends():
    for one in played(small()):
        assert one.ended in ("terminated", "truncated")
        assert sum(turn.reward for turn in one.turns) == float(one.won)
        assert one.won == (one.ended == "terminated")


def test_rows_and_joined_batches_keep_what_there_is():
    made = collate(played(small()), True)
    some = made.rows(torch.tensor([3, 1]))
    again = Batch.joined([some, made.rows(torch.tensor([7]))])
    for row, source in enumerate([3, 1, 7]):
        assert again.ids[row, : again.lengths[row]].tolist() == made.ids[source, : made.lengths[source]].tolist()
        assert again.targets[row][again.mask[row]].tolist() == made.targets[source][made.mask[source]].tolist()
    back = Batch.from_state(again.state())
    assert all(torch.equal(getattr(back, name), value) for name, value in again._parts())


def test_turn_means():
    made = batch(episode(0, (0.0, 0.0), entropies=[1.0, 3.0]), episode(0, (0.0,), entropies=[2.0]))
    close(made.turn_means(made.old_entropy), [[1.0, 3.0], [2.0, 0.0]])


class Spoilt(gymnasium.vector.VectorWrapper):
    """A batch in which something goes wrong in a turn."""

    def __init__(self, env, turn, reward=None, text=None):
        super().__init__(env)
        self.turn, self.reward, self.text = turn, reward, text

    def reset(self, **arguments):
        self.turns = 0
        return self._spoil(*self.env.reset(**arguments))

    def step(self, actions):
        self.turns += 1
        texts, rewards, *rest, infos = self.env.step(actions)
        if self.reward is not None and self.turns == self.turn:
            rewards = np.where(np.arange(self.num_envs) == 5, self.reward, rewards)
        texts, infos = self._spoil(texts, infos)
        return texts, rewards, *rest, infos

    def _spoil(self, texts, infos):
        if self.text is not None and self.turns == self.turn:
            texts = (*texts[:5], *self.text, *texts[6:])
        return texts, infos


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("actions", MODES)
def test_a_reward_that_is_not_finite_is_named_before_anything_is_learned(actions, reward):
    agent = small(env=Spoilt(homes(), 2, reward=reward), actions=actions)
    weights = [parameter.clone() for parameter in agent.policy.parameters()]
    with pytest.raises(NonFinite, match=f"a reward of the environment is not finite in turn 2.*entry 5 is {reward}"):
        agent.learn(100)
    assert all(map(torch.equal, weights, agent.policy.parameters()))
    assert agent.iteration == 0


@pytest.mark.parametrize("turn", [0, 1])
@pytest.mark.parametrize("text", [None, 3, b"a mug", np.array(["a mug"])], ids=repr)
def test_an_observation_that_is_no_string_is_named(text, turn):
    agent = small(env=Spoilt(homes(), turn, text=(text,)))
    with pytest.raises((SpaceMismatch, InvalidParameter), match=r"is a string|started differently"):
        agent.learn(100)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("actions", MODES)
def test_a_policy_whose_weights_are_not_finite_says_so(actions, value):
    agent = small(actions=actions)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.flatten()[0] = value
    with pytest.raises(NonFinite, match="policy's probabilities are not finite"):
        agent.learn(10)
    commands = ["look", "go to fridge 1"] if actions == "choose" else None
    for deterministic in (True, False):
        with pytest.raises(NonFinite, match="weights"):
            agent.predict("You see a mug.", deterministic=deterministic, commands=commands)
