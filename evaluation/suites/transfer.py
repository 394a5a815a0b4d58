"""The suite of transfer: every agent in every agent's training environment."""

from dataclasses import dataclass
from typing import ClassVar

from agentgym.errors import AskError
from agentgym.evaluation.conditions import Condition, Subject, Suite
from agentgym.evaluation.table import Scene

__all__ = ["Transfer"]


@dataclass(frozen=True)
class Transfer(Suite):
    """The train x test matrix: one row per agent, one column per training environment."""

    name: ClassVar[str] = "transfer"

    def conditions(self, subject: Subject) -> list[Condition]:
        """One condition per distinct training environment."""
        found = {agent: world for agent, world in subject.trained_in.items() if world is not None}
        if not found:
            raise AskError("transfer needs runs: it tests every agent in the others' training environments.")
        tests: dict[str, list[str]] = {}
        worlds = {}
        for agent, (env, kwargs) in found.items():
            key = repr((env, sorted(kwargs.items())))
            worlds[key] = (env, kwargs)
            tests.setdefault(key, []).append(agent)
        return [
            Condition(
                f"as trained: {' = '.join(agents)}",
                Scene("Transfer", "trained in × tested in", "matrix", {"test": " = ".join(agents)}),
                *worlds[key],
            )
            for key, agents in tests.items()
        ]
