"""Dichotomy of Control's settings."""

from dataclasses import dataclass

from agentgym.agents.offline.config import SequenceConfig

__all__ = ["METHODS", "DoCConfig"]

METHODS = ("doc", "future-vae", "released-code")


@dataclass
class DoCConfig(SequenceConfig):
    """Yang et al. 2023; the transformer's settings are the base's, and the released code's."""

    # "doc" is the paper's; "future-vae" is the same without the term of mutual information; "released-code" minimises
    # what the paper maximises and more, see the card: it is there to show the difference.
    method: str = "doc"

    # The future that z stands for
    future: int = 20  # steps that the posterior reads, from the step on at which the policy's history begins
    latent: int = 32  # entries of z
    components: int = 8  # Gaussians of the prior p(z | s)
    hidden: tuple[int, ...] = (256, 256)  # layers of policy, value, prior and energy

    # Weights in the loss; that of the cloning term is 1
    energy_weight: float = 10.0  # of the mutual information of z with luck, summed over a window's steps
    value_weight: float = 1.0
    prior_weight: float = 1.0
    kl_weight: float = 0.1  # of KL(q || N(0, 1)): what z may say; at 1 / context it is a variational bound
    value_gradient: bool = True  # V's error shapes the posterior too: z says what return there is, f takes out luck

    # The adversary f
    energy_steps: int = 4  # its gradient steps before each one of the others
    energy_learning_rate: float = 1e-3
    energy_width: int = 128  # entries of the two embeddings whose product is f
    contrasted: int = 256  # steps of the batch, drawn anew each time, that f tells apart

    # Acting
    samples: int = 100  # K: z's drawn from the prior, of which the one of greatest value is kept
    hold: int = 0  # steps for which z is kept; 0: to the episode's end
    averaging: float = 0.005  # V chooses and promises by a running mean of its parameters, which moves by this share
