"""Each effect against its closed form: many worlds, fixed seeds, bounds of five standard errors."""

from typing import Any

import numpy as np
import pytest

from agentgym.envs.perturb import (
    ActionGainDrift,
    ActionMixture,
    ActionNoise,
    ObservationBias,
    ObservationDelay,
    ObservationDropout,
    ObservationFreeze,
    ObservationHidden,
    ObservationNoise,
    ObservationQuantization,
    RewardDelay,
    RewardSignFlip,
    SignalPerturbation,
    StickyAction,
    TimeCorrelatedActionNoise,
)
from agentgym.envs.perturb.runtime import Runtime
from agentgym.envs.perturb.signal import ALL, Signal
from agentgym.seeding import stream

WORLDS = 400


def signal(shape: tuple[int, ...] = (2,), dtype: Any = np.float64, low: Any = None, high: Any = None) -> Signal:
    bound = [None if value is None else np.full(shape, value, dtype) for value in (low, high)]
    return Signal("test signal", "numbers", shape, np.dtype(dtype), bound[0], bound[1], np.zeros(shape, dtype))


def choice(count: int) -> Signal:
    low = np.zeros((), np.int64)
    return Signal("test choice", "choice", (), np.dtype(np.int64), low, low + count - 1, low)


def run(effect: SignalPerturbation, inputs: np.ndarray, of: Signal, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Outputs [T, N, ...] for inputs [T, N, ...] in one episode of N worlds, and what fired [T, N]."""
    runtime = Runtime([effect], [], of, of, inputs.shape[1])
    runtime.reseed(range(inputs.shape[1]), range(seed, seed + inputs.shape[1]))
    runtime.begin(ALL)
    change = {"observation": runtime.observe, "action": runtime.act, "reward": runtime.reward}[effect.changes]
    outputs, fired = [], []
    for values in inputs:
        runtime.new_step()
        outputs.append(np.array(change(values)))
        fired.append(np.broadcast_to(runtime.fired[type(effect).__name__], inputs.shape[1]))
        runtime.advance()
    return np.array(outputs), np.array(fired)


def assert_mean(samples: np.ndarray, expected: float, std: float) -> None:
    assert abs(samples.mean() - expected) < 5 * std / np.sqrt(samples.size)


def test_noise_moments_for_each_dimension() -> None:
    zeros = np.zeros((100, WORLDS, 2))
    noise, fired = run(ObservationNoise(std=(0.5, 2.0), scale=(1.0, 3.0)), zeros, signal())
    assert fired.all()
    for column, std in ((0, 0.5), (1, 6.0)):
        values = noise[..., column] / std
        assert_mean(values, 0.0, 1.0)
        assert_mean(values**2, 1.0, np.sqrt(2))
        assert_mean(values**4, 3.0, np.sqrt(96))  # fourth moment of the normal, whose eighth is 105
    assert_mean(noise[..., 0] * noise[..., 1] / 3.0, 0.0, 1.0)  # independent dimensions
    assert_mean(noise[1:, :, 0] * noise[:-1, :, 0] / 0.25, 0.0, 1.0)  # independent steps


def test_noise_is_the_documented_stream() -> None:
    noise, _ = run(ObservationNoise(1.0), np.zeros((150, 3, 2)), signal(), seed=9)
    for world in range(3):
        generator = stream(9 + world, "perturb", "ObservationNoise", 0).spawn(1)[0]
        np.testing.assert_array_equal(noise[:, world], generator.standard_normal((150, 2)))


def test_intensity_scales_the_same_noise() -> None:
    zeros = np.zeros((20, 4, 2))
    weak, _ = run(ObservationNoise(1.0), zeros, signal())
    strong, _ = run(ObservationNoise(4.0), zeros, signal())
    np.testing.assert_array_equal(strong, 4 * weak)
    some, fired = run(ObservationNoise(4.0, probability=0.5), zeros, signal())
    np.testing.assert_array_equal(some, np.where(fired[..., None], strong, 0))


def test_image_noise_is_rounded_and_clipped_to_the_space() -> None:
    pixels = np.full((50, 20, 4, 4), 250, np.uint8)
    of = signal((4, 4), np.uint8, 0, 255)
    noisy, _ = run(ObservationNoise(5.0), pixels, of)
    exact, _ = run(ObservationNoise(5.0), pixels.astype(float), signal((4, 4)))
    assert noisy.dtype == np.uint8
    np.testing.assert_array_equal(noisy, np.clip(np.rint(exact), 0, 255))
    assert (noisy == 255).any()


def test_bias() -> None:
    shifted, _ = run(ObservationBias((0.5, -2.0), scale=2.0), np.ones((3, 4, 2)), signal())
    np.testing.assert_array_equal(shifted, np.broadcast_to([2.0, -3.0], shifted.shape))


def test_dropout_rate_and_fill() -> None:
    outputs, fired = run(ObservationDropout(0.2, fill=-7.0), np.ones((50, WORLDS, 2)), signal())
    lost = outputs == -7.0
    assert_mean(lost, 0.2, np.sqrt(0.2 * 0.8))
    np.testing.assert_array_equal(fired, lost.any(axis=-1))
    assert (outputs[~lost] == 1.0).all()


@pytest.mark.parametrize("duration", [1, 4])
def test_freeze_share_and_length(duration: int) -> None:
    steps, p = 400, 0.1
    inputs = np.tile(np.arange(steps, dtype=float)[:, None, None], (1, WORLDS, 2))
    outputs, fired = run(ObservationFreeze(p, duration), inputs, signal())
    assert not fired[0].any()
    np.testing.assert_array_equal(outputs != inputs, np.repeat(fired[..., None], 2, axis=-1))
    last_fresh = np.maximum.accumulate(np.where(fired, -1, np.arange(steps)[:, None]), axis=0)
    np.testing.assert_array_equal(outputs[..., 0], last_fresh)
    # Renewal theory: freezes of d steps, each followed by a geometric number of fresh steps with mean (1 - p) / p.
    share = p * duration / (1 - p + p * duration)
    assert abs(fired[50:].mean() - share) < 5 * np.sqrt(share * (1 - share) * 2 * duration / fired[50:].size)


@pytest.mark.parametrize("levels", [0.25, (0.5, 0.1)])
def test_quantization_levels(levels: Any) -> None:
    values = np.random.default_rng(0).normal(size=(20, 30, 2))
    outputs, _ = run(ObservationQuantization(levels), values, signal())
    step = np.broadcast_to(levels, (2,))
    np.testing.assert_allclose(outputs / step, np.rint(outputs / step), atol=1e-9)
    assert (np.abs(outputs - values) <= step / 2 + 1e-12).all()
    one_coarse, _ = run(ObservationQuantization(0.5, scale=(0.0, 1.0)), values, signal())
    np.testing.assert_array_equal(one_coarse[..., 0], values[..., 0])
    np.testing.assert_array_equal(one_coarse[..., 1], np.rint(values[..., 1] * 2) / 2)


@pytest.mark.parametrize("before", ["zero", "first"])
def test_delay(before: Any) -> None:
    inputs = np.random.default_rng(0).normal(size=(12, 3, 2))
    outputs, fired = run(ObservationDelay(4, before), inputs, signal())
    np.testing.assert_array_equal(outputs[4:], inputs[:-4])
    np.testing.assert_array_equal(outputs[:4], np.tile(inputs[0] if before == "first" else 0 * inputs[0], (4, 1, 1)))
    assert fired.all()
    unchanged, fired = run(ObservationDelay(0), inputs, signal())
    np.testing.assert_array_equal(unchanged, inputs)
    assert not fired.any()


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_sticky_share(p: float) -> None:
    inputs = np.tile(np.arange(200.0)[:, None, None], (1, WORLDS, 1))
    outputs, fired = run(StickyAction(p), inputs, signal((1,)))
    if p == 0.0:
        np.testing.assert_array_equal(outputs, inputs)
    elif p == 1.0:
        assert (outputs == inputs[0]).all()
    else:
        assert_mean(fired[1:], p, np.sqrt(p * (1 - p)))
        np.testing.assert_array_equal(outputs[1:][fired[1:]], outputs[:-1][fired[1:]])


def test_action_noise_is_clipped_to_the_bounds() -> None:
    of = signal((2,), np.float32, -1, 1)
    outputs, _ = run(ActionNoise(1.0), np.zeros((50, WORLDS, 2), np.float32), of)
    assert outputs.dtype == np.float32
    assert_mean(np.abs(outputs) == 1.0, 0.31731, np.sqrt(0.317 * 0.683))  # P(|ξ| > 1)


def test_action_noise_in_half_ranges() -> None:
    of = Signal("test", "numbers", (2,), np.dtype(float), np.array([0.0, -9.0]), np.array([1.0, 9.0]), np.zeros(2))
    middle = np.broadcast_to([0.5, 0.0], (50, WORLDS, 2))
    noise = (run(ActionNoise(0.05, "half_range"), middle, of)[0] - middle) / (0.05 * np.array([0.5, 9.0]))
    assert_mean(noise[..., 0] ** 2, 1.0, np.sqrt(2))
    assert_mean(noise[..., 1] ** 2, 1.0, np.sqrt(2))


def test_time_correlated_noise_has_the_published_size_and_independent_draws() -> None:
    steps = 400
    noise, fired = run(TimeCorrelatedActionNoise((0.5, 2.0)), np.zeros((steps, WORLDS, 2)), signal())
    assert fired.all()
    assert not noise[0].any()  # t = 0
    time = np.arange(1, steps)
    size = (1 - np.exp(-0.01 * time)) * np.sin(time)
    draws = noise[1:] / (size[:, None, None] * [0.5, 2.0])  # sin(t) is 0 for no other whole t
    assert_mean(draws, 0.0, 1.0)
    assert_mean(draws**2, 1.0, np.sqrt(2))
    assert abs((draws**2).mean(axis=(1, 2)) - 1).max() < 6 * np.sqrt(2 / (2 * WORLDS))  # at every t
    assert_mean(draws[1:] * draws[:-1], 0.0, 1.0)
    assert_mean(draws[..., 0] * draws[..., 1], 0.0, 1.0)


def test_time_correlated_noise_begins_anew_with_the_episode_and_scales() -> None:
    inputs = np.zeros((40, 3, 2))
    weak, _ = run(TimeCorrelatedActionNoise(0.25), inputs, signal())
    strong, _ = run(TimeCorrelatedActionNoise(1.0), inputs, signal())
    np.testing.assert_array_equal(strong, 4 * weak)
    clipped, _ = run(TimeCorrelatedActionNoise(1.0, "half_range"), inputs, signal(low=-0.5, high=0.5))
    np.testing.assert_allclose(clipped, np.clip(strong / 2, -0.5, 0.5), rtol=1e-12)

    effect = TimeCorrelatedActionNoise(1.0)
    runtime = Runtime([effect], [], signal(), signal(), 1)
    runtime.reseed([0], [0])
    for _ in range(2):
        runtime.begin(ALL)
        runtime.new_step()
        assert not runtime.act(np.zeros((1, 2))).any()  # t = 0 again
        runtime.advance()
        runtime.new_step()
        assert runtime.act(np.zeros((1, 2))).any()
        runtime.advance()


def test_gain_walks_and_stays_in_its_bounds() -> None:
    outputs, _ = run(ActionGainDrift(0.01, rate=-0.002, low=0.0, high=2.0), np.ones((100, WORLDS, 1)), signal((1,)))
    assert (outputs[0] == 1.0).all()
    assert_mean(outputs[99], 1.0 - 99 * 0.002, 0.01 * np.sqrt(99))
    assert abs(outputs[99].std() / (0.01 * np.sqrt(99)) - 1) < 5 / np.sqrt(2 * WORLDS)
    narrow, _ = run(ActionGainDrift(0.1, low=0.9, high=1.05), np.ones((100, WORLDS, 1)), signal((1,)))
    assert narrow.min() == 0.9
    assert narrow.max() == 1.05


def test_mixture_with_random_actions() -> None:
    of = signal((2,), np.float64, -2, 2)
    outputs, _ = run(ActionMixture("random", 0.15), np.ones((50, WORLDS, 2)), of)
    other = (outputs - 0.85) / 0.15
    assert_mean(other, 0.0, 4 / np.sqrt(12))
    assert_mean(
        other**2, 4 / 3, 4 / np.sqrt(5)
    )  # second moment of the uniform on [-2, 2]; the root bounds its deviation
    assert np.abs(other).max() <= 2 + 1e-12


def test_mixture_replaces_choices() -> None:
    outputs, fired = run(ActionMixture("random", 0.3), np.zeros((50, WORLDS), np.int64), choice(4))
    assert_mean(fired, 0.3, np.sqrt(0.3 * 0.7))
    for value in range(4):
        assert_mean(outputs[fired] == value, 0.25, np.sqrt(0.25 * 0.75))
    assert (outputs[~fired] == 0).all()
    always, _ = run(ActionMixture("zero", 1.0), np.full((3, 5), 2), choice(4))
    assert (always == 0).all()


def test_reward_effects() -> None:
    rewards = np.random.default_rng(0).normal(size=(100, WORLDS))
    flipped, fired = run(RewardSignFlip(0.1), rewards, signal())
    np.testing.assert_array_equal(flipped, np.where(fired, -rewards, rewards))
    assert_mean(fired, 0.1, np.sqrt(0.1 * 0.9))
    late, _ = run(RewardDelay(3), rewards, signal())
    np.testing.assert_array_equal(late[3:], rewards[:-3])
    assert (late[:3] == 0).all()


def test_firing_rule() -> None:
    zeros = np.zeros((20, WORLDS, 2))
    _, fired = run(ObservationBias(1.0, start=3, stop=15, every=4), zeros, signal())
    assert np.flatnonzero(fired.any(axis=1)).tolist() == [3, 7, 11]
    assert fired[[3, 7, 11]].all()
    _, fired = run(ObservationBias(1.0, start=10, probability=0.3), zeros, signal())
    assert not fired[:10].any()
    assert_mean(fired[10:], 0.3, np.sqrt(0.3 * 0.7))
    outputs, fired = run(ObservationBias(1.0, probability=0.0), zeros, signal())
    assert not fired.any()
    np.testing.assert_array_equal(outputs, zeros)


def test_hidden_entries_are_hidden_together_and_the_others_never():
    values = np.arange(50 * WORLDS * 2, dtype=float).reshape(50, WORLDS, 2) + 1
    outputs, fired = run(ObservationHidden((1,), fill=-7.0, probability=0.5), values, signal())
    np.testing.assert_array_equal(outputs[:, :, 0], values[:, :, 0])
    hidden = outputs[:, :, 1] == -7.0
    np.testing.assert_array_equal(hidden, fired)
    np.testing.assert_array_equal(outputs[:, :, 1][~hidden], values[:, :, 1][~hidden])
    assert 0.45 < hidden.mean() < 0.55
