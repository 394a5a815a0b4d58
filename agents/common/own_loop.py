"""A base class of agents with their own learning loop that work with Stable-Baselines3's callbacks and loggers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import Logger, configure

from agentgym.agents.common.saving import Savable
from agentgym.progress import TrainingProgress, bar

__all__ = ["OwnLoop"]


class OwnLoop(Savable):
    """Provides the step counter, the logger and callbacks.

    Attributes:
        num_timesteps: steps trained so far.
    """

    num_timesteps: int = 0
    _total_timesteps: int = 0
    _n_updates: int = 0
    _logger: Logger | None = None

    def _count_from_zero(self) -> None:
        self.num_timesteps = self._total_timesteps = self._n_updates = 0

    @property
    def logger(self) -> Logger:
        """The logger of training metrics."""
        if self._logger is None:
            self._logger = configure(None, [])
        return self._logger

    def set_logger(self, logger: Logger) -> None:
        """Set the logger."""
        self._logger = logger

    @contextmanager
    def _calling(self, callback: Any, progress_bar: bool) -> Iterator[CallbackList]:
        """A context in which the callbacks passed to ``learn`` are attached to this agent."""
        given = callback if isinstance(callback, list) else [] if callback is None else [callback]
        with bar(self.catalog_name, self._total_timesteps, shown=progress_bar) as shown:
            heard = CallbackList([*given, TrainingProgress(shown)] if progress_bar else given)
            heard.init_callback(self)  # type: ignore[arg-type]
            heard.on_training_start(locals(), globals())
            yield heard
            heard.on_training_end()
