"""The store of checkpoints: whole ones only, whatever is damaged; rows written once."""

import hashlib
import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym.errors import CorruptFile
from agentgym.runs.checkpoints import Checkpoints
from agentgym.runs.state import Inventory, Item, Rows, pack, unpack

from .conftest import differing


class Ring:
    """A ring of numbers, as a replay buffer is."""

    def __init__(self, capacity):
        self.values, self.count = np.zeros(capacity), 0

    def add(self, value):
        self.values[self.count % len(self.values)] = value
        self.count += 1

    def inventory(self):
        def write(first, last, arrays):
            self.values[np.arange(first, last) % len(self.values)] = arrays["values"]

        rows = Rows(
            "ring", len(self.values), lambda: self.count,
            lambda a, b: {"values": self.values[np.arange(a, b) % len(self.values)]}, write,
        )  # fmt: skip
        items = [
            Item("count", lambda: self.count, lambda count: setattr(self, "count", count)),
            Item("tensor", lambda: torch.tensor([float(self.count)]), lambda _: None),
        ]
        return Inventory(items, [rows])


def fill(folder, marks, capacity=7, keep=2):
    """Add 1, 2, 3, ... and make a checkpoint at each mark."""
    ring, store = Ring(capacity), Checkpoints(folder, keep)
    for mark in marks:
        while ring.count < mark:
            ring.add(ring.count + 1)
        store.write(mark, ring.inventory())
    return ring


def read_back(folder, capacity=7):
    ring, saved = Ring(capacity), Checkpoints(folder).newest()
    ring.inventory().write(saved.state, "before")
    saved.restore_rows(ring.inventory().rows)
    return saved.step, ring


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(0, 12), min_size=1, max_size=8), capacity=st.integers(1, 9))
def test_any_sequence_of_checkpoints_gives_the_ring_back(tmp_path, steps, capacity):
    shutil.rmtree(tmp_path / "c", ignore_errors=True)
    ring = fill(tmp_path / "c", np.cumsum(steps).tolist(), capacity)
    _, back = read_back(tmp_path / "c", capacity)
    assert back.count == ring.count
    assert (back.values == ring.values).all()


def test_old_checkpoints_and_dead_rows_are_dropped_and_new_rows_written_once(tmp_path):
    fill(tmp_path, [5, 10, 15, 20, 25], capacity=7)
    assert [path.name for path in sorted(tmp_path.glob("0*"))] == ["0000000020", "0000000025"]
    kept = sorted(path.name for path in (tmp_path / "rows").iterdir())
    assert kept == [f"ring-{a:012d}-{b:012d}" for a, b in [(10, 15), (15, 20), (20, 25)]]


def test_what_a_killed_write_left_is_dropped(tmp_path):
    fill(tmp_path, [5])
    (tmp_path / ".0000000010.77.new").mkdir()
    (tmp_path / "rows" / "ring-000000000005-000000000010").mkdir()
    store = Checkpoints(tmp_path)
    ring = read_back(tmp_path)[1]
    store.newest()
    ring.add(6.0)
    store.write(6, ring.inventory())
    names = {path.name for path in [*tmp_path.iterdir(), *(tmp_path / "rows").iterdir()]}
    assert names == {
        "0000000005",
        "0000000006",
        "rows",
        "ring-000000000000-000000000005",
        "ring-000000000005-000000000006",
    }


