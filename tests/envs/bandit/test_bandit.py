"""Both arms pay as often as the card says, equal seeds pay alike, and what is no arm is refused."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agentgym.envs.bandit.env import BernoulliBanditEnv
from agentgym.errors import InvalidAction, InvalidParameter


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
def test_arm_1_pays_with_1_minus_p_and_arm_2_with_p(p):
    env, pulls = BernoulliBanditEnv(p), 4000
    for arm, chance in ((0, 1.0 - p), (1, p)):
        env.reset(seed=arm)
        paid = 0.0
        for _ in range(pulls):
            env.reset()
            _, reward, terminated, truncated, info = env.step(arm)
            assert reward == info["pays"][arm]
            assert (terminated, truncated) == (True, False)
            paid += reward
        assert abs(paid / pulls - chance) <= 5 * np.sqrt(chance * (1 - chance) / pulls)


def test_equal_seeds_pay_alike_and_the_arms_are_independent():
    def pays(seed):
        env = BernoulliBanditEnv(0.5)
        env.reset(seed=seed)
        found = []
        for _ in range(2000):
            env.reset()
            found.append(env.step(0)[-1]["pays"])
        return np.array(found)

    np.testing.assert_array_equal(pays(3), pays(3))
    assert (pays(3) != pays(4)).any()
    assert abs(np.corrcoef(pays(3).T)[0, 1]) < 5 / np.sqrt(2000)


def test_it_is_registered_and_passes_gymnasiums_checks():
    env = gymnasium.make("agentgym/BernoulliBandit-v0", p=0.3)
    assert env.unwrapped.p == 0.3
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(options={"p": 1.0})
    assert env.step(1)[1] == 1.0  # arm 2 always pays now


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan"), "0.1", True, None])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(InvalidParameter, match="from 0 to 1"):
        BernoulliBanditEnv(p)


@pytest.mark.parametrize("action", [2, -1, 0.0, np.nan, np.array([0])])
def test_what_is_no_arm_is_refused(action):
    env = BernoulliBanditEnv()
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="not an arm"):
        env.step(action)
    env.step(0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
