"""The configuration and the folder of a training run.

runs/NAME/
    config.json          every setting, versions, git revision, the command
    record.json          training time, resumes, and whether the run is finished
    metrics.csv          one row per log, one column per key; also as a TensorBoard event file
    timing.csv           wall-clock values of these rows, which a resumed run cannot reproduce
    checkpoints/         checkpoints for agentgym resume
    final/               the trained agent (safetensors and json)
    running.json         the process that is writing the run
"""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentgym.contracts.finite import non_finite_settings
from agentgym.contracts.settings import plain, whole_number
from agentgym.errors import AskError, CorruptFile, InvalidParameter, NonFinite, NotWritable
from agentgym.runs import locks
from agentgym.runs.files import write_file
from agentgym.seeding import LARGEST_SEED

__all__ = ["PACKAGES", "Run", "RunConfig", "command_line", "installed_version", "provenance", "run_folder"]

PACKAGES = ("agentgym", "torch", "numpy", "gymnasium", "mujoco", "stable-baselines3")

WHOLE_NUMBERS = {  # lower and upper bounds
    "num_envs": (1, 2**63 - 1),
    "processes": (1, 2**63 - 1),
    "steps": (1, 2**63 - 1),
    "seed": (0, LARGEST_SEED),
    "threads": (0, 1024),
    "checkpoint_every": (0, 2**63 - 1),
    "keep_checkpoints": (0, 2**63 - 1),
}
LONGEST_NAME = 200  # bytes; file systems allow 255, and temporary names are longer
KINDS = {"agent": str, "env": str, "device": str, "dataset": str, "dataset_sha256": str, "preset": str,
         "env_kwargs": dict, "perturbations": list, "config": dict}  # fmt: skip


@dataclass
class RunConfig:
    """The complete configuration of a run.

    Attributes:
        agent: name of the agent in the catalog.
        env: Gymnasium id of the training environment; for an offline agent, of the environment for evaluations during
            training.
        env_kwargs: keyword arguments of the environment.
        perturbations: configurations of the perturbations, innermost first.
        num_envs: number of environments that are stepped in parallel, in each process.
        processes: number of processes that train together.
        steps: number of environment steps, or of gradient steps for an offline agent.
        seed: seed of the run, from 0 to 2**32 - 1.
        device: "auto", "cpu" or "cuda".
        checkpoint_every: steps between checkpoints; 0 writes them on a signal and at the end only. Slow runs also write
            one about every minute, unless all checkpoints are kept.
        keep_checkpoints: number of newest checkpoints to keep; 0 keeps all.
        threads: number of CPU threads for PyTorch; 0 uses the default of PyTorch.
        config: hyperparameters of the agent; complete once the agent is made.
        preset: preset for hyperparameters that ``config`` does not set.
        dataset: dataset of an offline agent, a Minari id or a recipe.
        dataset_sha256: SHA-256 of the dataset's arrays.
    """

    agent: str
    env: str = ""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    perturbations: list[dict[str, Any]] = field(default_factory=list)
    num_envs: int = 1
    steps: int = 100_000
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    checkpoint_every: int = 5_000
    keep_checkpoints: int = 2
    config: dict[str, Any] = field(default_factory=dict)
    preset: str = ""
    dataset: str = ""
    dataset_sha256: str = ""
    processes: int = 1

    def __post_init__(self) -> None:
        held = vars(self)
        for name in ("env_kwargs", "perturbations", "config"):  # equal to what config.json will contain
            held[name] = _without_tuples(held[name])

    def check(self) -> "RunConfig":
        """Validate the configuration; convert NumPy numbers to Python numbers.

        Raises:
            InvalidParameter: a field has the wrong type, is out of range, or cannot be stored as JSON.
            NonFinite: a setting is NaN or infinite.
        """
        held = vars(self)
        for name, (least, most) in WHOLE_NUMBERS.items():
            held[name] = whole_number(name, held[name], least, most)
        for name, kind in KINDS.items():
            value = plain(held[name])
            if kind is list and isinstance(value, tuple):
                value = list(value)
            if not isinstance(value, kind):
                raise InvalidParameter(f"{name} is {value!r}; it must be a {kind.__name__}.")
            held[name] = value
        if not all(isinstance(each, dict) and isinstance(each.get("type"), str) for each in self.perturbations):
            raise InvalidParameter(f"perturbations is {self.perturbations}; each must be a dict with a type.")
        for name in ("env_kwargs", "perturbations", "config"):
            value = held[name]
            if bad := non_finite_settings({name: value}):
                raise NonFinite(f"{bad[0]} is not a finite number.")
            try:
                json.dumps(value)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidParameter(f"{name} cannot be stored in config.json: {error}.") from None
        return self


