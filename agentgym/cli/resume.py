"""``agentgym resume RUN``: goes on with a run that was stopped."""

from pathlib import Path
from typing import Annotated

import tyro

HELP = """Go on with a run that was stopped or killed, from its newest checkpoint, as if it never was.

Examples:

agentgym resume runs/hopper

agentgym resume runs/hopper --steps 100000
"""


def resume(run: Annotated[Path, tyro.conf.Positional], steps: int = 0) -> None:
    """Resume.

    Args:
        run: the run's folder.
        steps: further steps to learn, beyond the end of the run: what it was asked for, or what it learned where its
            last rollout went beyond that. Rollouts are whole here too, so that more may be learned.
    """
    from agentgym.runs.train import resume as resume_run

    done = resume_run(run, steps)
    record = done.record()
    last = record["resumes"][-1]
    exactly = "exactly" if last["exact"] else f"not bit for bit ({'; '.join(last['reasons'])})"
    print(f"{done.path}: went on from step {last['step']} {exactly}; trained for {record['learned_steps']} steps.")


def main(arguments: list[str]) -> None:
    """Entry point of the verb."""
    tyro.cli(resume, prog="agentgym resume", args=arguments, description=HELP)
