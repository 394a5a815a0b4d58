"""Frames and stacks against Gymnasium's, Stable-Baselines3's and ale-py's own, pixel for pixel."""

import ale_py
import gymnasium
import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv as AleVectorEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from agentgym.envs.atari.env import AtariEnv

gymnasium.register_envs(ale_py)
DECISIONS = 80
PLAIN = {"noop_max": 0, "fire_reset": False, "fire_lives": False}


def raw(game):
    return gymnasium.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.0, disable_env_checker=True)


def actions(count, seed=0):
    return np.random.default_rng(seed).integers(count, size=DECISIONS).tolist()


@pytest.mark.parametrize(("game", "skip"), [("Breakout", 4), ("Breakout", 1), ("Gopher", 4), ("Pong", 4)])
def test_pictures_equal_gymnasiums(game, skip):
    ours = AtariEnv(game=game, stack=1, frame_skip=skip, **PLAIN)
    theirs = AtariPreprocessing(raw(game), noop_max=0, frame_skip=skip)
    seen, wanted = ours.reset(seed=0)[0], theirs.reset(seed=0)[0]
    np.testing.assert_array_equal(seen[0], wanted)
    for action in actions(ours.action_space.n):
        seen, reward, over, *_ = ours.step(action)
        wanted, paid, ended, *_ = theirs.step(action)
        assert (reward, over) == (paid, ended)
        if over:
            break
        np.testing.assert_array_equal(seen[0], wanted)


@pytest.mark.parametrize("fire_reset", [False, True])
def test_pictures_equal_stable_baselines3s(fire_reset):
    ours = AtariEnv(game="Breakout", stack=1, preprocessing="sb3", noop_max=0, fire_reset=fire_reset, fire_lives=False)
    theirs = raw("Breakout")
    # AtariWrapper always fires if the game can, so its parts are used where it should not
    if fire_reset:
        theirs = AtariWrapper(theirs, noop_max=0, terminal_on_life_loss=False, clip_reward=False)
    else:
        from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv, WarpFrame

        theirs = WarpFrame(MaxAndSkipEnv(theirs, 4))
    seen, wanted = ours.reset(seed=0)[0], theirs.reset(seed=0)[0]
    np.testing.assert_array_equal(seen[0], wanted[:, :, 0])
    for action in actions(4):
        seen, reward, over, *_ = ours.step(action)
        wanted, paid, ended, *_ = theirs.step(action)
        assert (reward, over) == (paid, ended)
        if over:
            break
        np.testing.assert_array_equal(seen[0], wanted[:, :, 0])


def test_first_padding_is_that_of_gymnasiums_frame_stack():
    ours = AtariEnv(game="Boxing", padding="first", **PLAIN)
    theirs = FrameStackObservation(AtariPreprocessing(raw("Boxing"), noop_max=0), 4)  # its default
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    for action in (2, 3, 4, 5, 6):
        np.testing.assert_array_equal(ours.step(action)[0], theirs.step(action)[0])


def test_zero_padding_is_that_of_stable_baselines3s_frame_stack():
    ours = AtariEnv(game="Boxing", padding="zeros", **PLAIN)
    stacked = VecFrameStack(
        DummyVecEnv([lambda: AtariPreprocessing(raw("Boxing"), noop_max=0, grayscale_newaxis=True)]), 4
    )
    np.testing.assert_array_equal(ours.reset(seed=0)[0], stacked.reset()[0].transpose(2, 0, 1))
    for action in (2, 3, 4, 5, 6):
        np.testing.assert_array_equal(ours.step(action)[0], stacked.step([action])[0][0].transpose(2, 0, 1))


def test_zero_padding_pictures_and_fire_reset_are_those_of_ale_pys_batch():
    ours = AtariEnv(game="Breakout", noop_max=0, fire_lives=False)
    theirs = AleVectorEnv("breakout", 1, noop_max=0, num_threads=1, reward_clipping=False)
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset()[0][0])
    for action in actions(4):
        seen, reward, over, *_ = ours.step(action)
        batch, rewards, ended, *_ = theirs.step(np.array([action]))
        assert (reward, over) == (rewards[0], ended[0])
        if over:
            break
        np.testing.assert_array_equal(seen, batch[0])


def test_screens_in_colour_are_the_emulators():
    ours, theirs = AtariEnv(game="Gopher", observation="rgb", frame_skip=1, **PLAIN), raw("Gopher")
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    for action in (1, 2, 3, 4):
        np.testing.assert_array_equal(ours.step(action)[0], theirs.step(action)[0])


def test_a_game_that_ends_within_a_decision_shows_its_last_frame():
    """The references keep the picture of the decision before. Found by running to the end of a game of Breakout."""
    ours, emulator = AtariEnv(game="Breakout", stack=1, size=84, **PLAIN), raw("Breakout").unwrapped
    ours.reset(seed=0)
    emulator.reset(seed=0)
    over, action = False, 0
    while not over:
        action = (action + 1) % 4
        picture, _, over, *_ = ours.step(action)
        emulated = next((frame for frame in range(4) if emulator.step(action)[2]), 4)
    assert over
    assert emulated < 2  # of the four; the last two frames of the decision were never emulated
    import cv2

    last = cv2.resize(emulator.ale.getScreenGrayscale(), (84, 84), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(picture[0], last)
