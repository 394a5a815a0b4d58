"""What is kept on disk: a folder of tensors (safetensors), arrays (npz) and plain values (json), with a manifest.

A folder is written under a temporary name, every file is flushed to the disk, and then it is renamed: a reader
finds the whole folder or none. The manifest holds each file's size and SHA-256. Reading executes nothing: no
pickle is involved on either side.
"""

import hashlib
import io
import json
import os
import secrets
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from agentgym.errors import CorruptFile, NotWritable
from agentgym.runs.files import flush_folder, write_flushed

__all__ = ["Contents", "own_files", "read", "recover", "remove", "require_replaceable", "write"]

MANIFEST = "manifest.json"
OWN = (MANIFEST, "tensors.safetensors", "values.json", "arrays.npz")  # all that a folder of ours may consist of
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

    Files in an older one that are not ours stay in the folder.

    Args:
        folder: made where it is missing, with its parents; ``~`` is the home folder, a link leads to its target.
        contents: what it shall hold.

    Returns:
        The folder.

    Raises:
        NotWritable: there is a file of that name, or a folder that holds other things; or nothing can be written there.
        OSError: the disk is full; what stood there before is untouched.
    """
    place = require_replaceable(folder)
    fresh = _beside(place, "new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
    except OSError as error:
        raise NotWritable(f"{folder} cannot be written: {error.strerror} ({error.filename}).") from error
    try:
        _fill(fresh, contents)
        flush_folder(fresh)
        _replace(fresh, place)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return Path(folder)


def require_replaceable(folder: Path | str) -> Path:
    """The place of ``folder`` on the disk, where nothing stands, an empty folder, or one that :func:`write` wrote.

    Raises:
        NotWritable: something else stands there.
    """
    try:
        place = Path(folder).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, or the home of nobody
        raise NotWritable(f"{folder} cannot be written: {error}.") from error
    if not place.exists():
        return place
    if not place.is_dir():
        raise NotWritable(f"{folder} is a file, and what is saved is a folder. Choose another name.")
    with suppress(FileNotFoundError):  # a current folder that was removed
        if Path.cwd().is_relative_to(place):
            raise NotWritable(f"{folder} is, or holds, the current folder. Give the name of a folder in it.")
    names = sorted(name for name in os.listdir(place) if not name.startswith("."))  # file managers leave hidden ones
    if names and not _was_written(place):
        raise NotWritable(
            f"{folder} holds {names[0]!r}{' and more' if names[1:] else ''}, which agentgym did not save there. "
            "Choose another name, or empty the folder."
        )
    return place


def _was_written(folder: Path) -> bool:
    """Whether an agentgym wrote the folder, be it damaged since."""
    with suppress(CorruptFile):
        return bool(_manifest(folder))
    return own_files(folder) >= {"tensors.safetensors", "values.json"}


def own_files(folder: Path) -> set[str]:
    """Those of the files in ``folder`` that have a name which :func:`write` gives."""
    return {name for name in OWN if (folder / name).is_file()}


def remove(folder: Path) -> None:
    """Delete what :func:`write` wrote; the folder too, unless it holds something else."""
    for name in OWN:
        if (path := folder / name).is_file():
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


def _beside(folder: Path, suffix: str) -> Path:
    return folder.parent / f".{folder.name}.{secrets.token_hex(4)}.{suffix}"


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
    if not folder.exists():
        fresh.rename(folder)
        return flush_folder(folder.parent)
    old = _beside(folder, "old")
    try:
        folder.rename(old)
    except OSError as error:  # a mount point, for example
        raise NotWritable(f"{folder} cannot be replaced: {error.strerror}. Choose a folder in it.") from error
    try:
        fresh.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    flush_folder(folder.parent)
    for path in old.iterdir():
        if path.name not in OWN:
            path.rename(folder / path.name)
    remove(old)
    return None


def recover(folder: Path) -> None:
    """Put back what a write was about to replace when it was killed between its two renames."""
    for old in folder.glob(".*.old"):
        place = folder / old.name[1:].rsplit(".", 2)[0]
        if not place.exists() and old.is_dir() and own_files(old):
            old.rename(place)


def read(folder: Path | str) -> Contents:
    """Read a folder back after checking every file against the manifest.

    Raises:
        FileNotFoundError: there is no such folder.
        CorruptFile: a file is missing, truncated, altered, or the folder is not ours.
    """
    folder = Path(folder).expanduser()
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
    except (KeyError, ValueError, RecursionError, SafetensorError) as error:
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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{path} is damaged ({error}). {_ADVICE}") from error
    if unsafe := [name for name in files if Path(name).name != name]:
        raise CorruptFile(f"{path} names files outside its folder ({unsafe[0]!r}). {_ADVICE}")
    return dict(manifest)


def _checked(path: Path, entry: dict[str, Any]) -> bytes:
    try:
        found = path.stat()
    except OSError:
        raise CorruptFile(f"{path} is missing. {_ADVICE}") from None
    if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device might never end
        raise CorruptFile(f"{path} is no regular file. {_ADVICE}")
    if found.st_size != entry["bytes"]:
        raise CorruptFile(f"{path} has {found.st_size} bytes instead of {entry['bytes']}: it is truncated. {_ADVICE}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise CorruptFile(f"{path} was altered after it was written (its SHA-256 differs). {_ADVICE}")
    return data


def _arrays(data: bytes | None) -> dict[str, np.ndarray]:
    if data is None:
        return {}
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
