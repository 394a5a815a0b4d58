"""Everything that runs on a GPU, in one command of at most eight minutes: tests, then benchmarks, then a table.

    make gpu-check                                                # the tests marked gpu, then every case
    python benchmarks/gpu_check.py --only sac convection
    python benchmarks/gpu_check.py --device cpu --quick     # tries the script itself on a machine without a GPU
    python benchmarks/gpu_check.py --table reports/gpu/gpu.jsonl docs/results/gpu.md   # the table from lines

Each case is a process of its own with its own time limit, so one that hangs costs no more than that, and the next one
runs. The JSON lines of a case go to gpu.jsonl as soon as it ends; a case that fails, hangs or prints none leaves a line
that says so. gpu.md is made from these lines alone. Without CUDA nothing is run: exit code 2. If a case failed: 1.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT = 450.0  # seconds in all: what is left of eight minutes is for the start
LEAST = 5.0  # a case is not started with less time than this

Line = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One process.

    Attributes:
        name: for --only, and for the heading of its rows.
        arguments: of Python, where DEVICE stands for the device.
        seconds: its limit.
        on_cpu: whether it also makes sense without a GPU.
    """

    name: str
    arguments: tuple[str, ...]
    seconds: float
    on_cpu: bool = True


def _script(name: str, file: str, seconds: float, *arguments: str, on_cpu: bool = True) -> Case:
    return Case(name, (str(HERE / file), "--quick", *arguments), seconds, on_cpu)


SAC = ("--device", "DEVICE", "--threads", "1")
CASES = (
    Case("tests", ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(HERE.parent / "tests")), 120),
    _script("sac", "sac.py", 45, *SAC),
    _script("sac-graphs", "sac.py", 45, *SAC, "--cuda-graphs", on_cpu=False),
    _script("sac-compiled", "sac.py", 90, *SAC, "--against", "compiled"),
    _script("sac-graphs-compiled", "sac.py", 90, *SAC, "--cuda-graphs", "--against", "compiled", on_cpu=False),
    _script("convection", "convection.py", 60, "--device", "DEVICE"),
    _script("language", "language.py", 60, "--device", "DEVICE"),
    _script("prdc", "offline.py", 60, "--cases", "search", "--device", "DEVICE"),
    _script("swarm", "swarm.py", 40),  # on the CPU of this machine, as the next: their code is compiled by Numba
    _script("particles", "particles.py", 40),
)


