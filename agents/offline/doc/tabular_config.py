"""Settings of the tabular form."""

from dataclasses import dataclass

from agentgym.agents.offline.config import OfflineConfig

__all__ = ["TabularDoCConfig"]


@dataclass
class TabularDoCConfig(OfflineConfig):
    """Some 1000 gradient steps are enough for a bandit."""

    # Method
    method: str = "doc"  # or "future-vae": no constraint; or "released-code": the contrast minimised by both sides
    latents: int = 4  # values of z
    reward_bins: int = 8  # at most so many; rewards are exact where no more distinct ones occur
    energy_weight: float = 1.0  # of the mutual-information term
    value_gradient: bool | None = None  # the value's error shapes the posterior too; None: in "future-vae" only
    samples: int = 100  # K: z's drawn from the prior, of which the most valued is taken

    # Optimisation
    batch_size: int = 0  # not used: expectations over the whole dataset are exact
    learning_rate: float = 0.05  # of posterior, policy, value and prior
    energy_learning_rate: float = 0.1
    energy_steps: int = 2  # of the energy before each of the others, so that it stays ahead

    # Looking on
    log_every: int = 100
    evaluate_every: int = 500
    evaluation_episodes: int = 100
