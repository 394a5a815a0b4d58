"""Deep IWOCS: the ensemble, the networks beside SAC's, the search, the loop, bad input, saving."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agentgym.agents import DeepIWOCS
from agentgym.agents.robust.deep.arena import Arena, Scores
from agentgym.agents.robust.deep.iwocs import _Pause
from agentgym.agents.robust.search import CMAES
from agentgym.errors import InvalidParameter, SpaceMismatch
from agentgym.seeding import episode_seed, stream

ENV = "agentgym/RobustInvertedPendulum-v0"
SMALL = {
    "learning_starts": 40, "buffer_size": 2000, "batch_size": 16, "actor_layers": (16,), "critic_layers": (16,),
    "predictor_layers": (16,), "search": "grid", "search_points": 2, "search_envs": 3, "radii": (0.3, 3.0),
}  # fmt: skip

SHORT = {"fallback_share": 0.2, "model_share": 0.2}


def made(env=ENV, **settings):
    return DeepIWOCS("MlpPolicy", env, seed=1, device="cpu", **{**SMALL, **settings})


@pytest.fixture(scope="module")
def learned():
    played, original = [], Arena.play

    def play(self, *arguments):
        played.append(original(self, *arguments))
        return played[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arena, "play", play)
        agent = made(on_repeat="exclude", max_iterations=2, tolerance=1e-9, **SHORT).learn(900)
    return agent, played


def test_the_valid_model_of_least_value_acts():
    ensemble = made(max_iterations=3).ensemble
    states, before = torch.zeros(5, 4), (torch.zeros(5, 4), torch.zeros(5, 1))
    errors = torch.tensor([[0, 0, 9, 9, 9], [0, 9, 0, 9, 9.0]])
    values = [torch.full((5,), 2.0), torch.full((5,), 1.0)]
    for index in range(2):
        model = ensemble.models[index]
        model.predict_next = lambda s, a, index=index: torch.cat([errors[index, :, None], torch.zeros(5, 3)], 1)
        model.value = lambda s, a, index=index: values[index]
    starts = torch.tensor([False, False, False, False, True])
    actions, chosen, least = ensemble.act(2, [0.5, 0.5], states, before, starts, True)
    assert chosen.tolist() == [1, 0, 1, 2, 1]  # both valid: the lesser value; none valid: the fallback; a start: all
    assert least.tolist() == [1, 2, 1, float("inf"), 1]
    for row, index in enumerate(chosen.tolist()):
        actor = ensemble.fallback if index == 2 else ensemble.models[index].actor
        torch.testing.assert_close(actions[row], actor.act(states[row : row + 1], True)[0])


def test_the_values_have_no_entropy_and_the_predictor_learns_the_next_state():
    agent = made(learning_rate=3e-3, ent_coef="10.0", tau=0.1)
    torch.manual_seed(0)
    states, actions = torch.randn(64, 4), torch.rand(64, 1) * 2 - 1
    next_states = states + actions * torch.tensor([1.0, 0.0, -1.0, 0.5])
    for _ in range(300):  # the next state is as good as this one, so the value of a constant reward is r / (1 - gamma)
        agent._update_model(states, actions, torch.ones(64), next_states, torch.full((64,), 0.5))
    torch.testing.assert_close(agent.learner.value(states, actions), torch.full((64,), 2.0), rtol=0, atol=0.1)
    error = (agent.learner.predict_next(states, actions) - next_states).abs().sum(1).mean()
    assert error < 0.5 * (states - next_states).abs().sum(1).mean()


def test_a_model_learns_from_its_own_transitions_only():
    buffer = made().replay_buffer
    for row in range(30):
        if row == 20:
            buffer.first = buffer.stored
        one = np.full((1, 4), row, np.float32)
        buffer.add(one, one, np.zeros((1, 1)), np.array([float(row)]), np.zeros(1), [{}])
    drawn = set(buffer.sample(400).rewards.flatten().tolist())
    assert drawn == set(range(20, 30))


def test_a_fresh_model_has_nothing_of_the_last_one():
    agent = made(**SHORT).learn(300)
    assert agent._phase >= 0
    before = [each.clone() for each in agent._actor_parameters]
    agent._forget()
    assert not any(torch.equal(one, other) for one, other in zip(before, agent._actor_parameters, strict=True))
    fresh = made()
    agent._n_updates = fresh._n_updates = 0
    for one in (agent, fresh):  # equal weights: then equal moments make equal updates
        one.policy.load_state_dict(agent.policy.state_dict())
        one.learner.load_state_dict(agent.learner.state_dict())
        one.target_values.load_state_dict(agent.target_values.state_dict())
    for one in (agent, fresh):
        one.replay_buffer = agent.replay_buffer
        one._searching, one._phase, one._phase_start, one.num_timesteps = False, 0, 0, 500
        one.replay_buffer.first, one._current_progress_remaining = 0, 1.0
        one.set_random_seed(3)
        one._logger = agent._logger
        one.train(3, 16)
    for module in ("policy", "learner"):
        own, other = getattr(agent, module).state_dict(), getattr(fresh, module).state_dict()
        for name in own:
            torch.testing.assert_close(own[name], other[name], rtol=0, atol=0, msg=name)
    torch.testing.assert_close(agent.log_ent_coef, fresh.log_ent_coef)


def test_the_search_asks_in_pieces_for_what_it_would_ask_at_once():
    pytest.importorskip("cma")
    agent = made(search="cmaes", generations=3, population=7, search_envs=4)
    agent._phase = 0

    def value(points):
        return ((points - np.array([0.3, -0.8])) ** 2).sum(1)

    memo, asked = [], []
    while True:
        try:
            points, values, measured = agent._search(memo)
            break
        except _Pause as pause:
            asked.append(len(pause.points))
            scores = value(pause.points)
            memo.append(vars(Scores(scores.tolist(), (2 * scores).tolist(), (3 * scores).tolist(), 1)))
    box = {"pole_mass": (-1.0, 1.0), "cart_mass": (-1.0, 1.0)}
    wanted = CMAES(3, 7)(value, box, stream(1, "iwocs search", 0))
    np.testing.assert_array_equal(points, wanted[0])
    np.testing.assert_array_equal(values, wanted[1])
    assert asked == [4, 3] * 3
    least = values.min()
    assert measured == {"returns": least, "discounted": 2 * least, "promised": 3 * least}


def test_the_loop_solves_the_worst_model_next_and_keeps_the_best_ensemble(learned):
    agent, _ = learned
    assert len(agent.trace) == 2
    assert agent.ending == "iterations"
    assert agent.trace[0]["parameters"] == {"pole_mass": 16.0, "cart_mass": 6.0}  # the middle of the set
    solved = [tuple(each["parameters"].values()) for each in agent.trace]
    assert solved[1] == tuple(agent.trace[0]["worst_parameters"].values())
    assert agent._acting == 1 + np.argmax([each["worst_return"] for each in agent.trace])


def test_the_worst_return_is_what_the_saved_ensemble_gets_there(learned, tmp_path):
    agent, _ = learned
    agent.save(tmp_path / "agent")
    loaded = DeepIWOCS.load(tmp_path / "agent", device="cpu")
    assert loaded.trace == agent.trace
    phase = agent._acting - 1
    env, found = gym.make(ENV), agent.trace[phase]
    observation, _ = env.reset(seed=episode_seed(1, 1 + phase), options={"parameters": found["worst_parameters"]})
    state, total, over = None, 0.0, False
    while not over:
        action, state = loaded.predict(observation, state, np.array([False]), deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, over = total + reward, terminated or truncated
    assert total == found["worst_return"]


def test_steps_of_the_searches_count(learned):
    agent, played = learned
    assert agent.num_timesteps == agent.replay_buffer.stored + sum(each.steps for each in played)
    assert all(len(each.returns) <= 3 for each in played)
    assert sum(len(each.returns) for each in played) == 2 * 2 * 4  # iterations, radii, points


def test_a_batch_and_single_environments_are_searched_alike():
    parameters = {"pole_mass": np.array([5.0, 20.0]), "cart_mass": np.array([1.0, 10.0])}
    env = DummyVecEnv([lambda: gym.make(ENV)])
    native, copies = Arena(env, 3), Arena(env, 3)
    copies.batch = gym.make_vec(ENV, 3, "sync", vector_kwargs={"autoreset_mode": "SameStep"})
    copies.native = False

    def player(seen, state, starts):
        return np.tanh(seen[:, :1] * 3).astype(np.float32), None, seen[:, 0]

    one, other = (arena.play(player, parameters, 7, 0.9) for arena in (native, copies))
    assert one == other
    assert one.steps == sum(one.returns) + 2  # a reward of 1 a step but the last


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": (1.0,)}, "first has 1 values"),
        ({"first": (100.0, 5.0)}, "pole_mass is 100"),
        ({"radii": ()}, "radii"),
        ({"radii": (0.0,)}, "radii"),
        ({"model_share": 0.0}, "model_share"),
        ({"search": "random"}, "search"),
        ({"n_steps": 3}, "n_steps"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InvalidParameter, match=message):
        made(**settings)


def test_bad_environments_and_budgets_are_refused(tmp_path):
    with pytest.raises(InvalidParameter, match="uncertainty set"):
        made("Pendulum-v1")
    with pytest.raises(InvalidParameter, match="VecNormalize"):
        made(VecNormalize(DummyVecEnv([lambda: gym.make(ENV)])))
    agent = made()
    with pytest.raises(InvalidParameter, match="too small for one iteration"):
        agent.learn(200)
    assert agent.num_timesteps == 0
    agent.save(tmp_path / "agent")
    with pytest.raises(SpaceMismatch, match="uncertainty set"):
        DeepIWOCS.load(tmp_path / "agent", env=gym.make(ENV, uncertainty="1d"))


def test_a_second_call_goes_on_with_the_loop():
    agent = made(on_repeat="sample", tolerance=1e-9, **SHORT).learn(300)
    before = agent._phase, agent._phase_end - agent.num_timesteps
    assert agent.num_timesteps >= 300
    agent.learn(300)
    assert agent.num_timesteps >= 300
    assert agent._phase > before[0] or agent.trace
