"""What can go wrong through what was asked for, each with a message that says what to do.

Every class is also the built-in error that a library user would catch. The command line prints these
without a traceback and exits with 2.
"""

import difflib
from collections.abc import Iterable

import gymnasium


class AskError(Exception):
    """What was asked cannot be: the message names what was wrong and what to do instead."""

    def __str__(self) -> str:  # KeyError would show the message's repr
        return str(self.args[0]) if self.args else ""


class UnknownId(AskError, KeyError):
    """A name that is not in a list of names; the message gives the nearest ones."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:12]
        offer = f" Nearest: {', '.join(near)}." if near else ""
        super().__init__(f"There is no {what} named {name!r}.{offer}{' ' + hint if hint else ''}")


class InvalidAction(AskError, ValueError):
    """An action with NaN, infinity or another shape than the action space's."""


class InvalidParameter(AskError, ValueError):
    """A parameter that is unknown, not a finite number, or outside its range."""


class NonFinite(AskError, FloatingPointError):
    """NaN or infinity in an observation, a reward, an action, a setting or a loss; the message says where."""


class ResetNeeded(AskError, gymnasium.error.ResetNeeded, RuntimeError):
    """A step before the first reset, or after an episode's end."""


class EpisodeTooLong(AskError, TimeoutError):
    """An episode goes on and on in an environment that declares no time limit."""


class SpaceMismatch(AskError, ValueError):
    """An agent meets an environment with other observation or action spaces than its own."""


class CorruptFile(AskError, OSError):
    """A file that is truncated, altered, or was not written by agentgym."""


class NotWritable(AskError, OSError):
    """A file or folder that cannot be written where it was asked for, or that would take the place of another's."""


class RunInUse(AskError):
    """Another process is writing the run; the message names it."""


class MissingExtra(AskError, ImportError):
    """An optional dependency is not installed; the message gives the command that installs it."""

    def __init__(self, module: str, extra: str = "", command: str = "") -> None:
        command = command or f'pip install "agentgym[{extra}]"'
        super().__init__(f"{module} is not installed. Install it with:  {command}")


class Stopped(Exception):
    """A run was asked to stop, by a signal, and has written a checkpoint."""

    def __init__(self, signal_number: int, step: int, run: str) -> None:
        super().__init__(f"stopped by signal {signal_number} at step {step}")
        self.signal_number, self.step, self.run = signal_number, step, run

    def __reduce__(self) -> tuple[type["Stopped"], tuple[int, int, str]]:  # from a worker to its parent
        return Stopped, (self.signal_number, self.step, self.run)
