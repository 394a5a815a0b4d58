import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym import checkpoint
from agentgym.checkpoint import Contents
from agentgym.errors import CorruptFile


def contents() -> Contents:
    return Contents(
        tensors={"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)},
        arrays={"names": np.array(["a", "bc"]), "big": np.array([2**63], dtype=np.uint64)},
        values={"text": "a", "nested": [1, {"x": None}], "nan": float("nan")},
    )


def test_round_trip_is_exact(tmp_path):
    back = checkpoint.read(checkpoint.write(tmp_path / "c", contents()))
    assert torch.equal(back.tensors["weight"], contents().tensors["weight"])
    assert back.tensors["steps"].dtype == torch.int64
    assert back.arrays["names"].tolist() == ["a", "bc"]
    assert back.arrays["big"].dtype == np.uint64
    assert back.values["nested"] == [1, {"x": None}]
    assert np.isnan(back.values["nan"])


def test_writing_over_an_old_folder_leaves_the_new_one_and_nothing_else(tmp_path):
    checkpoint.write(tmp_path / "c", Contents(values={"n": 1}))
    checkpoint.write(tmp_path / "c", Contents(values={"n": 2}))
    assert checkpoint.read(tmp_path / "c").values == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_failed_write_leaves_the_old_folder(tmp_path, monkeypatch):
    checkpoint.write(tmp_path / "c", Contents(values={"n": 1}))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(tmp_path / "c", Contents(values={"n": 2}))
    monkeypatch.undo()
    assert checkpoint.read(tmp_path / "c").values == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_noticed(tmp_path, data):
    """Truncate, flip a byte, remove or swap any file: a clear error, never other contents."""
    whole = checkpoint.write(tmp_path / "whole", contents())
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
        back = checkpoint.read(folder)
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
        folder = checkpoint.write(tmp_path / "c", contents())
        data = pickle.dumps(Bomb())
        (folder / name).write_bytes(data)
        manifest = json.loads((folder / "manifest.json").read_text())
        import hashlib

        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(CorruptFile):
            checkpoint.read(folder)
        assert not (tmp_path / "exploded").exists()


def test_a_manifest_cannot_name_files_elsewhere(tmp_path):
    folder = checkpoint.write(tmp_path / "c", contents())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"bytes": 1, "sha256": "0"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptFile, match="outside its folder"):
        checkpoint.read(folder)


def test_what_is_not_there_or_not_ours(tmp_path):
    with pytest.raises(FileNotFoundError, match="no saved model"):
        checkpoint.read(tmp_path / "none")
    (tmp_path / "foreign").mkdir()
    with pytest.raises(CorruptFile, match="agentgym"):
        checkpoint.read(tmp_path / "foreign")
