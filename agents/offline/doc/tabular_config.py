"""Settings of tabular Dichotomy of Control."""

from dataclasses import dataclass

from agentgym.agents.offline.config import OfflineConfig

__all__ = ["TabularDoCConfig"]


@dataclass
class TabularDoCConfig(OfflineConfig):
    """Settings of ``TabularDoC``. About 1000 gradient steps suffice for a bandit."""

    # Method
    method: str = "doc"  # or "future-vae": no constraint; or "released-code": the contrast minimised by both sides
    latents: int = 4  # number of values of z
    reward_bins: int = 8  # maximum number; rewards are exact if there are no more distinct ones
    energy_weight: float = 1.0  # of the mutual-information term
    value_gradient: bool | None = None  # the value's error also trains the posterior; None: only in "future-vae"
    samples: int = 100  # K: samples of z from the prior, of which the one with the highest value is used

    # Optimisation
    batch_size: int = 0  # not used: expectations over the whole dataset are exact
    learning_rate: float = 0.05  # of posterior, policy, value and prior
    energy_learning_rate: float = 0.1  # of the energy
    energy_steps: int = 2  # gradient steps of the energy per step of the others, to keep it ahead

    # Monitoring
    log_every: int = 100  # gradient steps between two rows of the log
    evaluate_every: int = 500  # gradient steps between two evaluations in the environment; 0: no evaluation
    evaluation_episodes: int = 100  # episodes per evaluation, played side by side
