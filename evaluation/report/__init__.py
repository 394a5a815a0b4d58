"""The report of an evaluation: one self-contained HTML file."""

from pathlib import Path

from agentgym.errors import MissingExtra
from agentgym.evaluation.table import Evaluation
from agentgym.runs.files import write_file

__all__ = ["is_report", "require", "write_report"]

MARKS = (b'<meta name="generator" content="agentgym report">', b"<title>Robustness report: ")  # new, old


def require() -> None:
    """Check before any work that plotly is installed.

    Raises:
        MissingExtra: plotly is not installed.
    """
    try:
        import plotly  # noqa: F401
    except ImportError:
        raise MissingExtra("plotly", "report") from None


def write_report(evaluation: Evaluation, path: Path | str) -> Path:
    """Write the report of an evaluation: one HTML file that loads no other resources.

    Args:
        evaluation: rows and scenes of any suites.
        path: the file to write; an existing one is replaced.

    Returns:
        The path.

    Raises:
        MissingExtra: plotly is not installed.
        InvalidParameter: rows and scenes do not match.
    """
    require()
    from agentgym.evaluation.report.page import html

    path = Path(path)
    write_file(path, html(evaluation))
    return path


def is_report(path: Path) -> bool:
    """Whether a file is a report that :func:`write_report` wrote."""
    with path.open("rb") as file:
        head = file.read(4096)
    return any(mark in head for mark in MARKS)
