"""One map over independent work: processes here by joblib, tasks on a cluster by Ray.

A task that raises, or whose worker dies, becomes an :class:`Outcome` with its error: the rest is finished.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from agentgym.contracts.settings import whole_number
from agentgym.errors import AskError, MissingExtra, Stopped

__all__ = ["Outcome", "connect_to_ray", "map_tasks", "require_workers"]

SECONDS_TO_ANSWER, SECONDS_TO_CONNECT = 10, 60
SECONDS_TO_NOTICE = 1.0

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one task.

    Attributes:
        index: the task's place in the list.
        value: what the function returned; None after an error.
        error: one line, empty when all went well.
        note: what the reader of the result should know, e.g. that a worker died and the task ran again.
    """

    index: int
    value: Result | None
    error: str = ""
    note: str = ""


def map_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int = 1, ray: str | None = None
) -> Iterator[Outcome[Result]]:
    """Apply ``function`` to every task; outcomes come in the order in which they finish.

    A task that was stopped by a signal (:class:`agentgym.errors.Stopped`) stops the map.

    Raises:
        InvalidParameter: ``workers`` is neither -1 nor at least 1; said before the first outcome is asked for.
        AskError: the Ray cluster cannot be used.
        MissingExtra: Ray is not installed.

    Args:
        function: importable or a closure; it runs with one numerics thread in each worker process.
        tasks: what is sent to the workers, one at a time.
        workers: processes on this machine; 1 runs in this process, -1 uses all CPUs.
        ray: address of a Ray cluster ("auto" finds a running one, "local" starts one here); ``workers`` is
            then the number of its CPUs to use, or all of them for -1.
    """
    require_workers(workers, ray)
    return _map(function, tasks, workers, ray)


def require_workers(workers: int, ray: str | None) -> None:
    """Check the settings of :func:`map_tasks` and connect to the cluster, for callers that write files first.

    Raises:
        InvalidParameter: ``workers`` is neither -1 nor at least 1.
        AskError: the Ray cluster cannot be used.
        MissingExtra: Ray is not installed.
    """
    if workers != -1:
        whole_number("workers", workers, 1)
    if ray is not None:
        connect_to_ray(ray)


def _map(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int, ray: str | None
) -> Iterator[Outcome[Result]]:
    if workers == 1 and ray is None:
        for index, task in enumerate(tasks):
            with _one_thread():  # as in a worker: the last bits of a product depend on the number of threads
                outcome = _run(function, index, task)
            yield outcome
        return
    if ray is not None:
        yield from _map_on_ray(function, tasks, workers)
        return
    with tempfile.TemporaryDirectory() as started, _processes():
        finished: set[int] = set()
        note = ""
        while waiting := [index for index in range(len(tasks)) if index not in finished]:
            suspects = [index for index in waiting if (Path(started) / str(index)).exists()]
            for index in suspects:  # each alone, so that a worker's death tells which task killed it
                finished.add(index)
                yield _run_alone(function, index, tasks[index], note)
            try:
                for outcome in _pool(function, tasks, [i for i in waiting if i not in finished], workers, started):
                    finished.add(outcome.index)
                    yield outcome
            except TerminatedWorkerError as death:
                note = f"a worker died here ({_cause(death)}); the task ran again"
                if not any(Path(started).iterdir()):  # workers die before they reach a task: no use to go on
                    raise


def _pool(
    function: Callable[[Task], Result], tasks: Sequence[Task], chosen: list[int], workers: int, started: str
) -> Iterator[Outcome[Result]]:
    calls = (joblib.delayed(_run_in_worker)(function, index, tasks[index], started) for index in chosen)  # as needed
    yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)(calls)


