import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pytest
from joblib.externals.loky import get_reusable_executor

from agentgym.errors import AskError, InvalidParameter, Stopped
from agentgym.parallel import _processes, map_tasks

try:
    import ray  # noqa: F401

    HAS_RAY = True
except ImportError:
    HAS_RAY = False


def outcomes(tasks, **where):
    def square(task):  # a closure: it travels by value, since workers cannot import a test module
        if task == 3:
            raise ValueError("three\nis not squared")
        if task == -1:
            os.kill(os.getpid(), signal.SIGKILL)
        return task * task

    return sorted(map_tasks(square, tasks, **where), key=lambda outcome: outcome.index)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_and_errors_are_outcomes(workers):
    found = outcomes([1, 2, 3, 4], workers=workers)
    assert [outcome.value for outcome in found] == [1, 4, None, 16]
    assert "ValueError: three is not squared" in found[2].error
    assert [bool(outcome.error) for outcome in found] == [False, False, True, False]


def test_a_task_that_kills_its_worker_is_named_and_the_rest_is_finished():
    found = outcomes([1, 2, -1, 4, 5, 6], workers=2)
    assert [outcome.value for outcome in found] == [1, 4, None, 16, 25, 36]
    assert "SIGKILL" in found[2].error


def test_a_worker_that_dies_once_is_replaced(tmp_path):
    def die_once(task):
        flag = tmp_path / "died"
        if task == 2 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    found = sorted(map_tasks(die_once, [0, 1, 2, 3], workers=2), key=lambda outcome: outcome.index)
    assert [outcome.value for outcome in found] == [0, 1, 2, 3]
    assert not any(outcome.error for outcome in found)
    assert "SIGKILL" in found[2].note


def test_workers_have_one_thread_and_do_not_import_torch_for_it():
    def threads(task):
        import sys

        before = "torch" in sys.modules
        import torch

        return before, torch.get_num_threads()

    get_reusable_executor().shutdown(wait=True)  # workers of earlier tests may have imported it
    found = list(map_tasks(threads, [0, 1], workers=2))
    assert {outcome.value[1] for outcome in found} == {1}
    assert not all(outcome.value[0] for outcome in found)  # one worker may get both tasks


PARENT = """
import os, pathlib, time
from agentgym.parallel import map_tasks

def work(task):
    pathlib.Path({folder!r}, str(os.getpid())).touch()
    time.sleep(300)

list(map_tasks(work, [0, 1], workers=2))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_when_their_parent_is_killed(number, tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(folder=str(tmp_path))], stderr=subprocess.DEVNULL)
    try:
        _wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        parent.send_signal(number)
        parent.wait(30)
        _wait_until(lambda: not any(map(_runs, workers)))
    finally:
        parent.kill()


def _wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.1)


def _runs(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("chosen", [None, "active"])
def test_waiting_threads_of_workers_sleep_unless_the_user_chose(chosen, monkeypatch):
    if chosen is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    get_reusable_executor().shutdown(wait=True)  # workers of earlier tests keep the environment of their start
    with _processes():
        policies = joblib.Parallel(n_jobs=2)(joblib.delayed(os.getenv)("OMP_WAIT_POLICY") for _ in range(2))
    assert policies == [chosen or "passive"] * 2
    assert os.getenv("OMP_WAIT_POLICY") == chosen
    get_reusable_executor().shutdown(wait=True)


@pytest.mark.skipif(not HAS_RAY, reason='needs Ray: pip install "agentgym[distributed]"')
def test_ray_gives_the_same(monkeypatch):
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    found = outcomes([1, 2, 3, -1], workers=2, ray="local")
    assert [outcome.value for outcome in found] == [1, 4, None, None]
    assert "worker process died twice" in found[3].error


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_stops_the_whole_map(workers):
    def stopped(task):
        raise Stopped(15, task, "runs/x")

    with pytest.raises(Stopped, match="signal 15"):
        list(map_tasks(stopped, [1, 2], workers=workers))


@pytest.mark.parametrize("workers", [0, -2, 1.5, True])
def test_numbers_of_workers_that_cannot_be_are_refused_before_work(workers):
    with pytest.raises(InvalidParameter, match="workers"):
        map_tasks(abs, [1], workers=workers)  # not at the first outcome


@pytest.mark.skipif(not HAS_RAY, reason='needs Ray: pip install "agentgym[distributed]"')
@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (None, "does not answer: .*refused"),  # nothing listens: no process of Ray's is started
        ("W gcs_client.cc: Unauthenticated: RPC error: InvalidAuthToken: Authentication token is missing\n"
         "REASON ConnectionError: Failed to connect", "Failed to connect.*token is missing.*RAY_AUTH_TOKEN"),
        ("REASON AuthenticationError: no token was found,\nset RAY_AUTH_TOKEN", "was found, set RAY_AUTH_TOKEN"),
        ("Segmentation fault", "cannot be used: Segmentation fault"),
        ("", "Ray ended with 1"),
        (subprocess.TimeoutExpired("python", 60, stderr=b"InvalidAuthToken: none"), "within 60 s.*RAY_AUTH_TOKEN"),
    ],
)  # fmt: skip
def test_a_ray_cluster_that_cannot_be_used_is_said(ended, said, monkeypatch):
    def run(command, **how):
        assert ended is not None
        if isinstance(ended, Exception):
            raise ended
        return subprocess.CompletedProcess(command, 1, "", ended)

    monkeypatch.setattr("ray.is_initialized", lambda: False)  # another test may have started Ray in this process
    monkeypatch.setattr("agentgym.parallel.subprocess.run", run)
    address = "127.0.0.1:1" if ended is None else "auto"
    with pytest.raises(AskError, match=said):
        map_tasks(abs, [1], ray=address)
