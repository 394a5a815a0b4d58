"""Random number streams, identified by a seed and a name.

The draws of one stream do not depend on other streams, so adding a random effect to an environment does not change the
draws of other effects. No global generator is used.
"""

import zlib
from typing import Any

import numpy as np

__all__ = ["LARGEST_SEED", "entropy", "episode_seed", "stream"]

LARGEST_SEED = 2**32 - 1  # the limit of Stable-Baselines3 and of NumPy's global generator


def entropy() -> int:
    """A fresh 63-bit seed from the operating system, for use if no seed is given."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)


def _spawn_key(names: tuple[str | int, ...]) -> tuple[int, ...]:
    """Integers are used as they are, names as their CRC-32 (stable across runs, unlike hash())."""
    return tuple(name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names)


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The random generator for ``seed`` and ``names``.

    >>> float(stream(0, "observation noise", 2).normal()) == float(stream(0, "observation noise", 2).normal())
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_spawn_key(names)))


def episode_seed(root: int, *index: int) -> int:
    """The reset seed of one episode, below 2**31 so that every simulator accepts it.

    Args:
        root: seed of the evaluation or run.
        index: index of the episode, e.g. (environment, episode).
    """
    sequence = np.random.SeedSequence(root, spawn_key=index)
    return int(sequence.generate_state(1, np.uint32)[0] >> 1)


def state_of(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a generator as plain JSON values (128-bit integers as hex strings)."""
    return _encode(generator.bit_generator.state)


def restore(generator: np.random.Generator, state: dict[str, Any]) -> None:
    """Restore the state of a generator from :func:`state_of`."""
    generator.bit_generator.state = _decode(state)


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    return hex(value) if isinstance(value, int) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    return int(value, 16) if isinstance(value, str) and value.startswith("0x") else value
