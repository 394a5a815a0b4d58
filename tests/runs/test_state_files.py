import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym.errors import CorruptFile, NotWritable
from agentgym.runs import state_files
from agentgym.runs.state_files import Contents


def contents() -> Contents:
    return Contents(
        tensors={"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)},
        arrays={"names": np.array(["a", "bc"]), "big": np.array([2**63], dtype=np.uint64)},
        values={"text": "a", "nested": [1, {"x": None}], "nan": float("nan")},
    )


def test_round_trip_is_exact(tmp_path):
    back = state_files.read(state_files.write(tmp_path / "c", contents()))
    assert torch.equal(back.tensors["weight"], contents().tensors["weight"])
    assert back.tensors["steps"].dtype == torch.int64
    assert back.arrays["names"].tolist() == ["a", "bc"]
    assert back.arrays["big"].dtype == np.uint64
    assert back.values["nested"] == [1, {"x": None}]
    assert np.isnan(back.values["nan"])


def test_writing_over_an_old_folder_leaves_the_new_one_and_nothing_else(tmp_path):
    state_files.write(tmp_path / "c", Contents(values={"n": 1}))
    state_files.write(tmp_path / "c", Contents(values={"n": 2}))
    assert state_files.read(tmp_path / "c").values == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("stray", ["notes.txt", ".DS_Store", "figures"])
def test_a_save_is_replaced_and_what_else_lies_in_it_stays(tmp_path, stray):
    state_files.write(tmp_path / "c", contents())
    kept = tmp_path / "c" / stray
    if stray == "figures":
        kept.mkdir()
        kept = kept / "one.csv"
    kept.write_text("a month of work")
    state_files.write(tmp_path / "c", Contents(values={"n": 2}))
    assert state_files.read(tmp_path / "c").arrays == {}
    assert kept.read_text() == "a month of work"
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("held", ["notes.txt", "figures", "manifest.json", "model.safetensors"])
def test_a_folder_that_is_not_ours_is_refused(tmp_path, held):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / held).write_text('{"name": "a web page"}')
    with pytest.raises(NotWritable, match="did not write"):
        state_files.write(tmp_path / "thesis", contents())
    assert (tmp_path / "thesis" / held).read_text() == '{"name": "a web page"}'
    assert [path.name for path in tmp_path.rglob("*")] == ["thesis", held]


def test_a_damaged_save_is_replaced(tmp_path):
    for damaged in ("manifest.json", "tensors.safetensors"):
        state_files.write(tmp_path / "c", contents())
        (tmp_path / "c" / damaged).write_text("{")
        state_files.write(tmp_path / "c", Contents(values={"n": 2}))
        assert state_files.read(tmp_path / "c").values == {"n": 2}


def test_a_file_is_not_replaced_and_an_empty_folder_is(tmp_path):
    (tmp_path / "file").write_text("a month of work")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotWritable):
            state_files.write(path, contents())
    assert (tmp_path / "file").read_text() == "a month of work"
    (tmp_path / "empty").mkdir()
    state_files.write(f"{tmp_path}/empty/", contents())
    state_files.read(tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_names_of_folders_as_they_are_typed(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (".", "..", "", tmp_path):
        with pytest.raises(NotWritable, match="current folder"):
            state_files.write(name, contents())
    state_files.write("~/agent", contents())
    assert state_files.read("~/agent").values["text"] == "a"
    assert (tmp_path / "home/agent/manifest.json").is_file()
    with pytest.raises(NotWritable):
        state_files.write("~nobody-of-this-name/agent", contents())
    assert list((tmp_path / "here").iterdir()) == []


def test_a_link_leads_to_its_target(tmp_path):
    state_files.write(tmp_path / "target", Contents(values={"n": 1}))
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("elsewhere")
    (tmp_path / "loop").symlink_to("loop")
    state_files.write(tmp_path / "link", Contents(values={"n": 2}))
    state_files.write(tmp_path / "dangling", Contents(values={"n": 3}))
    with pytest.raises(NotWritable):
        state_files.write(tmp_path / "loop", contents())
    assert (tmp_path / "link").is_symlink()
    assert state_files.read(tmp_path / "target").values == {"n": 2}
    assert state_files.read(tmp_path / "elsewhere").values == {"n": 3}


def test_a_write_killed_between_its_renames_is_put_back(tmp_path):
    state_files.write(tmp_path / "c", Contents(values={"n": 1}))
    (tmp_path / "c").rename(tmp_path / ".c.0123abcd.old")
    state_files.recover(tmp_path)
    assert state_files.read(tmp_path / "c").values == {"n": 1}


@pytest.mark.parametrize("name", ["manifest.json", "tensors.safetensors", "values.json", "arrays.npz"])
@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "dangling"])
@pytest.mark.timeout(60)
def test_what_is_no_file_is_not_read(tmp_path, name, kind):
    path = state_files.write(tmp_path / "c", contents()) / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "zero" else "nowhere")
    with pytest.raises(CorruptFile):
        state_files.read(tmp_path / "c")


def test_a_failed_write_leaves_the_old_folder(tmp_path, monkeypatch):
    state_files.write(tmp_path / "c", Contents(values={"n": 1}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        state_files.write(tmp_path / "c", Contents(values={"n": 2}))
    monkeypatch.undo()
    assert state_files.read(tmp_path / "c").values == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_noticed(tmp_path, data):
    """Truncate, flip a byte, remove or swap any file: a clear error, never other contents."""
    whole = state_files.write(tmp_path / "whole", contents())
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    names = sorted(path.name for path in folder.iterdir())
    path = folder / data.draw(st.sampled_from(names))
    before = path.read_bytes()
    kind = data.draw(st.sampled_from(["truncate", "flip", "remove", "swap"]))
    if kind == "truncate":
        path.write_bytes(before[: data.draw(st.integers(0, len(before) - 1))])
    elif kind == "flip":
        at = data.draw(st.integers(0, len(before) - 1))
        path.write_bytes(before[:at] + bytes([before[at] ^ (1 << data.draw(st.integers(0, 7)))]) + before[at + 1 :])
    elif kind == "remove":
        path.unlink()
    else:
        other = folder / data.draw(st.sampled_from([name for name in names if name != path.name]))
        path.write_bytes(other.read_bytes())
        other.write_bytes(before)
    try:
        back = state_files.read(folder)
    except CorruptFile:
        return
    # White space or the name's case in the manifest may change without changing what it says.
    assert path.name == "manifest.json"
    assert kind == "flip"
    assert torch.equal(back.tensors["weight"], contents().tensors["weight"])


def test_a_pickle_under_our_names_is_never_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    for name in ("tensors.safetensors", "values.json", "arrays.npz"):
        folder = state_files.write(tmp_path / "c", contents())
        data = pickle.dumps(Bomb())
        (folder / name).write_bytes(data)
        manifest = json.loads((folder / "manifest.json").read_text())
        import hashlib

        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(CorruptFile):
            state_files.read(folder)
        assert not (tmp_path / "exploded").exists()


def test_a_manifest_cannot_name_files_elsewhere(tmp_path):
    folder = state_files.write(tmp_path / "c", contents())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"bytes": 1, "sha256": "0"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptFile, match="outside its folder"):
        state_files.read(folder)


def test_what_is_not_there_or_not_ours(tmp_path):
    with pytest.raises(FileNotFoundError, match="no saved model"):
        state_files.read(tmp_path / "none")
    (tmp_path / "foreign").mkdir()
    with pytest.raises(CorruptFile, match="agentgym"):
        state_files.read(tmp_path / "foreign")