def main(arguments: Sequence[str] | None = None, cases: Sequence[Case] = CASES) -> int:
    """Run the cases; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="at most 20 seconds a case")
    parser.add_argument("--only", nargs="+", metavar="CASE", help=", ".join(case.name for case in cases))
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds in all")
    parser.add_argument("--out", type=Path, default=Path("reports/gpu"))
    parser.add_argument("--table", nargs=2, type=Path, metavar=("LINES", "PAGE"), help="make the table and stop")
    options = parser.parse_args(arguments)
    if options.table:
        lines, page = options.table
        page.write_text(table(read(lines)), encoding="utf-8")
        return 0
    names = [case.name for case in cases]
    if unknown := [name for name in options.only or () if name not in names]:
        parser.error(f"there is no case {unknown[0]!r}; there are {', '.join(names)}")
    if options.device == "cuda" and (refusal := no_cuda()):
        print(f"gpu-check: {refusal}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = [case for case in cases if case.name in (options.only or names)]
    chosen = [case for case in chosen if options.device == "cuda" or case.on_cpu]
    return _run_all(chosen, options)


def no_cuda() -> str:
    """Why there is nothing to check; empty if there is a GPU that computes."""
    import torch

    if not torch.cuda.is_available():
        return (
            "PyTorch finds no CUDA device, so nothing was run. This needs a GPU, its driver and a PyTorch built for "
            f"CUDA (this one is {torch.__version__}). To try the script alone: --device cpu --quick"
        )
    try:
        torch.ones(8, device="cuda").sum().item()
    except RuntimeError as error:
        return f"PyTorch finds a CUDA device that does not compute, so nothing was run: {error}"
    return ""


def _run_all(cases: Sequence[Case], options: argparse.Namespace) -> int:
    path, started, bad = options.out / "gpu.jsonl", time.monotonic(), 0
    with path.open("w", encoding="utf-8") as file:

        def keep(line: Line) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(json.dumps(line), flush=True)

        keep({"machine": machine(options.device)})
        for case in cases:
            left = options.limit - (time.monotonic() - started)
            allowed = min(case.seconds, left, *((20.0,) if options.quick else ()))
            if left < LEAST:
                found = [{"case": case.name, "error": f"not started: the {options.limit:g} s in all were used up"}]
            else:
                found = run(case, options.device, allowed)
            bad += any("error" in line for line in found)
            for line in found:
                keep({"name": case.name, **line})
    page = options.out / "gpu.md"
    page.write_text(table(read(path)), encoding="utf-8")
    print(
        f"{len(cases)} cases, {bad} with an error, {time.monotonic() - started:.0f} s: {path}, {page}", file=sys.stderr
    )
    return 1 if bad else 0


def run(case: Case, device: str, seconds: float) -> list[Line]:
    """Run one case and return its lines, with one more if it failed or was cut off.

    The whole process group ends with the time limit, so that no child stays behind.
    """
    command = [sys.executable, *(device if part == "DEVICE" else part for part in case.arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )
    late = False
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    took = round(time.monotonic() - start, 1)
    lines = list(_json_lines(out))
    if late:
        return [*lines, {"case": case.name, "error": f"cut off after {seconds:.0f} s", "seconds": took}]
    if process.returncode:
        said = (err.strip() or out.strip()).splitlines()
        reason = f"exit code {process.returncode}: {said[-1] if said else 'no message'}"
        return [*lines, {"case": case.name, "error": reason, "seconds": took}]
    if not lines:  # tests print words
        said = out.strip().splitlines()
        return [{"case": case.name, "passed": said[-1] if said else "", "seconds": took}]
    return [*lines[:-1], {**lines[-1], "seconds": took}]


def _json_lines(text: str) -> Iterable[Line]:
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except json.JSONDecodeError:  # half a line, of a process that was cut off
                continue
            if isinstance(found, dict) and "case" in found:
                yield found


def machine(device: str) -> dict[str, Any]:
    """What the numbers belong to."""
    import torch

    found: dict[str, Any] = {
        "device": device, "python": platform.python_version(), "torch": torch.__version__, "cores": os.cpu_count(),
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if device == "cuda":
        about = torch.cuda.get_device_properties(0)
        found |= {"gpu": about.name, "memory": f"{about.total_memory / 2**30:.0f} GiB", "cuda": torch.version.cuda}
    return found


def read(path: Path) -> list[Line]:
    """The lines of a file that this script wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(lines: Sequence[Line]) -> str:
    """The page for the documentation."""
    about = next((line["machine"] for line in lines if "machine" in line), {})
    text = ["# On a GPU", "", "`make gpu-check`, on " + ", ".join(f"{k} {v}" for k, v in about.items()) + ".", ""]
    text += ["A ratio above 1 means that ours is better.", ""]
    text += ["| case | ours | peer | unit | ratio |", "|---|---|---|---|---|"]
    measured = [line for line in lines if "ours" in line]
    text += [
        f"| {line['case']} | {line['ours']} | {line['peer']} | {line['unit']} | {line['ratio']} |" for line in measured
    ]
    other = [line for line in lines if "passed" in line or "error" in line]
    if other:
        text += ["", "| case | result |", "|---|---|"]
        text += [f"| {line['case']} | {_cell(line.get('passed') or 'FAILED: ' + line['error'])} |" for line in other]
    return "\n".join(text) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
