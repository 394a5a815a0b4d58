"""A run's folder: what was asked, what was measured, what was learned.

runs/NAME/
    config.json          every setting, versions, git revision, the command
    metrics.csv          one row a log, one column a key; TensorBoard's event file beside it
    final/               the trained agent (safetensors + json)
"""

import csv
import io
import json
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentgym.checkpoint import write_file
from agentgym.errors import AskError, CorruptFile

__all__ = ["MetricsFile", "Run", "RunConfig", "provenance"]

PACKAGES = ("agentgym", "torch", "numpy", "gymnasium", "mujoco", "stable-baselines3")


@dataclass
class RunConfig:
    """Everything that decides what a run does.

    Attributes:
        agent: the agent's name in the catalog.
        env: the Gymnasium id it trains in.
        env_kwargs: what the id's environment is made with.
        perturbations: configurations of the perturbations around it, from the inside out.
        num_envs: environments stepped side by side.
        steps: environment steps to train for.
        seed: of everything random in the run.
        device: "auto", "cpu" or "cuda".
        threads: numerics threads; 0 leaves torch's own choice.
        config: the agent's hyperparameters.
    """

    agent: str
    env: str
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    perturbations: list[dict[str, Any]] = field(default_factory=list)
    num_envs: int = 1
    steps: int = 100_000
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    config: dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """One folder under ``runs/``."""

    path: Path
    config: RunConfig
    provenance: dict[str, Any]

    @classmethod
    def create(cls, path: Path | str, config: RunConfig, overwrite: bool = False) -> "Run":
        """Make the folder and write config.json.

        Raises:
            AskError: the folder is there already and ``overwrite`` is not set, or it is not a run's.
        """
        path = Path(path)
        if path.exists():
            if not overwrite:
                raise AskError(f"{path} exists already. Choose another --name, or replace it with --overwrite.")
            if not (path / "config.json").is_file():
                raise AskError(
                    f"{path} is not a run (it has no config.json), so it is not overwritten. Choose another --name."
                )
            shutil.rmtree(path)
        run = cls(path, config, provenance())
        write_file(path / "config.json", json.dumps({**asdict(config), "provenance": run.provenance}, indent=1))
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """Read a run's configuration.

        Raises:
            FileNotFoundError: there is no run at ``path``.
            CorruptFile: its config.json is damaged.
        """
        path = Path(path)
        file = path / "config.json"
        if not file.is_file():
            raise FileNotFoundError(f"There is no run at {path} (no config.json). Train one: agentgym train --help")
        try:
            text = json.loads(file.read_text(encoding="utf-8"))
            return cls(path, RunConfig(**{k: v for k, v in text.items() if k != "provenance"}), text["provenance"])
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptFile(f"{file} is damaged ({error}). Train the run again.") from error

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def final(self) -> Path:
        """Where the trained agent lies once the run is done."""
        return self.path / "final"


class MetricsFile:
    """metrics.csv: one row a log; a key that appears later adds a column to the rows already there.

    It has the two methods of Stable-Baselines3's ``KVWriter``, so that it can stand in its logger.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.columns: list[str] = []
        if self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as file:
                self.columns = next(csv.reader(file), [])

    def write(self, key_values: Mapping[str, Any], key_excluded: Mapping[str, tuple[str, ...]], step: int = 0) -> None:
        """Append one row; keys excluded from "csv" and values that are not numbers or text are left out."""
        row: dict[str, Any] = {"step": step}
        for key, value in sorted(key_values.items()):
            if "csv" not in (key_excluded.get(key) or ()) and isinstance(value, int | float | str):
                row[key] = value
            elif hasattr(value, "item") and "csv" not in (key_excluded.get(key) or ()):
                row[key] = value.item()
        if new := [key for key in row if key not in self.columns]:
            self._add_columns(new)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns, restval="", lineterminator="\n").writerow(row)

    def _add_columns(self, new: list[str]) -> None:
        rows: list[dict[str, str]] = []
        if self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        self.columns += new
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_file(self.path, text.getvalue())

    def close(self) -> None:
        """Nothing is held open between rows."""


def provenance() -> dict[str, Any]:
    """What made a result: the command, when, on which versions, at which git revision."""
    return {
        "command": shlex.join(["agentgym", *sys.argv[1:]])
        if Path(sys.argv[0]).name == "agentgym"
        else shlex.join(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "git": _git_revision(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """The revision of the source tree that the package runs from; None for an installed wheel."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or None
