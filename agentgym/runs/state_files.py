"""The file format of saved agents and checkpoints: a folder of tensors, arrays and JSON values with a manifest.

A folder is written under a temporary name, flushed to the disk and then renamed, so a reader finds either the complete
folder or none. The manifest holds the size and SHA-256 of each file. Tensors are stored as safetensors and arrays as
npz; pickle is not used, so reading executes no code.
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
from agentgym.runs.files import FULL_DISK, flush_folder, write_flushed

__all__ = ["Contents", "own_files", "read", "recover", "remove", "require_replaceable", "write"]

MANIFEST = "manifest.json"
OWN = (MANIFEST, "tensors.safetensors", "values.json", "arrays.npz")  # all files that :func:`write` writes
FORMAT = 1


@dataclass
class Contents:
    """Contents of a folder.

    Attributes:
        tensors: tensors by name, which must not share memory.
        arrays: arrays by name, with numeric, boolean or fixed-width string dtypes (not object).
        values: JSON values.
    """

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def write(folder: Path | str, contents: Contents) -> Path:
    """Write ``contents`` to ``folder``. An existing folder is replaced only after the new one is complete on disk.

    Other files in an existing folder are kept.

    Args:
        folder: path of the folder, created with its parents if necessary; ``~`` and links are resolved.
        contents: contents to write.

    Returns:
        The path of the folder.

    Raises:
        NotWritable: the path is a file, is a folder with other contents, or is not writable.
        OSError: the disk is full; the existing folder is not affected.
    """
    place = require_replaceable(folder)
    fresh = _beside(place, "new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
    except OSError as error:
        if error.errno in FULL_DISK:
            raise
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
    """Resolve ``folder`` and check that it does not exist, is empty, or was written by :func:`write`.

    Raises:
        NotWritable: it holds something else.
    """
    try:
        place = Path(folder).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a loop of links, or an unknown home folder
        raise NotWritable(f"{folder} cannot be written: {error}.") from error
    if not place.exists():
        return place
    if not place.is_dir():
        raise NotWritable(f"{folder} is a file, but a folder is needed. Choose another name.")
    with suppress(FileNotFoundError):  # the working directory was removed
        if Path.cwd().is_relative_to(place):
            raise NotWritable(f"{folder} is or contains the current folder. Give the name of a folder in it.")
    names = sorted(name for name in os.listdir(place) if not name.startswith("."))  # file managers leave hidden ones
    if names and not _was_written(place):
        raise NotWritable(
            f"{folder} holds {names[0]!r}{' and more' if names[1:] else ''}, which agentgym did not write. "
            "Choose another name, or empty the folder."
        )
    return place


def _was_written(folder: Path) -> bool:
    """Whether agentgym wrote the folder, even if it is damaged."""
    with suppress(CorruptFile):
        return bool(_manifest(folder))
    return own_files(folder) >= {"tensors.safetensors", "values.json"}


def own_files(folder: Path) -> set[str]:
    """Names of the files in ``folder`` that :func:`write` uses."""
    return {name for name in OWN if (folder / name).is_file()}


def remove(folder: Path) -> None:
    """Delete the files of :func:`write`, and the folder unless it holds other files."""
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
    """Replace the old folder by the new one in two renames, because one cannot replace a folder with contents."""
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
    """Restore old folders of writes that were killed between their two renames."""
    for old in folder.glob(".*.old"):
        place = folder / old.name[1:].rsplit(".", 2)[0]
        if not place.exists() and old.is_dir() and own_files(old):
            old.rename(place)


def read(folder: Path | str) -> Contents:
    """Read a folder after checking every file against the manifest.

    Raises:
        FileNotFoundError: there is no such folder.
        CorruptFile: a file is missing, truncated or altered, or agentgym did not write the folder.
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
                "Install the version of agentgym that wrote it."
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
        raise CorruptFile(f"{path} is not a regular file. {_ADVICE}")
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
