"""Schedules as functions of the iteration. They have no state to save."""

import math

__all__ = ["fade_in", "fade_out", "learning_rate_factor"]


def fade_out(iteration: int, length: int) -> float:
    """(1 + cos(pi t / T)) / 2 for t <= T, then 0, as for SPEAR's bonus."""
    return 0.0 if iteration > length else (1 + math.cos(math.pi * iteration / length)) / 2


def fade_in(iteration: int, length: int) -> float:
    """(1 - cos(pi t / T)) / 2 for t <= T, then 1, as for SPEAR's replay."""
    return 1.0 if iteration > length else (1 - math.cos(math.pi * iteration / length)) / 2


def learning_rate_factor(iteration: int, warmup: int, decay: int, final: float) -> float:
    """The factor of the learning rate.

    Args:
        iteration: from 0.
        warmup: iterations of linear rise; 0: none.
        decay: iteration at which a cosine reaches ``final``; 0: constant.
        final: the factor at the end.
    """
    if iteration < warmup:
        return (iteration + 1) / (warmup + 1)
    if not decay:
        return 1.0
    progress = min(1.0, (iteration - warmup) / max(1, decay - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
