"""Checks on this machine that references pass and faults fail, with tests in shuffled order and other hash seeds.

``python -m agentgym.envs.code.shell.check [TASKS] [REPEATS]``
"""

import sys
from collections.abc import Iterator

from agentgym.contracts.settings import whole_number
from agentgym.envs.code.shell.grader import grade
from agentgym.envs.code.shell.tasks import ShellTask, draw_task
from agentgym.errors import AskError
from agentgym.seeding import stream

__all__ = ["checked", "problems_of"]


def problems_of(task: ShellTask, repeats: int = 3, level: str = "auto") -> list[str]:
    """What is wrong with a task on this machine: a reference that fails, a fault that passes, a result that changes."""
    tests = [*task.failing, *task.passing]
    found = []
    for order in range(repeats):
        right = grade(task.origin, task.origin.files, tests, level=level, order=order)
        if right.resolved is not True:
            found.append(f"{task.origin.name}, order {order}: the reference does not pass: {right.reason}")
        wrong = grade(task.origin, task.files, tests, started=task.files, level=level, order=order)
        failed = {name for name, passed in wrong.passed.items() if not passed}
        if wrong.resolved is not False or failed != set(task.failing):
            found.append(f"{task.origin.name}, order {order}: other tests fail than should: {wrong.reason}")
    return found


def checked(count: int, repeats: int = 3) -> Iterator[tuple[ShellTask, list[str]]]:
    """Tasks of all splits in turn, with their problems."""
    for seed in range(whole_number("the number of tasks", count, 1)):
        split = ("train", "seen", "unseen")[seed % 3]
        task = draw_task(stream(seed, "check"), split, 1 + seed % 2, False, 0.0)
        yield task, problems_of(task, whole_number("the number of repeats", repeats, 1))


def main() -> None:
    """Print one line a problem, and a last one with the count; the exit status is 1 if there is any."""
    numbers = [int(text) for text in sys.argv[1:]] or [20]
    bad = 0
    try:
        for _, problems in checked(*numbers):
            bad += bool(problems)
            for problem in problems:
                print(problem)
    except AskError as refusal:
        sys.exit(str(refusal))
    print(f"{bad} of {numbers[0]} tasks have a problem on this machine.")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
