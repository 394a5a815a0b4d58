"""Decisions a second of the Atari environments, beside ale-py's batch, Gymnasium's wrappers and EnvPool.

    python benchmarks/atari.py            # about two minutes
    python benchmarks/atari.py --quick

Breakout, 84 x 84 grey, frame skip 4, stack of 4, random actions. Rounds of all cases are interleaved; the wall time of
the median round counts, 8 environments and 2 threads for batches, one thread for single environments. Prints a JSON
line a case; ``ratio`` above 1 is in our favour. EnvPool is a peer where it is installed.

The peer of single environments is what STORI's published wrappers are: ``gymnasium.make("ALE/Breakout-v5")`` with a
frame skip of 1 and its default observation, the screen in colour, so that a screen is fetched for every emulated frame;
a Python wrapper around it that draws for every frame whether the action is replaced, with probability 0.3; then
Gymnasium's AtariPreprocessing (skip 4, grey, maximum of the last two frames, 84 x 84) and FrameStackObservation (4).
The same with grey screens below the wrapper is measured too.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import ale_py
import gymnasium
import numpy as np
from ale_py.vector_env import AtariVectorEnv as AleVectorEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from agentgym.envs.atari.env import AtariEnv
from agentgym.envs.atari.vector import AtariVectorEnv

WORLDS, THREADS = 8, 2
gymnasium.register_envs(ale_py)


class RandomActions(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What a wrapper stack does: a draw per emulated frame, below the frame skip."""

    def step(self, action: Any) -> Any:
        """Replace some actions."""
        if self.np_random.random() < 0.3:
            action = self.np_random.integers(4)
        return self.env.step(action)


def stacked(obs_type: str = "rgb") -> gymnasium.Env[Any, Any]:
    env = gymnasium.make(
        "ALE/Breakout-v5", frameskip=1, repeat_action_probability=0.0, obs_type=obs_type, disable_env_checker=True
    )
    return FrameStackObservation(AtariPreprocessing(RandomActions(env), noop_max=0), 4)


def batch(**given: Any) -> AtariVectorEnv:
    return AtariVectorEnv(WORLDS, "NextStep", game="Breakout", threads=THREADS, **given)


def rate(env: Any, decisions: int, generator: np.random.Generator) -> float:
    """Decisions a second of wall time, of all environments together."""
    many = isinstance(env, gymnasium.vector.VectorEnv)
    worlds = env.num_envs if many else 1
    actions = generator.integers(4, size=(decisions // worlds, worlds))
    start = time.perf_counter()
    for row in actions:
        _, _, over, cut, _ = env.step(row if many else int(row[0]))
        if not many and (over or cut):
            env.reset()
    return actions.size / (time.perf_counter() - start)


def envpool() -> Any:
    """EnvPool's batch, or None where it is not installed."""
    try:
        import envpool as package
    except ImportError:
        return None
    return package.make("Breakout-v5", env_type="gymnasium", num_envs=WORLDS, num_threads=THREADS)


def cases() -> dict[str, tuple[Callable[[], Any], str]]:
    """Constructors of our environments by case, and the peer of each."""
    effects = {"type": "RandomAction", "per": "decision"}
    return {
        "batch, plain": (lambda: batch(setting="3.1"), "AtariVectorEnv of ale-py, plain"),
        "batch, type 1": (lambda: batch(effects=[effects]), "AtariVectorEnv of ale-py, plain"),
        "batch, type 3.2A": (lambda: batch(setting="3.2A"), "AtariVectorEnv of ale-py, plain"),
        "batch, type 0": (lambda: batch(setting="0"), "AtariVectorEnv of ale-py, plain"),
        "single, type 1 per frame": (lambda: AtariEnv(game="Breakout", setting="1"), "Gymnasium's wrappers, type 1"),
        "single, type 1 per frame, grey": (
            lambda: AtariEnv(game="Breakout", setting="1"),
            "Gymnasium's wrappers, type 1, grey screens",
        ),
        "single, type 3.2C": (lambda: AtariEnv(game="Breakout", setting="3.2C"), "Gymnasium's wrappers, type 1"),
        "single, type 0": (lambda: AtariEnv(game="Breakout", setting="0"), "Gymnasium's wrappers, type 1"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    quick = parser.parse_args().quick
    rounds, decisions = (3, 240) if quick else (7, 960)
    envs: dict[str, Any] = {name: make() for name, (make, _) in cases().items()}
    envs["AtariVectorEnv of ale-py, plain"] = AleVectorEnv("breakout", WORLDS, num_threads=THREADS)
    envs["Gymnasium's wrappers, type 1"] = stacked()
    envs["Gymnasium's wrappers, type 1, grey screens"] = stacked("grayscale")
    if (peer := envpool()) is not None:
        envs["EnvPool"] = peer
    for env in envs.values():
        env.reset() if env is peer else env.reset(seed=0)
    generator = np.random.default_rng(0)
    rates: dict[str, list[float]] = {name: [] for name in envs}
    for _ in range(rounds):
        for name, env in envs.items():
            rates[name].append(rate(env, decisions, generator))
    found = {name: statistics.median(values) for name, values in rates.items()}
    pairs = [(name, peer) for name, (_, peer) in cases().items()]
    pairs += [("batch, plain", "EnvPool")] if "EnvPool" in found else []
    for name, peer in pairs:
        line = {
            "case": f"{name} / {peer}", "ours": round(found[name]), "peer": round(found[peer]),
            "unit": "decisions/s", "ratio": round(found[name] / found[peer], 3),
            "threads": THREADS if name.startswith("batch") else 1,
        }  # fmt: skip
        print(json.dumps(line))


if __name__ == "__main__":
    main()
