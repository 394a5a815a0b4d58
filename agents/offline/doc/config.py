"""Settings of Dichotomy of Control."""

from dataclasses import dataclass

from agentgym.agents.offline.config import SequenceConfig

__all__ = ["METHODS", "DoCConfig"]

METHODS = ("doc", "future-vae", "released-code")


@dataclass
class DoCConfig(SequenceConfig):
    """Settings of Yang et al. 2023. Those of the transformer are the base's, as in the released code."""

    # "doc" is the paper's method; "future-vae" omits the mutual-information term; "released-code" minimises what the
    # paper maximises, among other differences (see the card), and is there for comparison only.
    method: str = "doc"  # "doc" (the paper), "future-vae" or, for comparison only, "released-code"

    # The latent future z
    future: int = 20  # steps that the posterior reads, starting with the first step of the policy's history
    latent: int = 32  # size of z
    components: int = 8  # Gaussian components of the prior p(z | s)
    hidden: tuple[int, ...] = (256, 256)  # hidden layers of policy, value, prior and energy

    # Weights in the loss; the cloning term has weight 1
    energy_weight: float = 10.0  # of the mutual information between z and luck, summed over a window's steps
    value_weight: float = 1.0  # of the value's error
    prior_weight: float = 1.0  # of the prior's likelihood
    kl_weight: float = 0.1  # of KL(q || N(0, 1)), which limits the information in z; 1 / context: a variational bound
    value_gradient: bool = True  # V's error also trains the posterior

    # The adversary f
    energy_steps: int = 4  # gradient steps of f per step of the other networks
    energy_learning_rate: float = 1e-3  # of the energy
    energy_width: int = 128  # size of the two embeddings whose product is f
    contrasted: int = 256  # steps of the batch, drawn anew each time, among which f discriminates

    # Acting
    samples: int = 100  # K: samples of z from the prior, of which the one with the highest value is used
    hold: int = 0  # steps for which z is held; 0: until the episode ends
    averaging: float = 0.005  # step of the running mean of V's parameters, which selects z and predicts the return