def strays(folder):
    """What people, editors and file managers leave; every path is to be there ever after."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (".DS_Store", "notes.txt~", "0000000003", "7", ".0000000009.77.new.swp", "0000000005.zip"):
        (folder / name).write_text("mine")
    for name in ("0000000005 copy", "figures", ".git", "12", "0000000002"):
        (folder / name).mkdir()
        (folder / name / "mine.txt").write_text("mine")
    (folder / "latest").symlink_to("0000000005")
    (folder / "0000000004").symlink_to("nowhere")
    (folder / "ring-000000000000-000000000001").symlink_to("figures")
    return sorted(folder.iterdir())


def test_strays_are_neither_read_nor_deleted(tmp_path):
    fill(tmp_path / "c", [5], capacity=3)
    left = [*strays(tmp_path / "c"), *strays(tmp_path / "c/rows")]
    for folder in ((tmp_path / "c/0000000005"), next((tmp_path / "c/rows").glob("ring-*5"))):
        (folder / ".DS_Store").write_text("mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Checkpoints(tmp_path / "c").steps() == [5]
        store, ring = Checkpoints(tmp_path / "c"), read_back(tmp_path / "c", capacity=3)[1]
        store.newest()
        for mark in (10, 15, 20):
            while ring.count < mark:
                ring.add(ring.count + 1)
            store.write(mark, ring.inventory())
        assert store.steps() == [15, 20]
        assert read_back(tmp_path / "c", capacity=3)[1].values.tolist() == ring.values.tolist()
        store.clear()
    assert store.steps() == []
    assert [path for path in left if not path.is_symlink() and not path.exists()] == []
    assert (tmp_path / "c/0000000005/.DS_Store").read_text() == "mine"
    assert (tmp_path / "c/0000000002/mine.txt").read_text() == "mine"


def test_without_strays_nothing_is_left(tmp_path):
    fill(tmp_path / "c", [5, 10, 15])
    Checkpoints(tmp_path / "c").clear()
    assert not (tmp_path / "c").exists()


def test_a_checkpoint_killed_while_it_was_replaced_is_put_back(tmp_path):
    fill(tmp_path, [5, 10])
    (tmp_path / "0000000010").rename(tmp_path / ".0000000010.abcd.old")
    assert read_back(tmp_path)[0] == 10


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_error_or_the_checkpoint_before_never_other_values(tmp_path, data):
    """Truncate, flip a byte, remove, or swap any two files or folders."""
    good = tmp_path / "good"
    if not good.exists():
        fill(good, [5, 10], capacity=20)
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    folders = sorted([*folder.glob("0*"), *folder.glob("rows/*")])
    kind = data.draw(st.sampled_from(["truncate", "flip", "remove", "swap files", "swap folders"]))
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    if kind == "truncate":
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    elif kind == "flip":
        at = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(content[:at] + bytes([content[at] ^ (1 << data.draw(st.integers(0, 7)))]) + content[at + 1 :])
    elif kind == "remove":
        path.unlink()
    elif kind == "swap files":
        other = data.draw(st.sampled_from(files))
        swapped = other.read_bytes()
        other.write_bytes(content)
        path.write_bytes(swapped)
    else:
        one, other = data.draw(st.sampled_from(folders)), data.draw(st.sampled_from(folders))
        one.rename(folder / "aside")
        if other.exists():
            other.rename(one)
        (folder / "aside").rename(other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            step, ring = read_back(folder, capacity=20)
        except CorruptFile:
            return
    assert step in (5, 10)
    assert ring.count == step
    assert ring.values[:step].tolist() == list(range(1, step + 1))
    assert (ring.values[step:] == 0).all()


def test_a_hostile_pickle_in_a_checkpoint_is_not_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    fill(tmp_path / "c", [5])
    for path in [path for path in (tmp_path / "c").rglob("*") if path.is_file() and path.name != "manifest.json"]:
        content = path.read_bytes()
        manifest = path.with_name("manifest.json")
        entries = json.loads(manifest.read_text())
        bomb = pickle.dumps(Bomb())
        path.write_bytes(bomb)
        forged = {"bytes": len(bomb), "sha256": hashlib.sha256(bomb).hexdigest()}
        manifest.write_text(json.dumps({**entries, "files": {**entries["files"], path.name: forged}}))
        with pytest.warns(UserWarning, match="damaged"), pytest.raises(CorruptFile):
            Checkpoints(tmp_path / "c").newest()
        path.write_bytes(content)
        manifest.write_text(json.dumps(entries))
    assert not (tmp_path / "exploded").exists()


def test_nested_state_comes_back_with_its_types():
    state = {
        "a": {"tensor": torch.tensor(1.5), "array": np.arange(3, dtype=np.int8), "scalar": np.float32(0.1)},
        "b": [None, True, 2**80, -0.0, "text", [np.int64(3)]],
    }
    assert differing(state, unpack(pack(state))) == []
    with pytest.raises(TypeError, match="b/0"):
        pack({"b": [object()]})
