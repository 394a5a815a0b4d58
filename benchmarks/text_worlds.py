"""Text steps and resets a second: our households against TextWorld, on one thread of one process.

Both are played by the same random player, which takes admissible commands; without the list, commands recorded
beforehand are given again (ours remembers how it understood a command). TextWorld is used as its own documentation has
it (`textworld.start` on a compiled z-machine game, challenge "simple"), asked for nothing more than the case needs.
Seconds are CPU seconds of the process, so that other work on the machine counts for neither; rounds are interleaved and
the median counts.

- "steps": the single environment's `step`, within episodes, resets not counted.
- "reset": ours enters another home in every reset; TextWorld starts the same compiled game again (another game would
  first have to be made, which is the last case).
- "adapter": agentgym/TextWorld-v0 against upstream's environment asked for the same information.

    python benchmarks/text_worlds.py [--quick]
    python benchmarks/text_worlds.py --table   # instead: how long households take their experts, as the card has it
"""

import argparse
import json
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import textworld

from agentgym.envs.text.demonstrations import Expert, demonstrations
from agentgym.envs.text.env import HouseholdEnv, TextWorldEnv
from agentgym.envs.text.presets import HOUSEHOLDS
from agentgym.envs.text.textworld_games.games import checked_settings, compiled
from agentgym.envs.text.vector import HouseholdVectorEnv

SIZES = ("small", "house")
BATCH = 64


