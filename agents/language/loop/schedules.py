"""What changes over training: numbers as functions of the iteration, without memory, so that nothing needs saving."""

import math

__all__ = ["fade_in", "fade_out", "learning_rate_factor"]


def fade_out(iteration: int, length: int) -> float:
    """(1 + cos(pi t / T)) / 2 for t <= T, then 0: from 1 down to 0. SPEAR's tool-use bonus."""
    return 0.0 if iteration > length else (1 + math.cos(math.pi * iteration / length)) / 2


def fade_in(iteration: int, length: int) -> float:
    """(1 - cos(pi t / T)) / 2 for t <= T, then 1: from 0 up to 1. SPEAR's self-imitation."""
    return 1.0 if iteration > length else (1 - math.cos(math.pi * iteration / length)) / 2


def learning_rate_factor(iteration: int, warmup: int, decay: int, final: float) -> float:
    """What the learning rate is multiplied by.

    Args:
        iteration: from 0.
        warmup: iterations over which it rises linearly; 0: none.
        decay: iterations after which it has fallen to ``final`` along a cosine; 0: it stays.
        final: the factor at the end.
    """
    if iteration < warmup:
        return (iteration + 1) / (warmup + 1)
    if not decay:
        return 1.0
    progress = min(1.0, (iteration - warmup) / max(1, decay - warmup))
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
