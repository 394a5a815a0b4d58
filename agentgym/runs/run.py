"""A run's folder: what was asked, what was measured, what was learned.

runs/NAME/
    config.json          every setting, versions, git revision, the command
    record.json          seconds used, when and how it was resumed, whether it is finished
    metrics.csv          one row a log, one column a key; TensorBoard's event file beside it
    timing.csv           the clock's part of those rows, which a resumed run cannot repeat
    checkpoints/         what agentgym resume goes on from
    final/               the trained agent (safetensors + json)
    running.json         who is writing the run just now
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

WHOLE_NUMBERS = {  # least and most
    "num_envs": (1, 2**63 - 1),
    "steps": (1, 2**63 - 1),
    "seed": (0, LARGEST_SEED),
    "threads": (0, 1024),
    "checkpoint_every": (0, 2**63 - 1),
    "keep_checkpoints": (0, 2**63 - 1),
}
LONGEST_NAME = 200  # bytes; the file system takes 255, and a folder is written under a longer name first
KINDS = {"agent": str, "env": str, "device": str, "dataset": str, "dataset_sha256": str, "preset": str,
         "env_kwargs": dict, "perturbations": list, "config": dict}  # fmt: skip


@dataclass
class RunConfig:
    """Everything that decides what a run does.

    Attributes:
        agent: the agent's name in the catalog.
        env: the Gymnasium id it trains in; of an offline agent, the one it is evaluated in while it learns.
        env_kwargs: what the id's environment is made with.
        perturbations: configurations of the perturbations around it, from the inside out.
        num_envs: environments stepped side by side.
        steps: environment steps to train for; of an offline agent, gradient steps.
        seed: of everything random in the run, from 0 to 2**32 - 1.
        device: "auto", "cpu" or "cuda".
        checkpoint_every: steps between checkpoints, which slow runs make about once a minute too unless all are kept;
            0 makes one on a signal and at the end only.
        keep_checkpoints: how many of the newest are kept; 0 keeps all.
        threads: numerics threads; 0 leaves torch's own choice.
        config: the agent's hyperparameters; once the agent is made, all of them.
        preset: the name of those settings of the agent that hold where ``config`` says nothing else.
        dataset: what an offline agent learns from, a Minari id or the name of a recipe.
        dataset_sha256: of its arrays.
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

    def __post_init__(self) -> None:
        held = vars(self)
        for name in ("env_kwargs", "perturbations", "config"):  # as config.json gives them back
            held[name] = _without_tuples(held[name])

    def check(self) -> "RunConfig":
        """Refuse what no run can have; NumPy's numbers become Python's own.

        Raises:
            InvalidParameter: a field is of another type, out of its range, or nothing that JSON can hold.
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
        if not all(isinstance(one, dict) and isinstance(one.get("type"), str) for one in self.perturbations):
            raise InvalidParameter(f"perturbations is {self.perturbations}; each must be a dict with a type.")
        for name in ("env_kwargs", "perturbations", "config"):
            value = held[name]
            if found := non_finite_settings({name: value}):
                raise NonFinite(f"{found[0]} is not a finite number.")
            try:
                json.dumps(value)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidParameter(f"{name} cannot be kept in config.json: {error}.") from None
        return self


def run_folder(root: Path | str, name: str) -> Path:
    """The folder of a run that is to be made; nothing is made yet.

    Raises:
        InvalidParameter: no folder can have the name, or ``root`` cannot be written to.
    """
    root = Path(root).expanduser()
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise InvalidParameter(f"A run cannot have the name {name!r}. Choose a name of one folder (--name, --root).")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise InvalidParameter(f"The run's name has more than {LONGEST_NAME} bytes. Choose a shorter --name.")
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir():
        raise InvalidParameter(f"{there} is no folder, so no run can be kept under {root}. Choose another --root.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InvalidParameter(f"{there} cannot be written to, so no run can be kept there. Choose another --root.")
    return root / name


@dataclass
class Run:
    """One folder under ``runs/``."""

    path: Path
    config: RunConfig
    provenance: dict[str, Any]

    @classmethod
    def create(cls, path: Path | str, config: RunConfig, overwrite: bool = False) -> "Run":
        """Make the folder and write config.json.

        Of a run that is replaced its own files are deleted; others stay in the folder.

        Raises:
            AskError: the folder is there already and ``overwrite`` is not set, or it is not a run's.
        """
        path = Path(path)
        cls.require_free(path, overwrite)
        run = cls(path, config, provenance())
        run.discard()
        run.write_config()
        return run

    @staticmethod
    def require_free(path: Path, overwrite: bool = False) -> None:
        """Refuse a folder in which no run can be made.

        Raises:
            AskError: it holds a run and ``overwrite`` is not set, or other things, or is a file.
        """
        if path.exists() and not path.is_dir():
            raise NotWritable(f"{path} is a file. Choose another --name.")
        others = [one for one in path.iterdir() if not one.name.startswith(".")] if path.exists() else []
        if not others or {one.name for one in others} <= {*locks.FILES}:
            return
        if not overwrite:
            raise AskError(f"{path} exists already. Choose another --name, or replace it with --overwrite.")
        if not (path / "config.json").is_file():
            raise AskError(
                f"{path} is not a run (it has no config.json), so it is not overwritten. Choose another --name."
            )

    def discard(self) -> None:
        """Delete all files of the run. What else lies in its folder stays there."""
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
        """What became of the run so far: ``seconds`` used, ``resumes``, ``finished_steps``, ``learned_steps``.

        Both numbers of steps are None until the run is finished: those it was asked for, and those it learned, which
        are more where the last rollout went beyond.

        Raises:
            CorruptFile: record.json is damaged.
        """
        file = self.path / "record.json"
        if not file.is_file():
            return {"seconds": 0.0, "resumes": [], "finished_steps": None, "learned_steps": None}
        try:
            found = dict(json.loads(file.read_text(encoding="utf-8")))
            if not (found["seconds"] >= 0 and isinstance(found["finished_steps"], int | None)):
                raise ValueError("its numbers cannot be")
            if not all(isinstance(one["exact"], bool) for one in found["resumes"]):
                raise ValueError("its resumes are none")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptFile(
                f"{file} is damaged ({error!r}). Remove it: agentgym resume puts back what the newest checkpoint knows."
            ) from error
        return found

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace record.json."""
        write_file(self.path / "record.json", json.dumps(record, indent=1))

    def has_learned(self) -> bool:
        """Whether there is anything that training it again would have to make again."""
        return any((self.path / name).exists() for name in ("checkpoints", "final", "metrics.csv"))

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def final(self) -> Path:
        """Where the trained agent lies once the run is done."""
        return self.path / "final"


def command_line() -> str:
    """What this process was started by."""
    program = "agentgym" if Path(sys.argv[0]).name == "agentgym" else sys.argv[0]
    return shlex.join([program, *sys.argv[1:]])


def provenance() -> dict[str, Any]:
    """What made a result: the command, when, on which versions, at which git revision."""
    return {
        "command": command_line(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed_version(name))},
        "git": _git_revision(),
    }


def _without_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_tuples(item) for key, item in value.items()}
    return [_without_tuples(item) for item in value] if isinstance(value, list | tuple) else value


def installed_version(package: str) -> str | None:
    """The version of an installed package, None where it is not installed."""
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