def run_folder(root: Path | str, name: str) -> Path:
    """The path of a new run, without creating it.

    Raises:
        InvalidParameter: the name is not a valid folder name, or ``root`` is not writable.
    """
    root = Path(root).expanduser()
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise InvalidParameter(f"{name!r} is not a valid run name. Choose the name of one folder (--name, --root).")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise InvalidParameter(f"The run's name has more than {LONGEST_NAME} bytes. Choose a shorter --name.")
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir():
        raise InvalidParameter(f"{there} is not a folder, so runs cannot be stored in {root}. Choose another --root.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InvalidParameter(f"{there} is not writable, so runs cannot be stored there. Choose another --root.")
    return root / name


@dataclass
class Run:
    """A run and its folder."""

    path: Path
    config: RunConfig
    provenance: dict[str, Any]

    @classmethod
    def create(cls, path: Path | str, config: RunConfig, overwrite: bool = False) -> "Run":
        """Create the folder and write config.json. The files of a replaced run are deleted; other files stay.

        Raises:
            AskError: the folder exists and ``overwrite`` is not set, or it does not hold a run.
        """
        path = Path(path)
        cls.require_free(path, overwrite)
        run = cls(path, config, provenance())
        run.discard()
        run.write_config()
        return run

    @staticmethod
    def require_free(path: Path, overwrite: bool = False) -> None:
        """Refuse a folder in which a run cannot be created.

        Raises:
            AskError: it holds a run and ``overwrite`` is not set, it holds other files, or it is a file.
        """
        if path.exists() and not path.is_dir():
            raise NotWritable(f"{path} is a file. Choose another --name.")
        others = [entry for entry in path.iterdir() if not entry.name.startswith(".")] if path.exists() else []
        if not others or {entry.name for entry in others} <= {*locks.FILES}:
            return
        if not overwrite:
            raise AskError(f"{path} already exists. Choose another --name, or replace it with --overwrite.")
        if not (path / "config.json").is_file():
            raise AskError(
                f"{path} is not a run (it has no config.json), so it is not overwritten. Choose another --name."
            )

    def discard(self) -> None:
        """Delete all files of the run; other files in the folder stay."""
        from agentgym.runs import state_files  # imports torch
        from agentgym.runs.checkpoints import Checkpoints

        Checkpoints(self.path / "checkpoints").clear()
        state_files.remove(self.final)
        for pattern in ("config.json", "record.json", "metrics.csv", "timing.csv", "events.out.tfevents.*"):
            for file in self.path.glob(pattern):
                if file.is_file():
                    file.unlink()

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Read a run's configuration.

        Raises:
            FileNotFoundError: there is no run at ``path``.
            CorruptFile: its config.json is damaged.
        """
        path = Path(path).expanduser()
        file = path / "config.json"
        if not file.is_file():
            raise FileNotFoundError(f"There is no run at {path} (no config.json). Train one: agentgym train --help")
        try:
            text = json.loads(file.read_text(encoding="utf-8"))
            config = RunConfig(**{k: v for k, v in text.items() if k != "provenance"}).check()
            return cls(path, config, text["provenance"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptFile(f"{file} is damaged ({error}). Train the run again.") from error

    def write_config(self) -> None:
        """Write config.json."""
        text = {**asdict(self.config), "provenance": self.provenance}
        write_file(self.path / "config.json", json.dumps(text, indent=1))

    def record(self) -> dict[str, Any]:
        """The contents of record.json: ``seconds``, ``resumes``, ``finished_steps`` and ``learned_steps``.

        Both numbers of steps are None until the run is finished: the requested steps, and the steps actually trained,
        which may be more because the last rollout is completed.

        Raises:
            CorruptFile: record.json is damaged.
        """
        file = self.path / "record.json"
        if not file.is_file():
            return {"seconds": 0.0, "resumes": [], "finished_steps": None, "learned_steps": None}
        try:
            record = dict(json.loads(file.read_text(encoding="utf-8")))
            if not (record["seconds"] >= 0 and isinstance(record["finished_steps"], int | None)):
                raise ValueError("seconds or finished_steps is invalid")
            if not all(isinstance(each["exact"], bool) for each in record["resumes"]):
                raise ValueError("resumes is invalid")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptFile(
                f"{file} is damaged ({error!r}). Remove it: agentgym resume restores it from the newest checkpoint."
            ) from error
        return record

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace record.json."""
        write_file(self.path / "record.json", json.dumps(record, indent=1))

    def has_learned(self) -> bool:
        """Whether the run has any training results."""
        return any((self.path / name).exists() for name in ("checkpoints", "final", "metrics.csv"))

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def final(self) -> Path:
        """Folder of the trained agent after the run."""
        return self.path / "final"


def command_line() -> str:
    """The command that started this process."""
    program = "agentgym" if Path(sys.argv[0]).name == "agentgym" else sys.argv[0]
    return shlex.join([program, *sys.argv[1:]])


def provenance() -> dict[str, Any]:
    """The origin of a result: command, time, versions and git revision."""
    return {
        "command": command_line(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: installed for name in PACKAGES if (installed := installed_version(name))},
        "git": _git_revision(),
    }


def _without_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_tuples(item) for key, item in value.items()}
    return [_without_tuples(item) for item in value] if isinstance(value, list | tuple) else value


@cache  # a checkpoint asks for each
def installed_version(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """The revision of the source tree that the package runs from; None for an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or None
