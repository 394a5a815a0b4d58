"""Studies on a Ray cluster of two nodes on this machine, one of which is killed on the way."""

import json
import threading
import time

import pytest

from agentgym.parallel import map_tasks
from agentgym.study.file import load_study
from agentgym.study.runner import run_study

ray = pytest.importorskip("ray", reason='needs Ray: pip install "agentgym[distributed]"')
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture
def two_nodes(monkeypatch):
    """A head with one CPU and a second node with one; this process is connected to them."""
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.shutdown()
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow  # a worker that dies is run again in a fast test of map_tasks
def test_tasks_of_a_node_that_dies_run_again_on_the_other(two_nodes, tmp_path, monkeypatch):
    cluster, second = two_nodes
    monkeypatch.chdir(tmp_path)
    home = ray.get_runtime_context().get_node_id()

    def where(task):
        import time
        from pathlib import Path

        import ray

        node = ray.get_runtime_context().get_node_id()
        Path(f"{task}-{node}").touch()  # in the folder of this process
        if node != home and not (tmp_path / "killed").exists():
            time.sleep(600)  # until its node is gone
        return task * task

    def kill():
        while not any(home not in path.name for path in tmp_path.iterdir()):
            time.sleep(0.1)
        (tmp_path / "killed").touch()
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    found = sorted(map_tasks(where, range(8), workers=-1, ray=cluster.address), key=lambda outcome: outcome.index)
    killer.join()
    assert [outcome.value for outcome in found] == [task * task for task in range(8)]
    assert not any(outcome.error for outcome in found)
    lost = [path.name.split("-")[0] for path in tmp_path.iterdir() if home not in path.name and "-" in path.name]
    assert lost
    assert all("died" in found[int(task)].note for task in lost)


@pytest.mark.slow
def test_a_study_on_a_cluster_that_loses_a_node_has_the_same_rows(two_nodes, small_file, tmp_path):
    cluster, second = two_nodes
    text = small_file.read_text().replace('"0-1"', '"0-2"').replace("steps = 128", "steps = 512")
    small_file.write_text(text)
    study = load_study(small_file)  # two agents, three seeds: six runs

    def kill():
        while not list((tmp_path / "cluster").glob("small/*/checkpoints/*")):
            time.sleep(0.1)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    cut = run_study(study, tmp_path / "cluster", workers=-1, ray=cluster.address, progress=False)
    killer.join()
    assert len([node for node in ray.nodes() if node["Alive"]]) == 1
    whole = run_study(study, tmp_path / "whole", progress=False)
    assert len(whole.rows.rows) == 6
    assert results(cut) == results(whole)


def results(made):
    """The rows without what may differ between any two runs: times, notes, the revision of a tree at work."""
    told = ("seconds", "note", "created", "git")
    return [json.dumps({name: value for name, value in row.items() if name not in told}) for row in made.rows.rows]
