"""Finite environments with a known kernel: named models, or arrays of one's own."""

from typing import Any

from agentgym.contracts.mdp import MDP
from agentgym.envs.tabular.vector import TabularVectorEnv
from agentgym.vector.views import NativeEnv

__all__ = ["TabularEnv"]


class TabularEnv(NativeEnv):
    """
    ## Description

    A finite Markov decision process whose kernel is known: `env.unwrapped.mdp` has it as arrays. The solvers of
    `agentgym.agents.robust` take it and return nature's worst kernel; with `kernel=` the environment plays that one, so
    any agent can be tested against the solver's bounds.

    | Id | States, actions | Uncertain parameters |
    |---|---|---|
    | `agentgym/RiverSwim-v0` | 6, 2 | `right`, `back`, `end_back` |
    | `agentgym/MachineReplacement-v0` | 8, 2 | `wear`, `repaired` |
    | `agentgym/Garnet-v0` | 20, 4 | none |
    | `agentgym/WindyWalk-v0` | 36, 4 | `wind` |
    | `agentgym/Inventory-v0` | 11, 11 | `demand` |
    | `agentgym/TabularFrozenLake-v0` | 16, 4 | `slippery` |

    ## Action Space

    `Discrete(A)`.

    ## Observation Space

    `Discrete(S)`: the state.

    ## Rewards

    r(s, a, s') of the outcome. `mdp.discount` is the discount of the solver's values; rewards are not discounted here.

    ## Starting State

    Drawn from `mdp.start`, or `reset(options={"state": 3})`.

    ## Episode End

    A terminal state terminates the episode; the time limit is the id's, 200 steps.

    ## Arguments

    - `model`: a name of `agentgym.envs.tabular.models.MODELS`, or an `agentgym.contracts.mdp.MDP`, into which any
      kernel, sparse or dense, and any `toy_text` environment can be made.
    - `kernel`: [S, A, K], probabilities of the process's outcomes in place of the nominal ones, or an npz file with an
      array `kernel`.
    - further ones: the model's numbers, such as `states=20`.

    `reset(options={"parameters": {"wind": 0.4}})` changes uncertain parameters for that and the following episodes; a
    reset with `parameters` of fewer names sets the others back.

    ## Vectorized environment

    `gym.make_vec("agentgym/RiverSwim-v0", num_envs=16)`; each world may have its own parameters.

    ## Version History

    * v0: Initial version
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, model: str | MDP = "river-swim", kernel: Any = None, **numbers: Any) -> None:
        super().__init__(TabularVectorEnv(1, model, kernel, "Disabled", **numbers))

    @property
    def mdp(self) -> MDP:
        """The process that it plays, as arrays."""
        return self.batch.mdp  # type: ignore[attr-defined]

    @property
    def parameter_ranges(self) -> dict[str, tuple[float, float]]:
        """The uncertain parameters and their ranges."""
        return self.batch.parameter_ranges  # type: ignore[attr-defined]
