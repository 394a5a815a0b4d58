"""Games as learners see them: clipped rewards and lives that end episodes, which change neither games nor scores."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.atari_wrappers import ClipRewardEnv, EpisodicLifeEnv

from agentgym.agents import DQN, PPO
from agentgym.errors import InvalidParameter

# Lives after each step: an extra life, no life left for two steps before the game is over, 0 again in the next game.
SCRIPT = [3, 3, 2, 2, 3, 1, 1, 0, 0]
REWARDS = [0.0, 7.0, -2.0, 0.0, 0.5, 1.0, 0.0, -9.0, 4.0]
GAME = len(SCRIPT)


class Lives(gymnasium.Env):
    """Plays the script; the observation is the number of the step."""

    observation_space = spaces.Box(0, 100, (1,), np.float32)
    action_space = spaces.Discrete(2)

    class Ale:
        def lives(self):
            return self.now

    def __init__(self, counted=True):
        self.ale, self.counted = self.Ale(), counted

    def _told(self):
        return np.array([self.steps], np.float32), ({"lives": self.ale.now} if self.counted else {})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.ale.now = 0, 3
        return self._told()

    def step(self, action):
        self.ale.now = SCRIPT[self.steps]
        reward = REWARDS[self.steps]
        self.steps += 1
        seen, info = self._told()
        return seen, reward, self.steps == GAME, False, info


def test_lives_and_signs_are_those_of_stable_baselines3s_wrappers():
    agent = PPO("MlpPolicy", Lives(), n_steps=GAME, batch_size=GAME, device="cpu", clip_rewards=True,
                terminal_on_life_loss=True)  # fmt: skip
    theirs = ClipRewardEnv(EpisodicLifeEnv(Lives()))
    theirs.reset()
    env = agent.env
    env.reset()
    for step in range(GAME):
        seen, rewards, dones, infos = env.step(np.array([0]))
        _, reward, terminated, truncated, _ = theirs.step(0)
        assert (rewards[0], dones[0]) == (reward, terminated or truncated), step
        last = infos[0].get("terminal_observation")
        assert (last is None) == (not dones[0])
        if dones[0]:
            assert not infos[0]["TimeLimit.truncated"]
            assert last[0] == step + 1
            assert seen[0, 0] == (step + 1) % GAME  # a lost life resets nothing
    assert env.lives.tolist() == [3]


@pytest.mark.parametrize("kind", ["single", "next step", "same step"])
def test_scores_are_unclipped_and_of_whole_games(kind):
    modes = {"next step": AutoresetMode.NEXT_STEP, "same step": AutoresetMode.SAME_STEP}
    env = Lives() if kind == "single" else SyncVectorEnv([Lives, Lives], autoreset_mode=modes[kind])
    agent = PPO("MlpPolicy", env, n_steps=2 * GAME, batch_size=GAME, n_epochs=1, seed=0, device="cpu",
                clip_rewards=True, terminal_on_life_loss=True)  # fmt: skip
    agent.learn(2 * GAME)
    assert {(game["r"], game["l"]) for game in agent.ep_info_buffer} == {(sum(REWARDS), GAME)}
    starts = agent.rollout_buffer.episode_starts[:, 0]
    assert np.flatnonzero(starts).tolist() == [0, 3, 6, GAME, GAME + 3, GAME + 6]
    off = DQN("MlpPolicy", Lives(), buffer_size=100, learning_starts=100, seed=0, device="cpu", clip_rewards=True,
              terminal_on_life_loss=True).learn(2 * GAME)  # fmt: skip
    assert off.replay_buffer.rewards[:GAME, 0].tolist() == np.sign(REWARDS).tolist()
    assert np.flatnonzero(off.replay_buffer.dones[:GAME, 0]).tolist() == [2, 5, GAME - 1]
    assert not off.replay_buffer.timeouts.any()
    assert {game["r"] for game in off.ep_info_buffer} == {sum(REWARDS)}


def test_without_lives_there_is_an_error_before_learning():
    with pytest.raises(InvalidParameter, match="count lives"):
        PPO("MlpPolicy", Lives(counted=False), terminal_on_life_loss=True, device="cpu").learn(10)
