import os

import gymnasium
import numpy as np
import pytest


@pytest.fixture(scope="session")
def game_folder(tmp_path_factory):
    """Where all tests, in all of pytest's processes, keep TextWorld's games: each takes seconds to make."""
    base = tmp_path_factory.getbasetemp()
    return str((base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "games")


@pytest.fixture(params=["Household", "Archive", "TextWorld"])
def make(request, game_folder):
    """Makes one kind of text world, single or batched, by its id; with short episodes, so that they end in tests."""
    arguments = {"max_turns": 7}
    if request.param == "TextWorld":
        pytest.importorskip("textworld", reason="needs the extra text, and a C compiler: pip install textworld")
        arguments |= {"games": 2, "folder": game_folder}

    def made(num_envs=None, **more):
        name, given = f"agentgym/{request.param}-v0", arguments | more
        return gymnasium.make_vec(name, num_envs, **given) if num_envs else gymnasium.make(name, **given)

    made.kind = request.param
    return made


@pytest.fixture
def rollout():
    """Everything that an environment answers to seeded choices of admissible commands, over ends of episodes."""

    def played(env, seed, steps):
        generator = np.random.default_rng(seed)
        trace = [env.reset(seed=seed)]
        for _ in range(steps):
            commands = trace[-1][-1]["admissible_commands"]
            command = commands[generator.integers(len(commands))] if generator.random() < 0.8 else "nonsense"
            trace.append(env.step(command))
            if trace[-1][2] or trace[-1][3]:
                trace.append(env.reset())
        return trace

    return played
