"""A suite in one file: sensors that are late and noisy at once, as a heat map.

A suite lists conditions. Each has a name, its place in the report, and what it changes: the environment's
arguments, reset options, perturbations or an attack.

    python docs/examples/suite.py
"""

import itertools
from dataclasses import dataclass
from typing import ClassVar

from agentgym import RunConfig, catalog, train
from agentgym.errors import AskError
from agentgym.evaluation import evaluate, write_report
from agentgym.evaluation.conditions import Condition, Subject, Suite
from agentgym.evaluation.table import Scene


@dataclass(frozen=True)
class LateAndNoisy(Suite):
    """Every pair of an observation delay and a noise level.

    The fields are the suite's settings: ``late-and-noisy:delays=0+4,noises=0+0.1`` on the command line.

    Args:
        delays: in steps.
        noises: standard deviations, in units of each observation entry's own.
    """

    name: ClassVar[str] = "late-and-noisy"
    needs_scale: ClassVar[bool] = True  # the standard deviations are measured before the suite is played

    delays: tuple[int, ...] = (0, 1, 2)
    noises: tuple[float, ...] = (0.0, 0.1, 0.2)

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        super().__post_init__()
        if min(self.delays) < 0 or min(self.noises) < 0:
            raise AskError(f"{self.name}: delays and noises are 0 or more.")

    def conditions(self, subject: Subject) -> list[Condition]:
        """One condition a cell of the heat map."""
        if subject.observation_scale is None:
            raise AskError(f"{self.name} needs observations that are arrays of numbers.")
        scale = subject.observation_scale.tolist()
        cells = itertools.product(self.delays, self.noises)
        return [self._condition(subject, scale, delay, noise) for delay, noise in cells]

    def _condition(self, subject: Subject, scale: list[float], delay: int, noise: float) -> Condition:
        scene = Scene("Sensors", "delay × noise", "grid", {"delay": float(delay), "noise": noise})
        late = {"type": "ObservationDelay", "steps": delay}
        noisy = {"type": "ObservationNoise", "std": noise, "scale": scale}
        effects = ((late,) if delay else ()) + ((noisy,) if noise else ())
        return subject.condition(f"delay={delay}, noise={noise:g}", scene, perturbations=effects)


# In a package of your own, an entry point of the group "agentgym" returns this entry instead.
catalog.add(catalog.Entry("suite", LateAndNoisy.name, f"{__name__}:LateAndNoisy", "late and noisy sensors"))


def main(steps: int = 20_000, episodes: int = 10) -> None:
    """Train PPO on CartPole and put it through the suite."""
    run = train(RunConfig("ppo", env="CartPole-v1", steps=steps), name="late-and-noisy")
    evaluation = evaluate(run.path, "late-and-noisy", episodes=episodes)
    print("Open", write_report(evaluation, "late-and-noisy.html"))


if __name__ == "__main__":
    main()
