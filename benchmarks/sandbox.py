"""What isolation costs, and what the table of test results saves.

Wall seconds, because most of a command's time is the kernel's; rounds are interleaved and the median counts.

- "command": `true` in a running session against a plain `subprocess.run` of the same shell, which is also how
  mini-swe-agent's local environment runs a command. A ratio below 1 is the price of the sandbox.
- "fresh sandbox": a command in the running session against one bubblewrap a command, as mini-swe-agent's bubblewrap
  environment starts it (without network and limits of ours).
- "test of a program": `run TEST` of CodeRepairEasy, from the table, against `python -m unittest` of the same program.
- "tests in process": all tests of a compiled program by `Runner` against the same `python -m unittest`.
- "grade": a whole verdict by the sandboxed grader against the same, unprotected.

    python benchmarks/sandbox.py [--quick]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import agentgym  # noqa: F401
from agentgym.envs.code.faults.running import Runner
from agentgym.envs.code.repair.world import RepairWorld
from agentgym.envs.code.repositories import repository
from agentgym.envs.code.sandbox import Session
from agentgym.envs.code.shell.grader import grade

NAME = "ledger"


def seconds(call: Callable[[], Any], times: int = 1) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


def compare(case: str, unit: str, ours: Callable[[], Any], peer: Callable[[], Any], rounds: int, many: int = 1) -> None:
    pairs = [(seconds(ours, many), seconds(peer)) for _ in range(rounds)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    line = {"case": case, "ours": mine, "peer": theirs, "unit": unit, "ratio": theirs / mine, "threads": 1}
    print(json.dumps({key: round(value, 7) if isinstance(value, float) else value for key, value in line.items()}))


def steps() -> Callable[[], Any]:
    """A step of the learnable form: a test is run, or the episode begins anew when none is left."""
    world = RepairWorld("easy")
    world.begin(0, 0)
    episode = iter(range(10**9))

    def step() -> None:
        tests = [command for command in world.commands() if command.startswith("run ")]
        if tests:
            world.act(tests[0])
        else:
            world.begin(0, next(episode))

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    rounds = 9 if parser.parse_args().quick else 41
    origin = repository(NAME)
    runner = Runner(origin)
    changed = {origin.modules[0]: origin.files[origin.modules[0]] + "\n"}
    tests = runner.tests
    bare = ["bwrap", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev",
            "bash", "-c", "true"]  # fmt: skip
    with Session() as session, tempfile.TemporaryDirectory() as folder:
        for path, text in origin.files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text)

        def shell() -> None:
            subprocess.run(["bash", "-c", "true"], capture_output=True, check=True)

        def unittest() -> None:
            subprocess.run([sys.executable, "-m", "unittest"], cwd=folder, capture_output=True, check=True)

        compare("command", "s a command", lambda: session.run("true"), shell, rounds)
        compare("fresh sandbox", "s a command", lambda: session.run("true"),
                lambda: subprocess.run(bare, capture_output=True, check=True), rounds)  # fmt: skip
        compare("test of a program", "s a test", steps(), unittest, rounds, many=500)
        compare("tests in process", "s a program", lambda: runner.failures(changed), unittest, rounds)
        compare("grade", "s a verdict", lambda: grade(origin, origin.files, tests), unittest, rounds)


if __name__ == "__main__":
    main()
