"""Exceptions for invalid requests. Their messages say what is wrong and what to do about it.

Each also derives from the built-in exception that library users would catch. The command line prints the message
without a traceback and exits with code 2.
"""

import difflib
from collections.abc import Iterable

import gymnasium


class AskError(Exception):
    """An invalid request; the message says what is wrong and what to do instead."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0]) if self.args else ""


class UnknownId(AskError, KeyError):
    """An unknown name; the message suggests the nearest known names."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:12]
        offer = f" Nearest: {', '.join(near)}." if near else ""
        super().__init__(f"There is no {what} named {name!r}.{offer}{' ' + hint if hint else ''}")


class InvalidAction(AskError, ValueError):
    """An action that is not finite, or whose shape differs from that of the action space."""


class InvalidParameter(AskError, ValueError):
    """A parameter that is unknown, not a finite number, or outside its range."""


class NonFinite(AskError, FloatingPointError):
    """NaN or infinity in an observation, a reward, an action, a setting or a loss; the message says where."""


class ResetNeeded(AskError, gymnasium.error.ResetNeeded, RuntimeError):
    """A step before the first reset, or after the end of an episode."""


class EpisodeTooLong(AskError, TimeoutError):
    """An episode that does not end, in an environment without a time limit."""


class SpaceMismatch(AskError, ValueError):
    """An environment whose observation or action space differs from that of the agent."""


class CorruptFile(AskError, OSError):
    """A file that is truncated, altered, or was not written by agentgym."""


class NotWritable(AskError, OSError):
    """A file or folder that cannot be written, or that would replace something agentgym did not write."""


class RunInUse(AskError):
    """A run that another process is writing; the message names the process."""


class Elsewhere(AskError):
    """An error in another of the processes that train an agent together, which reports it itself."""


class MissingExtra(AskError, ImportError):
    """A missing optional dependency; the message gives the command that installs it."""

    def __init__(self, module: str, extra: str = "", command: str = "") -> None:
        command = command or f'pip install "agentgym[{extra}]"'
        super().__init__(f"{module} is not installed. Install it with:  {command}")


class Stopped(Exception):
    """A run that was stopped by a signal after writing a checkpoint."""

    def __init__(self, signal_number: int, step: int, run: str) -> None:
        super().__init__(f"stopped by signal {signal_number} at step {step}")
        self.signal_number, self.step, self.run = signal_number, step, run

    def __reduce__(self) -> tuple[type["Stopped"], tuple[int, int, str]]:  # to be sent from a worker to its parent
        return Stopped, (self.signal_number, self.step, self.run)
