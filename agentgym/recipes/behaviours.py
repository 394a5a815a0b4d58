"""Behaviour policies for datasets: runs of SAC that keep all checkpoints, and access to their policies and data.

runs/behaviours/NAME is an ordinary run (for ``agentgym resume``, ``evaluate`` and ``play``). Policies are read from its
checkpoints and the replay buffer from their rows; nothing else is recorded during training.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentgym import catalog
from agentgym.errors import AskError
from agentgym.recipes.rollout import Act, Recording
from agentgym.runs.build import build
from agentgym.runs.checkpoints import Checkpoints, Saved
from agentgym.runs.run import Run, RunConfig
from agentgym.runs.state_files import MANIFEST
from agentgym.runs.train import resume, train

__all__ = ["BEHAVIOURS", "Behaviour", "Trained", "trained"]


@dataclass(frozen=True)
class Behaviour:
    """Settings of a behaviour run; everything else is SAC's default.

    Attributes:
        env: the Gymnasium id.
        steps: environment steps.
        checkpoint_every: steps between two stored policies.
        learning_starts: steps of uniformly random actions at the beginning.
        buffer_size: capacity of the replay buffer; at least ``steps``.
    """

    env: str
    steps: int
    checkpoint_every: int
    learning_starts: int
    buffer_size: int

    def config(self) -> RunConfig:
        """The run."""
        sac = catalog.load(catalog.find("agent", "sac")).Config
        settings = sac(learning_starts=self.learning_starts, buffer_size=self.buffer_size)
        return RunConfig(
            agent="sac", env=self.env, steps=self.steps, seed=0, threads=1, checkpoint_every=self.checkpoint_every,
            keep_checkpoints=0, config=dataclasses.asdict(settings),
        )  # fmt: skip


BEHAVIOURS: dict[str, Behaviour] = {
    "pendulum": Behaviour("Pendulum-v1", 20_000, 1_000, 1_000, 20_000),
    "inverted-pendulum": Behaviour("InvertedPendulum-v5", 20_000, 500, 1_000, 20_000),
    "hopper": Behaviour("Hopper-v5", 200_000, 10_000, 10_000, 300_000),
    "halfcheetah": Behaviour("HalfCheetah-v5", 150_000, 10_000, 10_000, 300_000),
}


def trained(name: str, runs: Path, progress: bool = True) -> "Trained":
    """The behaviour's run in ``runs/behaviours``: loaded if finished, resumed if interrupted, trained if missing.

    Raises:
        AskError: a run of that name exists with other settings.
        Stopped: a signal stopped the training; a checkpoint was written.
    """
    config, path = BEHAVIOURS[name].config(), runs / "behaviours" / name
    if not (path / "config.json").is_file():
        return Trained(train(config, name, path.parent, progress=progress))
    run = Run.open(path)
    wanted, found = (json.loads(json.dumps(dataclasses.asdict(one))) for one in (config, run.config))
    if differing := sorted(key for key in wanted if wanted[key] != found[key]):
        raise AskError(
            f"{path} was not trained as the behaviour {name} is (it differs in {', '.join(differing)}). Move it away, "
            "or give another folder of runs: --runs DIR."
        )
    if run.record()["finished_steps"] != config.steps:
        run = resume(path, progress=progress)
    return Trained(run)


class Trained:
    """A finished behaviour run, on the CPU with one thread so that equal seeds give equal actions."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.agent = build(dataclasses.replace(run.config, device="cpu"))
        self.agent.get_env().close()
        self.checkpoints = Checkpoints(run.path / "checkpoints", keep=0)

    @property
    def steps(self) -> list[int]:
        """Steps at which policies were stored, oldest first."""
        return self.checkpoints.steps()

    @property
    def final(self) -> int:
        """The last stored step."""
        return self.run.config.steps

    def policy(self, step: int, seed: int | None = None) -> Act:
        """Load the policy stored at a step; it replaces the one loaded before.

        Args:
            step: one of :attr:`steps`.
            seed: sample actions from a stream with this seed; None uses the policy's mode.
        """
        self._put_back(self.checkpoints.read(step))
        state = torch.Generator().manual_seed(seed or 0).get_state()

        def act(observations: np.ndarray, episodes: Sequence[int]) -> np.ndarray:
            nonlocal state
            with torch.random.fork_rng(devices=[]):  # SAC samples from the global generator
                torch.set_rng_state(state)
                actions: np.ndarray = self.agent.predict(observations, deterministic=seed is None)[0]
                state = torch.get_rng_state()
            return actions

        return act

    def digest(self, step: int) -> str:
        """SHA-256 of the checkpoint's manifest, which contains the digests of all its files."""
        return hashlib.sha256((self.checkpoints.folder / f"{step:010d}" / MANIFEST).read_bytes()).hexdigest()

    def _put_back(self, saved: Saved) -> None:
        for item in self.agent.inventory().items:
            if item.name == "policy":
                item.write(saved.state["policy"])

    def replay(self, step: int) -> Recording:
        """The replay buffer at a step as episodes; the last one may be incomplete."""
        saved = self.checkpoints.read(step)
        saved.restore_rows(self.agent.inventory().rows)
        buffer: Any = self.agent.replay_buffer
        rows = {name: getattr(buffer, name)[:step, 0] for name in (
            "observations", "next_observations", "actions", "rewards", "dones", "timeouts")}  # fmt: skip
        ends = rows["dones"].astype(bool)
        time_outs = rows["timeouts"].astype(bool)
        last = ends.copy()
        last[-1] = True
        starts = np.concatenate([[0], np.flatnonzero(last) + 1])
        observations = np.insert(rows["observations"], starts[1:], rows["next_observations"][last], axis=0)
        returns = np.add.reduceat(rows["rewards"].astype(np.float64), starts[:-1])
        return Recording(
            observations=observations.astype(np.float32),
            actions=self.agent.policy.unscale_action(rows["actions"]),  # in the environment's units
            rewards=rows["rewards"].astype(np.float32),
            terminations=ends & ~time_outs,
            truncations=last & ~(ends & ~time_outs),
            starts=starts,
            returns=returns[ends[starts[1:] - 1]],
        )
