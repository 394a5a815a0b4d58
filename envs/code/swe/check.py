"""Checks on this machine that tasks can be graded.

``python -m agentgym.envs.code.swe.check TASKS FOLDERS [PYTHON]``
"""

import sys
from pathlib import Path

from agentgym.envs.code.sandbox import interpreter_of, level_of
from agentgym.envs.code.swe.formats import read_instances
from agentgym.envs.code.swe.grader import Settings, problems_of
from agentgym.envs.code.swe.tasks import read_task
from agentgym.errors import AskError, InvalidParameter

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Print one line a problem, and a last one with the count; returns the exit status, 1 if there is any."""
    if len(arguments) not in (2, 3):
        raise InvalidParameter("Name the file of tasks, the folder of repositories, and perhaps an interpreter.")
    file, folders, *python = arguments
    settings = Settings(level_of("auto"), interpreter_of(python[0]) if python else None)
    instances = read_instances(file)
    bad = 0
    for instance in instances:
        try:
            problems = problems_of(read_task(instance, Path(folders)), settings)
        except InvalidParameter as error:
            problems = [str(error)]
        bad += bool(problems)
        for problem in problems:
            print(f"{instance.id}: {problem}", flush=True)
    print(f"{bad} of {len(instances)} tasks cannot be graded on this machine.")
    return int(bad > 0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except AskError as refusal:
        sys.exit(str(refusal))
