"""The command ``agentgym resume RUN``: continues a stopped run."""

from pathlib import Path
from typing import Annotated

import tyro

HELP = """Continue a run that was stopped or killed, from its newest checkpoint, as if it had never stopped.

Examples:

agentgym resume runs/hopper

agentgym resume runs/hopper --steps 100000

torchrun --nproc-per-node 2 -m agentgym resume runs/errands
"""


def resume(run: Annotated[Path, tyro.conf.Positional], steps: int = 0) -> None:
    """Resume a run.

    Args:
        run: folder of the run.
        steps: steps to train beyond the original end of the run. Rollouts are always completed, so a run may train
            for more steps than requested.
    """
    from agentgym.runs.processes import joined, place
    from agentgym.runs.train import resume as resume_run

    with joined():
        done = resume_run(run, steps, progress=place()[0] == 0)
        if place()[0]:
            return
    record = done.record()
    last = record["resumes"][-1]
    exactly = "exactly" if last["exact"] else f"not bit for bit ({'; '.join(last['reasons'])})"
    print(f"{done.path}: resumed from step {last['step']} {exactly}; trained for {record['learned_steps']} steps.")


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(resume, prog="agentgym resume", args=arguments, description=HELP)
