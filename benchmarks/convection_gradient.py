"""The analytic gradient through the solver: a shared policy, trained on by backpropagation through time.

    python benchmarks/convection_gradient.py runs/convection/control_shared-ppo_compact_70000_seed10
    python benchmarks/convection_gradient.py --fresh        # from an untrained policy

The policy's mean acts, without noise, in a few worlds; every ``--horizon`` actions the mean Nusselt number over them is
differentiated through policy, heaters and all solver steps, and Adam takes a step; the flow goes on from where it is.
What lies beyond the horizon has no gradient. Progress is printed as JSON lines; at the end, the policy is judged as in
studies/convection.toml.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agentgym.agents.marl.shared.ppo import SharedPPO
from agentgym.envs.convection.presets import cell
from agentgym.envs.convection.solver import State
from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.envs.convection.world import World
from agentgym.evaluation.entrants import load_agent
from agentgym.study.judging import function_of

ACTIONS = 200
STARTS, WORLDS = ("two-pair", "one-pair"), 8
judged = function_of("convection:judged", Path(__file__).parents[1] / "studies")


def mean_action(agent: Any, seen: Tensor) -> Tensor:
    """The policy's mode [N, A] for observations [N, 3, heights, columns], within the actions' bounds."""
    means: Tensor = agent.policy.get_distribution(seen).distribution.mean
    return means.clamp(-1, 1)


def episode(agent: Any, world: World, optimizer: torch.optim.Optimizer, horizon: int) -> list[float]:
    """One episode in all worlds with a gradient step every ``horizon`` actions; the Nusselt number over each."""
    found: list[float] = []
    state, warmth, readings = (
        world.state,
        world.warmth,
        world.probes.read(world.state, world.solver.fields(world.state)),
    )
    for _ in range(ACTIONS // horizon):
        numbers = []
        for _ in range(horizon):
            told = mean_action(agent, world.probes.scaled(readings))
            measured = world.advance(state, warmth, told)
            state, warmth, readings = measured.state, measured.warmth, measured.readings
            numbers.append(world.numbers.volume(measured.flux).mean())
        loss = torch.stack(numbers).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 0.5)
        optimizer.step()
        state, warmth, readings = State(*(part.detach() for part in state)), warmth.detach(), readings.detach()
        found.append(float(loss.detach()))
    return found


def judge(agent: Any) -> dict[str, dict[str, float]]:
    """From both starts."""
    return {
        start: judged(ConvectionVectorEnv(WORLDS, autoreset_mode="Disabled", start=start), agent) for start in STARTS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="folder of a trained shared-ppo run")
    parser.add_argument("--fresh", action="store_true", help="begin with an untrained policy")
    parser.add_argument("--start", default="mixed")
    parser.add_argument("--worlds", type=int, default=4)
    parser.add_argument("--horizon", type=int, default=10, help="actions a gradient step")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="at first; it falls linearly to a tenth")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for the trained agent")
    options = parser.parse_args()
    if options.fresh == (options.run is not None):
        parser.error("give a run, or --fresh")
    torch.set_num_threads(1)
    settings = cell("compact", start=options.start)
    if options.fresh:
        env = ConvectionVectorEnv(1, autoreset_mode="SameStep")
        agent: Any = SharedPPO("MlpPolicy", env, seed=options.seed, **SharedPPO.Config().to_kwargs())
    else:
        agent = load_agent(options.run / "final")
        print(json.dumps({"before": judge(agent)}), flush=True)
    own = agent.learner.policy
    parameters = [*own.mlp_extractor.policy_net.parameters(), *own.action_net.parameters()]
    optimizer = torch.optim.Adam(parameters, options.learning_rate)
    world = World(settings, options.worlds, torch.device("cpu"))
    for index in range(options.worlds):
        world.seed(index, 1000 * options.seed + index)
    began = time.monotonic()
    for number in range(options.episodes):
        optimizer.param_groups[0]["lr"] = options.learning_rate * (1 - 0.9 * number / options.episodes)
        world.start(range(options.worlds))
        found = episode(agent, world, optimizer, options.horizon)
        late = float(np.mean(found[len(found) // 2 :]))
        print(json.dumps({"episode": number, "nusselt_late": late, "seconds": time.monotonic() - began}), flush=True)
    print(json.dumps({"after": judge(agent), "simulations": options.episodes * options.worlds}), flush=True)
    if options.save:
        agent.save(options.save)


if __name__ == "__main__":
    main()
