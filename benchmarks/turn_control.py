"""Limits and extensions of turns on the medium tier of code repair, where a quarter of the tasks has no right edit.

Percentiles come from tasks of their own (split "seen"), the comparison from programs held out ("unseen"). A turn
re-sends the history, so tokens grow quadratically; they are counted in words and priced at 1 dollar a million of the
prompt and 5 of the answer, without a cache. The player is the scripted explorer, or the agent of a run: this says
nothing about real models.

    python benchmarks/turn_control.py [--quick] [--run RUN]
"""

import argparse
import json
from typing import Any

import gymnasium

import agentgym  # noqa: F401
from agentgym.agents.coding.comparison import calibrated, compare, play
from agentgym.agents.coding.costs import Price
from agentgym.agents.coding.models import AgentModel
from agentgym.turns.control import Unrestricted
from agentgym.turns.paired import hypervolume

PRICE = Price(input=1.0, cached_read=1.0, cache_write=1.0, output=5.0, date="made up")
ID = "agentgym/CodeRepairMedium-v0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--run", default="")
    arguments = parser.parse_args()
    count = 60 if arguments.quick else 200
    calibration: Any = gymnasium.make(ID, split="seen").unwrapped
    test: Any = gymnasium.make(ID, split="unseen").unwrapped
    agent: Any = None
    if arguments.run:
        from agentgym.evaluation.entrants import load_agent

        agent = load_agent(arguments.run)

    def model(env: Any) -> Any:
        def made(seed: int) -> AgentModel:
            if agent is None:
                return AgentModel(env.controllers["explorer"].acting_in(env), "explorer", "scripted")
            agent.generator.manual_seed(seed)
            return AgentModel(agent, arguments.run)

        return made

    turns = [len(run.turns) for run in play(calibration, model(calibration), Unrestricted(), range(count))]
    found = compare(test, model(test), calibrated(turns), range(10_000, 10_000 + count), PRICE)
    for name, row in found.items():
        told = {
            "case": name, "solved": row.solved, "turns": row.turns, "cost_task": row.cost,
            "cost_solved": row.cost_solved, "difference": row.difference, "saving": row.saving, "p": row.p,
            "extended": row.extended, "tasks": row.tasks,
        }  # fmt: skip
        print(json.dumps(told, default=list))
    worst = max(row.cost or 0.0 for row in found.values())
    points = [(row.cost or 0.0, row.solved) for row in found.values()]
    print(json.dumps({"case": "hypervolume", "all": hypervolume(points, worst)}))


if __name__ == "__main__":
    main()
