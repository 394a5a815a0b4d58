"""Where in a study an error is: the keys that lead to the value, from which the line in a file follows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from agentgym.errors import AskError, UnknownId

__all__ = ["at", "known_name", "path_of"]


@contextmanager
def at(*path: str | int) -> Iterator[None]:
    """Tell errors where in the study the value stands."""
    try:
        yield
    except AskError as error:
        error.path = (*path, *path_of(error))  # type: ignore[attr-defined]
        raise


def path_of(error: AskError) -> tuple[str | int, ...]:
    """The keys that lead to the value an error is about."""
    return getattr(error, "path", ())


def known_name(what: str, name: Any, known: Sequence[str]) -> None:
    """Refuse a name that is not among the known ones.

    Raises:
        UnknownId: it is not; the message gives the nearest.
    """
    if name not in known:
        raise UnknownId(f"{what} of this study", str(name), [each for each in known if each])
