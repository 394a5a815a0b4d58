"""The file of a calibration, which ``agentgym data calibrate`` writes and the suite stori reads."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentgym.errors import CorruptFile
from agentgym.runs.files import write_file

__all__ = ["Calibrated", "Calibration", "read_calibration"]

FORMAT = "agentgym calibration 1"


@dataclass(frozen=True)
class Calibrated:
    """One type.

    Attributes:
        reached: whether the stated loss is reached at some intensity. Otherwise the other values are those of the
            largest possible intensity, and ``low`` and ``high`` are equal to it.
        intensity: multiple of the usual strength.
        low, high: 95 % interval of the intensity.
        loss: the loss at this intensity, as measured at the nearest intensity played.
        effects: configurations of the effects at this intensity.
    """

    reached: bool
    intensity: float
    low: float
    high: float
    loss: float
    effects: list[dict[str, Any]]


@dataclass(frozen=True)
class Calibration:
    """The result for one environment and reference policy; :meth:`write` makes the file that the suite stori reads.

    Attributes:
        env, env_kwargs: the environment.
        reference: name of the policy.
        loss: the stated share.
        episodes, seed, deterministic: of the evaluation.
        plain, random: mean return without effects, and with random actions only.
        types: results by type.
    """

    env: str
    env_kwargs: dict[str, Any]
    reference: str
    loss: float
    episodes: int
    seed: int
    deterministic: bool
    plain: float
    random: float
    types: dict[str, Calibrated]

    def write(self, path: Path | str) -> None:
        """Write the file."""
        write_file(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")


def read_calibration(path: Path | str) -> Calibration:
    """Read a file of :meth:`Calibration.write`.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptFile: it is no calibration.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        return Calibration(**{**values, "types": {name: Calibrated(**each) for name, each in values["types"].items()}})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{path} is no calibration ({error!r}). Make one: agentgym data calibrate RUN") from error
