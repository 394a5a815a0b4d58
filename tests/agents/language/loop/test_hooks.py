"""The hooks through which methods change rollouts and steps, each with a method that uses nothing else."""

import gymnasium
import pytest
import torch
from gymnasium.vector import AutoresetMode

from agentgym import catalog
from agentgym.agents.language.loop.groups import judged
from agentgym.agents.language.loop.rollout import Start
from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.methods.plugin import Acting, Estimator, Plugin, Rollouts, hooks_of
from agentgym.agents.language.policies.policy import Sampler
from agentgym.errors import AskError, InvalidParameter
from tests.agents.language.batches import close, episode
from tests.agents.language.worlds import homes, small


def sampler(temperature=1.0):
    return Sampler(torch.Generator().manual_seed(0), temperature=temperature)


def agent_with(plugin, **settings):
    """A small agent with a plug-in that no catalog has."""
    agent = small(methods=(), skip_dead=False, **settings)
    agent.learner.methods["mine"] = plugin
    return agent


def seen_batches(agent):
    """The batches of episodes that its updates get from now on."""
    batches, update = [], agent.learner.update

    def note(batch, iteration, apart=None):
        batches.append((batch, apart))
        return update(batch, iteration, apart)

    agent.learner.update = note
    return batches


# Rollouts


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_at_another_temperature_both_probabilities_are_kept(actions):
    agent = small(actions=actions, methods=())
    batch = collate(agent.rollout.play_from([Start(0, 5)] * 4, sampler(3.0), {}), agent.choosing)
    assert len(batch) == 4
    logp, _ = agent.policy.evaluate_decisions(batch)
    close(batch.old_logp, logp.detach(), 1e-4)  # the policy's own, to learn with
    free = batch.free & batch.mask
    assert (batch.rollout_logp - batch.old_logp)[free].abs().max() > 1e-3
    usual = collate(agent.rollout.play([5, 6], sampler()), agent.choosing)
    assert torch.equal(usual.rollout_logp, usual.old_logp)


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_an_episode_can_go_on_from_another_one(actions):
    agent, anchors = small(actions=actions, methods=()), {}
    first = agent.rollout.play_from([Start(3, 5)], sampler(), anchors)[0]
    commands = tuple(turn.command for turn in first.turns[:2])
    start = Start(3, 5, commands, "mug 1 .")
    again = agent.rollout.play_from([start, Start(3, 5, commands)], sampler(), anchors)
    assert [turn.anchor for turn in again[0].turns[:2]] == [turn.anchor for turn in first.turns[:2]]
    assert tuple(turn.command for turn in again[0].turns[:2]) == commands
    batch = collate(again, agent.choosing)
    assert not batch.mask[batch.turn < 2].any()
    assert batch.mask[:, 0].all()
    # What it was told is read and not kept.
    assert again[0].told
    assert not again[1].told
    agent.learner.recompute(batch, torch.tensor([0]))
    logp, _ = agent.policy.evaluate_decisions(batch)
    close(batch.old_logp, logp.detach(), 1e-4)
    assert (batch.rollout_logp - batch.old_logp)[0].abs().max() > 1e-6
    close(batch.rollout_logp[1], batch.old_logp[1], 1e-4)


def test_a_turn_to_repeat_may_be_empty_and_fill_the_context():
    agent = small(methods=(), context=100)
    (episode,) = agent.rollout.play_from([Start(0, 5, ("", "look", "look", "look", "look", "look"))], sampler(), {})
    assert episode.ended in ("overlong", "truncated")
    assert not any(episode.sampled)
    assert len(episode.ids) <= 100