def timed(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def ours_steps(env: HouseholdEnv | TextWorldEnv, steps: int, player: random.Random) -> float:
    """Seconds a step; the admissible commands are read from info."""
    spent, done = 0.0, 0
    while done < steps:
        _, info = env.reset()
        began = time.process_time()
        over = False
        while not over and done < steps:
            _, _, terminated, truncated, info = env.step(player.choice(info["admissible_commands"]))
            over, done = terminated or truncated, done + 1
        spent += time.process_time() - began
    return spent / steps


def ours_recorded(env: HouseholdEnv, steps: int, player: random.Random) -> float:
    """Seconds a step of commands recorded in a first pass over the same homes, without the list."""
    spent, done, seed = 0.0, 0, 0
    while done < steps:
        env.reset(seed=seed)
        commands, over = [], False
        while not over:
            commands.append(player.choice(env.world.commands()))
            _, _, terminated, truncated, _ = env.step(commands[-1])
            over = terminated or truncated
        env.reset(seed=seed)
        began = time.process_time()
        for command in commands:
            env.step(command)
        spent += time.process_time() - began
        done, seed = done + len(commands), seed + 1
    return spent / done


def ours_batch(batch: HouseholdVectorEnv, steps: int, player: random.Random) -> float:
    """Seconds a world's step in a batch, with the list; here resets are part of it."""
    _, infos = batch.reset(seed=0)

    def play() -> None:
        nonlocal infos
        for _ in range(steps // BATCH):
            _, _, _, _, infos = batch.step([player.choice(c or ["look"]) for c in infos["admissible_commands"]])

    return timed(play) / (steps // BATCH * BATCH)


def upstream_steps(env: Any, steps: int, player: random.Random) -> float:
    """TextWorld, commands from its list."""
    spent, done = 0.0, 0
    while done < steps:
        state, over = env.reset(), False
        began = time.process_time()
        for _ in range(50):
            state, _, over = env.step(player.choice(state.admissible_commands))
            done += 1
            if over or done == steps:
                break
        spent += time.process_time() - began
    return spent / steps


def upstream_recorded(env: Any, recorded: list[str], steps: int) -> float:
    """TextWorld, commands recorded before, no list."""
    env.reset()
    commands = cycle(recorded)

    def play() -> None:
        for _ in range(steps):
            if env.step(next(commands))[2]:
                env.reset()

    return timed(play) / steps


def turns_and_commands(size: str) -> dict[str, Any]:
    """Turns of both experts and admissible commands under random play: means and largest values."""
    env, player = HouseholdEnv(size), random.Random(0)
    line: dict[str, Any] = {"size": size}
    experts: tuple[tuple[Expert, int], ...] = (("oracle", 1000), ("explorer", 300))
    for expert, homes in experts:
        shown = list(demonstrations(env, range(homes), expert))
        turns = [len(each.rows) for each in shown]
        line[expert] = [round(statistics.mean(turns), 1), max(turns), statistics.mean(each.won for each in shown)]
    counts, won = [], 0
    for seed in range(300):
        _, info = env.reset(seed=seed)
        while info["admissible_commands"]:
            counts.append(len(info["admissible_commands"]))
            info = env.step(player.choice(info["admissible_commands"]))[4]
        won += info["won"]
    return line | {"commands": [round(statistics.mean(counts), 1), max(counts)], "random player": won / 300}


def report(case: str, pairs: list[tuple[float, float]], unit: str) -> None:
    """Print the medians; seconds are turned into a rate unless the unit is milliseconds."""
    ours, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
    shown = [1e3 * value if unit.startswith("ms") else 1 / value for value in (ours, peer)]
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    line = {"case": case, "ours": round(shown[0], 3), "peer": round(shown[1], 3), "unit": unit}
    print(json.dumps(line | {"ratio": round(ratio, 2), "threads": 1}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds of fewer steps: under a minute")
    parser.add_argument("--table", action="store_true", help="turns and commands by size, no times")
    asked_for = parser.parse_args()
    if asked_for.table:
        for size in HOUSEHOLDS:
            print(json.dumps(turns_and_commands(size)), flush=True)
        return
    quick = asked_for.quick
    rounds, steps, peer_steps = (3, 4_000, 100) if quick else (9, 20_000, 500)
    warnings.filterwarnings("ignore", message=".*is not fully supported")
    player = random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        settings = checked_settings("simple", None)
        game = str(compiled("simple", settings, "train", 0, Path(place)))
        bare = textworld.start(game, textworld.EnvInfos())
        listing = textworld.start(game, textworld.EnvInfos(admissible_commands=True))
        asked = textworld.EnvInfos(
            admissible_commands=True, facts=True, policy_commands=True, won=True, lost=True, objective=True
        )
        everything = textworld.start(game, asked)
        adapter = TextWorldEnv("simple", games=1, folder=place)
        state = listing.reset()
        recorded = []
        for _ in range(200):
            recorded.append(player.choice(state.admissible_commands))
            state, _, over = listing.step(recorded[-1])
            if over:
                break

        for size in SIZES:
            plain, full = HouseholdEnv(size, admissible=False), HouseholdEnv(size)
            batch = HouseholdVectorEnv(BATCH, size=size)
            for each in (plain, full):
                each.reset(seed=0)
            cases: dict[str, list[tuple[float, float]]] = {}
            for _ in range(rounds):
                theirs = upstream_recorded(bare, recorded, peer_steps)
                with_list = upstream_steps(listing, peer_steps, player)
                again = timed(lambda: [bare.reset() for _ in range(10)]) / 10
                turns = {
                    "steps without admissible commands": (ours_recorded(plain, steps, player), theirs),
                    "steps with admissible commands": (ours_steps(full, steps, player), with_list),
                    f"steps with admissible commands, {BATCH} worlds": (ours_batch(batch, steps, player), with_list),
                    "reset": (timed(lambda env=full: [env.reset() for _ in range(200)]) / 200, again),  # type: ignore[misc]
                }
                for case, pair in turns.items():
                    cases.setdefault(case, []).append(pair)
            for case, pairs in cases.items():
                unit = "ms of CPU" if case == "reset" else "steps per CPU second"
                report(f"Household {size}, {case}", pairs, unit)

        adapter.reset(seed=0)
        pairs = [
            (ours_steps(adapter, peer_steps, player), upstream_steps(everything, peer_steps, player))
            for _ in range(rounds)
        ]
        report("TextWorld adapter, steps", pairs, "steps per CPU second")
        env = HouseholdEnv("house")
        env.reset(seed=0)
        pairs = []
        for number in range(1, 3 if quick else 6):
            made = timed(lambda n=number: compiled("simple", settings, "train", n, Path(place)))  # type: ignore[misc]
            pairs.append((timed(lambda: [env.reset() for _ in range(100)]) / 100, made))
        report("Household house, a new world (TextWorld: made, Inform's compiler not counted)", pairs, "ms of CPU")


if __name__ == "__main__":
    main()
