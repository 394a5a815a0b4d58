"""The update of tabular Dichotomy of Control, for any number of independent problems at once."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from agentgym.agents.common.optim import FusedAdam, set_gradients
from agentgym.agents.offline.doc.tabular_config import TabularDoCConfig
from agentgym.agents.offline.doc.tabular_tables import LatentTables, Outcomes
from agentgym.errors import InvalidParameter

__all__ = ["PARTS", "learn_tables", "make_optimizers", "switches", "update"]

PARTS = ("cloning", "contrast", "value", "prior")

# What posterior and policy do with the contrast that the energy maximises: minimise it (the paper), ignore it, or
# maximise it too (the released code, which minimises -C over everything).
SIGNS = {"doc": 1.0, "future-vae": 0.0, "released-code": -1.0}

# Faster decay than Adam's default: a latent's mass can fall by orders of magnitude, and with it its value's gradients.
BETAS = (0.9, 0.95)


def switches(settings: Sequence[TabularDoCConfig]) -> tuple[Tensor, Tensor]:
    """Numbers that encode the differences between methods.

    Returns:
        The weight of the contrast in the loss of posterior and policy, and 1 if the value's error trains the
        posterior, else 0, ``[G]`` each.

    Raises:
        InvalidParameter: a setting is out of range.
    """
    for one in settings:
        _check(one)
    opened = [one.method == "future-vae" if one.value_gradient is None else one.value_gradient for one in settings]
    return torch.tensor([SIGNS[one.method] * one.energy_weight for one in settings]), torch.tensor(opened).float()


def _check(settings: TabularDoCConfig) -> None:
    if settings.method not in SIGNS:
        raise InvalidParameter(f"method is {settings.method!r}; it must be one of {', '.join(SIGNS)}.")
    held = vars(settings)
    for name, least in (("latents", 2), ("reward_bins", 1), ("samples", 1), ("energy_steps", 1), ("energy_weight", 0)):
        if held[name] < least:
            raise InvalidParameter(f"{name} is {held[name]}; it must be at least {least}.")


def make_optimizers(tables: LatentTables, settings: TabularDoCConfig) -> dict[str, FusedAdam]:
    """Two optimisers: for the energy, and for all other tables."""
    return {
        "model": FusedAdam(_others(tables), lr=settings.learning_rate, betas=BETAS),
        "energy": FusedAdam([tables.energy], lr=settings.energy_learning_rate, betas=BETAS),
    }


def _others(tables: LatentTables) -> list[Tensor]:
    return [tables.posterior, tables.policy, tables.value, tables.prior]


def update(
    tables: LatentTables,
    outcomes: Outcomes,
    optimizers: Mapping[str, torch.optim.Optimizer],
    weights: Tensor,
    value_gradients: Tensor,
    energy_steps: int,
) -> Tensor:
    """One step of minimisation over posterior and policy, and maximisation over the energy.

    Args:
        tables: the tables of G problems.
        outcomes: the data of these problems.
        optimizers: from :func:`make_optimizers`.
        weights, value_gradients: from :func:`switches`.
        energy_steps: steps of the energy before the step of the others.

    Returns:
        The parts of the objective before the step, ``[len(PARTS), G]``.
    """
    posterior = tables.posterior.softmax(-1)
    fixed = posterior.detach()
    for _ in range(energy_steps):
        set_gradients(-tables.contrast(outcomes, fixed, tables.energy).sum(), [tables.energy])
        optimizers["energy"].step()
    open_ = value_gradients[:, None, None, None, None]
    parts = torch.stack([
        tables.cloning(outcomes, posterior),
        tables.contrast(outcomes, posterior, tables.energy.detach()),
        tables.value_error(outcomes, open_ * posterior + (1 - open_) * fixed),
        tables.prior_error(outcomes, fixed),  # trains only the prior, not the posterior
    ])  # fmt: skip
    loss = parts[0] + weights * parts[1] + parts[2] + parts[3]
    set_gradients(loss.sum(), _others(tables))
    optimizers["model"].step()
    return parts.detach()


def learn_tables(
    outcomes: Outcomes, seeds: Sequence[int], settings: Sequence[TabularDoCConfig], steps: int
) -> LatentTables:
    """Train G problems side by side. The result of each is as if trained alone.

    Args:
        outcomes: the data of the G problems.
        seeds: one per problem.
        settings: one per problem. They may differ in ``method``, ``energy_weight`` and ``value_gradient``; for
            everything else the first one is used.
        steps: number of gradient steps.

    Raises:
        InvalidParameter: a setting is out of range, or the numbers of seeds, settings and problems differ.
    """
    problems, states, actions, bins = outcomes.weights.shape
    if not len(seeds) == len(settings) == problems:
        raise InvalidParameter(
            f"{problems} problems need as many seeds and settings, not {len(seeds)} and {len(settings)}."
        )
    tables = LatentTables(states, actions, bins, settings[0].latents, seeds)
    tables.fit(outcomes)
    optimizers = make_optimizers(tables, settings[0])
    weights, value_gradients = switches(settings)
    for _ in range(steps):
        update(tables, outcomes, optimizers, weights, value_gradients, settings[0].energy_steps)
    return tables
