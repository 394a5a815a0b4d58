"""Screenshots of a report, taken with headless Chromium.

python -m agentgym.evaluation.report.picture reports/demo/report.html docs/report.png --tab "Parameter grid"
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import tyro

from agentgym.errors import AskError

__all__ = ["take_picture"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--virtual-time-budget=20000",
)  # fmt: skip


def take_picture(
    report: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    tab: str = "",
    width: int = 1400,
    height: int = 1300,
    scale: int = 1,
) -> Path:
    """Open a report in headless Chromium and save a screenshot.

    Args:
        report: the HTML file.
        out: the PNG to write.
        tab: the tab to open; the first if empty.
        width: width of the window, in CSS pixels.
        height: height of the window, in CSS pixels.
        scale: image pixels per CSS pixel.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: no such report.
        AskError: Chromium is not installed or failed.
    """
    report, out = Path(report).resolve(), Path(out).resolve()
    if not report.is_file():
        raise FileNotFoundError(f"There is no report at {report}. Make one: agentgym evaluate --help")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise AskError("A picture needs Chromium. Install it, e.g.:  apt-get install chromium")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        fresh = Path(profile) / "picture.png"
        done = subprocess.run(
            [program, *FLAGS, f"--user-data-dir={profile}", f"--screenshot={fresh}", f"--window-size={width},{height}",
             f"--force-device-scale-factor={scale}", f"{report.as_uri()}#{quote(tab)}"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        if not fresh.is_file():
            raise AskError(f"Chromium drew no picture (exit code {done.returncode}): {done.stderr[-500:]}")
        shutil.copyfile(fresh, out)
    return out


if __name__ == "__main__":
    print(tyro.cli(take_picture))
