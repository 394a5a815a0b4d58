"""What is kept on disk: a folder of tensors (safetensors), arrays (npz) and plain values (json), with a manifest.

A folder is written under a temporary name, every file is flushed to the disk, and then it is renamed: a reader
finds the whole folder or none. The manifest holds each file's size and SHA-256. Reading executes nothing: no
pickle is involved on either side.
"""

import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from agentgym.errors import CorruptFile
from agentgym.files import flush_folder, write_flushed

__all__ = ["Contents", "read", "write"]

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass
class Contents:
    """What one folder holds.

    Attributes:
        tensors: by name; none may be a view that shares another's memory.
        arrays: by name; numeric, boolean or fixed-width string dtypes (never object).
        values: anything JSON can hold.
    """

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def write(folder: Path | str, contents: Contents) -> Path:
    """Write ``contents`` as ``folder``, replacing an older one only once the new one is whole on disk.

    Raises:
        OSError: the disk is full or not writable; what stood there before is untouched.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.parent / f".{folder.name}.{os.getpid()}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        _fill(fresh, contents)
        flush_folder(fresh)
        _replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return folder


def _fill(folder: Path, contents: Contents) -> None:
    manifest: dict[str, Any] = {"format": FORMAT, "files": {}}

    def put(name: str, data: bytes) -> None:
        write_flushed(folder / name, data)
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in contents.tensors.items()}
    put("tensors.safetensors", save_tensors(tensors))
    put("values.json", json.dumps(contents.values, indent=1, allow_nan=True).encode())
    if contents.arrays:
        put("arrays.npz", _npz(contents.arrays))
    write_flushed(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _replace(fresh: Path, folder: Path) -> None:
    """Put the fresh folder in the old one's place; a folder cannot be renamed over a filled one in one call."""
    old = folder.parent / f".{folder.name}.{os.getpid()}.old"
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    flush_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def read(folder: Path | str) -> Contents:
    """Read a folder back after checking every file against the manifest.

    Raises:
        FileNotFoundError: there is no such folder.
        CorruptFile: a file is missing, truncated, altered, or the folder is not ours.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no saved model or checkpoint at {folder}")
    manifest = _manifest(folder)
    data = {name: _checked(folder / name, entry) for name, entry in manifest["files"].items()}
    try:
        return Contents(
            tensors=load_tensors(data["tensors.safetensors"]),
            arrays=_arrays(data.get("arrays.npz")),
            values=json.loads(data["values.json"]),
        )
    except (KeyError, ValueError, SafetensorError) as error:
        raise CorruptFile(f"{folder} does not hold what its manifest says ({error}). {_ADVICE}") from error


_ADVICE = "Use an earlier checkpoint, or train again."


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CorruptFile(f"{folder} has no {MANIFEST}: it was not written by agentgym, or only in part. {_ADVICE}")
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["format"] != FORMAT:
            raise CorruptFile(
                f"{folder} has format {manifest['format']!r}; this version reads {FORMAT}. "
                "Install the agentgym that wrote it."
            )
        files = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path} is damaged ({error}). {_ADVICE}") from error
    if unsafe := [name for name in files if Path(name).name != name]:
        raise CorruptFile(f"{path} names files outside its folder ({unsafe[0]!r}). {_ADVICE}")
    return dict(manifest)


def _checked(path: Path, entry: dict[str, Any]) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CorruptFile(f"{path} is missing. {_ADVICE}") from None
    if len(data) != entry["bytes"]:
        raise CorruptFile(f"{path} has {len(data)} bytes instead of {entry['bytes']}: it is truncated. {_ADVICE}")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise CorruptFile(f"{path} was altered after it was written (its SHA-256 differs). {_ADVICE}")
    return data


def _arrays(data: bytes | None) -> dict[str, np.ndarray]:
    if data is None:
        return {}
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
