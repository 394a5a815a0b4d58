"""Recordings: one episode of an agent in a file, step by step, to be examined later.

A recording is an npz file: arrays, and JSON values as text. It is read without pickle; nothing in it is executed.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import gymnasium
import numpy as np

from agentgym.contracts.finite import is_finite, require_finite
from agentgym.contracts.settings import plain
from agentgym.errors import CorruptFile, InvalidParameter
from agentgym.play.player import Transition, Watcher
from agentgym.play.worlds import Episode
from agentgym.runs.files import replacing

__all__ = ["Executed", "Recorder", "Recording"]

FORMAT = 1
ARRAYS = ("received", "commanded", "executed", "rewards")
PER_AGENT = ("agent_rewards", "alive")
MOST_BYTES = 1 << 30  # of an array in a file


@dataclass(frozen=True, eq=False)
class Recording:
    """An episode of T steps.

    Attributes:
        env: id of the environment.
        env_kwargs: its keyword arguments.
        seed: of the episode.
        received: what the agent acted upon, [T, ...].
        commanded: what it returned, [T, ...].
        executed: what reached the environment, [T, ...].
        rewards: float64 [T].
        agent_rewards: float64 [T, A], in joint environments; else None.
        alive: who acts in a step, bool [T, A], in joint environments; else None.
        perturbations: what was around the environment.
        faults: the truth that perturbations of single agents told, by name; empty if there were none.
        agent: name of the agent.
    """

    env: str
    env_kwargs: dict[str, Any]
    seed: int
    received: np.ndarray
    commanded: np.ndarray
    executed: np.ndarray
    rewards: np.ndarray
    agent_rewards: np.ndarray | None = None
    alive: np.ndarray | None = None
    perturbations: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, Any] = field(default_factory=dict)
    agent: str = ""

    def __len__(self) -> int:
        return len(self.rewards)

    def save(self, path: Path | str) -> Path:
        """Write the file; an existing one is replaced atomically."""
        path = Path(path)
        about = {
            name: plain(getattr(self, name))
            for name in ("env", "env_kwargs", "seed", "perturbations", "faults", "agent")
        }  # fmt: skip
        arrays = {name: getattr(self, name) for name in (*ARRAYS, *PER_AGENT) if getattr(self, name) is not None}
        text = json.dumps({"agentgym recording": FORMAT, **about})
        with replacing(path) as file:
            np.savez_compressed(file, allow_pickle=False, about=np.array(text), **arrays)
        return path

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file that :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            CorruptFile: it is no recording, or a part of it is missing, damaged or not finite.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no recording at {path}. Make one: agentgym play RUN --record {path}")
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                    raise CorruptFile(f"{path} is no recording: it would need more than 1 GiB of memory.")
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            about = json.loads(str(arrays.pop("about")))
            if about.pop("agentgym recording") != FORMAT:
                raise CorruptFile(f"{path} is a recording of another version of agentgym.")
            found = cls(**about, **arrays)
        except CorruptFile:
            raise
        except Exception as error:  # zipfile, numpy and json raise many kinds for damaged files
            raise CorruptFile(f"{path} is no recording, or a damaged one ({type(error).__name__}: {error}).") from error
        found._check(path)
        return found

    def _check(self, path: Path) -> None:
        arrays = {name: getattr(self, name) for name in (*ARRAYS, *PER_AGENT) if getattr(self, name) is not None}
        if not (isinstance(self.env, str) and isinstance(self.env_kwargs, dict) and isinstance(self.seed, int)):
            raise CorruptFile(f"{path} does not say which environment and seed it is of.")
        if self.rewards.ndim != 1 or not len(self.rewards):
            raise CorruptFile(f"{path} has rewards of shape {self.rewards.shape}, not one for each of several steps.")
        for name, array in arrays.items():
            if array.dtype.kind not in "biuf" or array.shape[:1] != (len(self),):
                raise CorruptFile(f"{path} has {name} {array.dtype} of shape {array.shape} for {len(self)} steps.")
            if not is_finite(array):
                raise CorruptFile(f"{path} has NaN or infinity in {name}.")


class Executed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Remembers the action that reaches an environment, beneath perturbations. ``action`` is the last one."""

    action: Any = None

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment."""
        self.action = np.array(action)
        return self.env.step(action)


class Recorder(Watcher):
    """Records one episode.

    Args:
        executed: the wrapper next to the environment, beneath perturbations.
    """

    def __init__(self, executed: Executed) -> None:
        self.executed = executed
        self._rows: dict[str, list[Any]] = {name: [] for name in (*ARRAYS, *PER_AGENT)}
        self._alive: np.ndarray | None = None
        self._faults: dict[str, Any] = {}
        self._seed = 0

    def begun(self, episode: Episode, observation: Any, info: dict[str, Any]) -> None:
        """Start with an empty recording."""
        if isinstance(observation, dict | str):
            raise InvalidParameter("Only episodes with arrays as observations can be recorded.")
        self._seed, self._alive = episode.seed, None
        self._rows = {name: [] for name in self._rows}
        self._faults = dict(info.get("faults", {}))

    def stepped(self, transition: Transition) -> None:
        """Add a step."""
        info, rows = transition.info, self._rows
        rows["received"].append(np.array(transition.observation))
        rows["commanded"].append(np.array(transition.action))
        rows["executed"].append(self.executed.action)
        rows["rewards"].append(float(transition.true_reward))
        self._faults = dict(info.get("faults", self._faults))
        if "agent_rewards" in info:
            own = np.array(info["agent_rewards"], np.float64)
            require_finite("the agents' rewards", own)
            rows["agent_rewards"].append(own)
            alive = np.ones(len(own), bool) if self._alive is None else self._alive
            rows["alive"].append(alive)
            gone = [np.asarray(info[name], bool) for name in ("agent_terminated", "agent_truncated") if name in info]
            self._alive = alive & ~np.logical_or.reduce(gone) if gone else alive

    def recording(
        self, env: str, env_kwargs: Mapping[str, Any], perturbations: Sequence[Mapping[str, Any]] = (), agent: str = ""
    ) -> Recording:
        """What was recorded.

        Raises:
            InvalidParameter: there was no step.
        """
        if not self._rows["rewards"]:
            raise InvalidParameter("No step was recorded.")
        arrays = {name: np.stack(rows) for name, rows in self._rows.items() if rows}
        arrays["rewards"] = arrays["rewards"].astype(np.float64)
        return Recording(
            env, dict(env_kwargs), self._seed, **arrays, perturbations=[dict(each) for each in perturbations],
            faults=self._faults, agent=agent,
        )  # fmt: skip