class Half(Plugin):
    def acting(self, iteration, settings):
        return Acting(temperature=2.0, attempts=settings.group_size // 2)


class More(Plugin):
    """Fills up the first group and adds a new one."""

    def extend(self, iteration, episodes, apart, settings):
        self.numbers["asked"] = self.numbers.get("asked", 0.0) + 1
        if len(episodes) >= 8:
            return None
        return Rollouts([Start(0)] * 2 + [Start(7)] * 2, temperature=1.5)


def test_episodes_are_planned_and_extended():
    agent = agent_with(Half())
    agent.learner.methods["more"] = More()
    batches = seen_batches(agent)
    agent.learn(1)
    ((batch, apart),) = batches
    assert batch.group.tolist() == [0, 0, 1, 1, 0, 0, 7, 7]
    assert not apart
    first = [row for row in range(8) if int(batch.group[row]) == 0]
    assert len({tuple(batch.ids[row, :20].tolist()) for row in first}) == 1  # one task
    assert agent.num_timesteps == int(batch.turns.sum())


def test_two_plans_of_one_thing_are_refused():
    agent = agent_with(Half())
    agent.learner.methods["again"] = Half()
    with pytest.raises(InvalidParameter, match="2 methods set the temperature"):
        agent.learn(1)


class Mixing(Plugin):
    """Replaces the first rows by episodes played apart."""

    def extend(self, iteration, episodes, apart, settings):
        return None if apart else Rollouts([Start(0)] * 3, apart=True)

    def mix(self, batch, apart):
        self.saw = (len(batch), len(apart), bool((apart.advantages == 0).all()))
        apart.advantages = torch.full_like(apart.advantages, 1.0) * apart.mask
        return type(batch).joined([batch.rows(torch.arange(3, len(batch))), apart])


def test_episodes_apart_are_mixed_in():
    plugin = Mixing()
    agent = agent_with(plugin)
    finished = []
    plugin.finish = lambda batch, iteration: finished.append(batch)
    batches = seen_batches(agent)
    agent.learn(1)
    assert plugin.saw[:2] == (8, 3)
    assert len(batches[0][0]) == 8
    assert (finished[0].advantages[-3:][finished[0].mask[-3:]] == 1).all()


# Steps


class Scaling(Plugin):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def scale_gradient(self, terms):
        assert terms.loss.shape == terms.mask.shape
        return self.factor


@pytest.mark.parametrize(("factor", "norm"), [(None, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_gradients_are_scaled_before_they_are_clipped(factor, norm):
    found = []
    for one in (None, factor):
        agent = agent_with(Scaling(one), max_grad_norm=1e9)
        made = collate(agent.rollout.play([1, 2], sampler()), agent.choosing)
        made.rewards[:, 0] = torch.arange(8.0)
        found.append(agent.learner.update(made, 0)["train/grad_norm"])
    # The first of the two steps has the same gradient; the second one is at other weights.
    assert found[1] == pytest.approx(norm * found[0], rel=0.2)


class Counting(Estimator):
    """Half the number of updates so far as everybody's advantage."""

    count = 0

    def __call__(self, batch, settings, iteration=0):
        self.count += 1
        self.numbers["count"] = float(self.count)
        return torch.full((len(batch),), self.count / 2)

    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"]


def test_an_estimators_state_is_kept_and_logged():
    agent = small(methods=())
    own = Counting()
    agent.learner.estimator = agent.learner.methods["advantage"] = own
    made = collate(agent.rollout.play([1, 2], sampler()), agent.choosing)
    assert agent.learner.update(made, 0)["advantage/count"] == 1
    states = agent.learner.plugin_states()
    own.count = 0
    agent.learner.restore_plugins(states)
    assert own.count == 1
    assert "advantage" not in small().learner.plugin_states()  # most keep nothing


def test_hooks_are_told_from_the_class():
    assert hooks_of(More) == ["extend"]
    assert hooks_of(Counting) == ["advantages"]
    for kind in ("method", "estimator"):
        for entry in catalog.entries(kind):
            assert hooks_of(catalog.load(entry)), entry.id


def test_worlds_are_shown_to_methods():
    class Entering(Plugin):
        def enter(self, worlds):
            self.worlds = worlds

    agent = agent_with(Entering())
    agent.set_env(homes())
    assert agent.learner.methods["mine"].worlds.num_envs == 8


# Episodes without a verdict


def repairing(monkeypatch, verdict):
    """An agent in code repair whose environment tells ``verdict(env)`` at the end of episodes."""
    from agentgym.envs.code.env import CodeRepairTableEnv

    told = CodeRepairTableEnv._info

    def with_verdict(env, problem):
        return {**told(env, problem), "verdict": verdict(env) if env._over else None, "reason": "the grader is away"}

    monkeypatch.setattr(CodeRepairTableEnv, "_info", with_verdict)
    worlds = gymnasium.make_vec(
        "agentgym/CodeRepairEasy-v0", 8, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP, max_turns=6
    )
    return small(env=worlds, methods=(), skip_dead=False, context=2048)


def test_nothing_is_learned_from_episodes_without_a_verdict(monkeypatch):
    agent = repairing(monkeypatch, lambda env: None if env._turn % 2 else env._won)
    batches, played, logged = seen_batches(agent), [], []
    play = agent.rollout.play_from
    agent.rollout.play_from = lambda *arguments: played.append(play(*arguments)) or played[-1]
    monkeypatch.setattr(agent.logger, "record", lambda key, value, *_, **__: logged.append((key, value)))
    agent.learn(40)
    shares = [value for key, value in logged if key == "rollout/no_verdict"]
    assert len(batches) == len(played) == len(shares)
    assert 0 < sum(shares) < len(shares)
    for (batch, _), episodes, share in zip(batches, played, shares, strict=True):
        away = [one for one in episodes if one.ended == "terminated" and len(one.turns) % 2]
        assert [one for one in episodes if one.unjudged] == away  # those that were cut off have lost
        assert share == len(away) / len(episodes)
        left = [one.group for one in episodes if not one.unjudged]
        assert batch.group.tolist() == [group for group in left if left.count(group) > 1]


def test_a_grader_that_never_works_is_told():
    first, second, third = (episode(group=group) for group in (0, 0, 1))
    assert judged([first, second, third]) == [first, second, third]
    third.unjudged = first.unjudged = "the grader is away"
    with pytest.raises(AskError, match="the grader is away"):
        judged([first, second, third])