def _map_on_ray(function: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Iterator[Outcome[Result]]:
    """As Ray tasks: a task whose worker or node dies runs once more, on what is left of the cluster."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    run: Any = ray.remote(num_cpus=1, max_retries=0)(_run_in_worker)
    running: dict[Any, int] = {}
    notes: dict[int, str] = {}
    coming, again = iter(range(len(tasks))), deque[int]()
    while True:
        # Twice the CPUs, so that none waits for the head; of a cluster that may have grown or shrunk.
        most = workers if workers != -1 else 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while len(running) < most and (index := again.popleft() if again else next(coming, -1)) >= 0:
            running[run.remote(function, index, tasks[index], folder=os.getcwd())] = index
        if not running:
            return
        (done,), _ = ray.wait(list(running))
        index = running.pop(done)
        try:
            yield replace(ray.get(done), note=notes.get(index, ""))
        except RayTaskError:  # of the map itself, such as Stopped
            raise
        except RayError as death:
            if index in notes:
                yield Outcome(index, None, error=f"its worker process died twice ({type(death).__name__})")
            else:
                notes[index] = f"a worker died here ({type(death).__name__}); the task ran again"
                again.append(index)


def _run_in_worker(
    function: Callable[[Task], Result], index: int, task: Task, started: str = "", folder: str = ""
) -> Outcome[Result]:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    else:  # tasks that need it import it, in seconds; it then reads this
        os.environ["OMP_NUM_THREADS"] = "1"
    if folder and Path(folder).is_dir():  # so that relative paths lead to the same place on all nodes that share it
        os.chdir(folder)
    if started:
        _end_with_parent()
    if started and Path(started).is_dir():  # not on another machine of a cluster
        (Path(started) / str(index)).touch()
    return _run(function, index, task)


@cache
def _end_with_parent() -> None:
    """From now on, this process gets SIGTERM when its parent is gone, so that no run goes on that nobody waits for."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_TO_NOTICE)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run(function: Callable[[Task], Result], index: int, task: Task) -> Outcome[Result]:
    try:
        return Outcome(index, function(task))
    except Stopped:  # a signal is for all tasks, not for one
        raise
    except Exception as error:
        return Outcome(index, None, error=_line(error))


def _run_alone(function: Callable[[Task], Result], index: int, task: Task, note: str) -> Outcome[Result]:
    """Run one task in a process of its own; if that dies too, the task is to blame."""
    from joblib.externals.loky import ProcessPoolExecutor

    with ProcessPoolExecutor(max_workers=1) as executor:
        try:
            outcome: Outcome[Result] = executor.submit(_run_in_worker, function, index, task).result()
        except TerminatedWorkerError as death:
            return Outcome(index, None, error=f"its worker process died twice ({_cause(death)})")
    return Outcome(index, outcome.value, outcome.error, note)


def _line(error: BaseException) -> str:
    """The last line of a traceback and where it came from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} ({Path(frame.filename).name}:{frame.lineno})"


def _cause(death: BaseException) -> str:
    """How the operating system ended a worker, from loky's message."""
    found = re.search(r"\{(.*?)\}", str(death))
    return found.group(1) if found else "cause unknown"


@contextmanager
def _processes() -> Iterator[None]:
    """joblib's own processes, each with one numerics thread."""
    configured = joblib.parallel_config(backend="loky", inner_max_num_threads=1)
    with configured, _sleeping_threads(), warnings.catch_warnings():
        # loky replaces a worker that has grown by 100 MB, which importing torch in it does; nothing is lost
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
        yield


@contextmanager
def _sleeping_threads() -> Iterator[None]:
    """Processes that are started meanwhile let waiting OpenMP threads sleep, unless the user has set the policy.

    By default they spin, which on shared cores takes the time from the threads that work.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        yield
    finally:
        os.environ.pop("OMP_WAIT_POLICY", None)


def connect_to_ray(address: str) -> None:
    """Connect this process to a Ray cluster, where it is not connected to one already.

    Args:
        address: HOST:PORT, "auto" for one that runs on this machine, "local" to start one.

    Raises:
        AskError: nothing answers there within a minute, or the cluster wants a token; with what Ray says.
        MissingExtra: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "distributed") from None
    if ray.is_initialized():
        return
    if address != "local":
        _try_to_connect(address)
    with _sleeping_threads():
        ray.init(address=address, log_to_driver=False)  # "local" starts one even where another runs


# ray.init() waits as long as it likes and writes its reasons to the process's standard error, so another process tries.
TRIAL = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False)
except Exception as error:
    sys.exit(f"REASON {type(error).__name__}: {error}")
"""


def _try_to_connect(address: str) -> None:
    if place := re.fullmatch(r"(?:ray://)?([\w.-]+):(\d{1,5})", address):
        try:
            socket.create_connection((place[1], int(place[2])), SECONDS_TO_ANSWER).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise AskError(f"The Ray cluster at {address!r} does not answer: {error}.") from error
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL, address],
            capture_output=True, text=True, errors="replace", timeout=SECONDS_TO_CONNECT, check=False,
        )  # fmt: skip
        code, said = done.returncode, done.stderr
    except subprocess.TimeoutExpired as late:
        code, said = 1, (late.stderr or b"").decode(errors="replace")
        said += f"\nREASON nothing answered within {SECONDS_TO_CONNECT} s"
    if code == 0:
        return
    reason = " ".join(said.rpartition("REASON ")[2].split()) or f"Ray ended with {code}"
    if refused := re.search(r"InvalidAuthToken: .*", said):
        reason += (
            f". {refused[0]}. Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the cluster's token or "
            "RAY_AUTH_TOKEN_PATH to its file (https://docs.ray.io/en/latest/ray-security/token-auth.html)"
        )
    raise AskError(f"The Ray cluster at {address!r} cannot be used: {reason}")
