"""Progress display: a live bar on a terminal, occasional lines otherwise."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import safe_mean

__all__ = ["TrainingProgress", "bar"]

SECONDS_BETWEEN_LINES = 20.0


class _Lines:
    """Prints lines instead of a bar if the output is not a terminal."""

    def __init__(self, console: Console, title: str, total: int) -> None:
        self.console, self.title, self.total = console, title, total
        self.began = self.last = time.monotonic()

    def update(self, done: int, text: str = "") -> None:
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_LINES or done >= self.total:
            self.last = now
            self.console.print(
                f"{self.title}: {done}/{self.total} after {now - self.began:.0f} s {text}".rstrip(),
                highlight=False,
            )


class _Bar:
    def __init__(self, progress: Progress, title: str, total: int) -> None:
        self.progress = progress
        self.task = progress.add_task(title, total=total, text="")

    def update(self, done: int, text: str = "") -> None:
        self.progress.update(self.task, completed=done, text=text)


@contextmanager
def bar(title: str, total: int, shown: bool = True) -> Iterator[_Bar | _Lines]:
    """A progress bar on standard error; call ``update(done, text)`` on the yielded object."""
    console = Console(stderr=True, quiet=not shown)
    if not console.is_terminal:
        yield _Lines(console, title, total)
        return
    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, title, total)


class TrainingProgress(BaseCallback):
    """Shows steps, steps per second and the mean return of the last episodes on a :func:`bar` while an agent learns."""

    def __init__(self, shown: _Bar | _Lines) -> None:
        super().__init__()
        self.shown = shown
        self._next_update = 0.0

    def say(self, text: str) -> None:
        """Show a text before the first step."""
        self.shown.update(self.model.num_timesteps, text)

    def _on_training_start(self) -> None:
        self._began, self._first = time.monotonic(), self.num_timesteps

    def _on_step(self) -> bool:
        now = time.monotonic()
        if now >= self._next_update:  # drawing ten times a second is enough
            self._next_update = now + 0.1
            self._show(now)
        return True

    def _on_training_end(self) -> None:
        self._show(time.monotonic())

    def _show(self, now: float) -> None:
        rate = (self.num_timesteps - self._first) / max(now - self._began, 1e-9)
        episodes = self.model.ep_info_buffer
        score = f"return {safe_mean([e['r'] for e in episodes]):.4g}, " if episodes else ""
        self.shown.update(self.num_timesteps, f"{score}{rate:.0f} steps/s")
