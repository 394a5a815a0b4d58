"""Datasets on disk: Minari's format, and next to it a copy as memory-mapped arrays.

ROOT/agentgym/hopper/medium-v0/data/
    main_data.hdf5, metadata.json      files of Minari
    agentgym/                          one .npy file per array, written on first use

Minari reads single episodes, taking minutes for a million steps; the arrays load immediately. They are rebuilt when
the files of Minari change.
"""

import errno
import json
import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec

from agentgym import catalog
from agentgym.contracts.finite import is_finite
from agentgym.data.arrays import ARRAYS, check_single_arrays, read_arrays
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.faults import Finding, refuse
from agentgym.data.recipe import Recipe, find_recipe, is_recipe
from agentgym.data.recorded_env import recorded_world
from agentgym.errors import AskError, CorruptFile, InvalidParameter, MissingExtra, UnknownId
from agentgym.runs.files import write_file

__all__ = [
    "arrays_of",
    "description_of",
    "load_dataset",
    "local_names",
    "minari_dataset",
    "record_findings",
    "require_minari",
    "require_writable",
    "save_dataset",
]

OURS = "agentgym"  # key in Minari's metadata, and name of the folder of arrays
STAMP = "made-from.json"
DATA_FILES = (".hdf5", ".h5", ".arrow", ".parquet")


def load_dataset(name: str) -> OfflineDataset:
    """Load a dataset by its recipe (name and settings) or its Minari id.

    The arrays are memory-mapped. Their SHA-256 is checked first.

    Raises:
        MissingExtra: Minari is not installed.
        UnknownId: the name is neither a recipe's nor a Minari id.
        FileNotFoundError: there is no such dataset; the message says how to make it, or lists those that there are.
        CorruptFile: its files are damaged, or its data were altered.
        SpaceMismatch: observations or actions are not single arrays (Dict, Tuple or Text spaces).
        InvalidParameter: an episode's arrays do not fit together, or there is no step.
    """
    stored = minari_dataset(name)
    dataset = arrays_of(stored)
    refuse(stored.id, record_findings(dataset, stored.storage.metadata))
    return dataset


def arrays_of(stored: Any, anew: bool = False) -> OfflineDataset:
    """The arrays stored beside Minari's files; rebuilt if missing, damaged or out of date.

    Args:
        stored: as :func:`minari_dataset` gives it.
        anew: rebuild them in any case.

    Raises:
        as :func:`load_dataset`, except for altered data.
    """
    folder = Path(stored.storage.data_path)
    about: dict[str, Any] = {
        "observation_space": stored.observation_space, "action_space": stored.action_space,
        "description": description_of(stored.id, stored.storage.metadata),
    }  # fmt: skip
    check_single_arrays(stored.id, stored.observation_space, stored.action_space)
    stamp = _stamp(folder)
    kept = None if anew else _mapped(folder / OURS, stamp, about)
    if kept is not None:
        return kept
    dataset = OfflineDataset(**{**read_arrays(stored, stored.id), **about})
    try:
        _write_arrays(folder / OURS, dataset, stamp)
    except OSError as error:
        warnings.warn(
            f"The arrays of {stored.id} stay in memory and are made again the next time: they cannot be kept beside "
            f"its files ({error})", stacklevel=3,
        )  # fmt: skip
        return dataset
    return _mapped(folder / OURS, stamp, about) or dataset


def record_findings(dataset: OfflineDataset, metadata: Mapping[str, Any]) -> list[Finding]:
    """Compare the arrays with the counts and digests in their metadata."""
    counts = dataset.episodes, len(dataset)
    told = metadata.get("total_episodes"), metadata.get("total_steps")
    if counts != told:
        return [Finding("error", "lengths", f"it holds {counts[0]} episodes and {counts[1]} steps, its metadata say "
                        f"{told[0]} and {told[1]}")]  # fmt: skip
    ours = _ours(dataset.description.name, metadata)
    if ours.get("sha256") in (None, dataset.digest):
        return []
    digests, recorded = dataset.episode_digests, ours.get("episodes")
    if not isinstance(recorded, list) or len(recorded) != len(digests):
        recorded = digests  # older files lack the digests of single episodes
    altered = tuple(e for e, pair in enumerate(zip(digests, recorded, strict=True)) if pair[0] != pair[1])
    if altered and sorted(digests) == sorted(recorded):
        return [Finding("error", "hash", "its episodes are in another order than they were recorded in", altered)]
    return [Finding("error", "hash", f"its data were altered: SHA-256 {dataset.digest[:12]}..., recorded "
                    f"{str(ours['sha256'])[:12]}...", altered)]  # fmt: skip


def save_dataset(dataset: OfflineDataset, overwrite: bool = False) -> Path:
    """Write a dataset to Minari's folder, replacing one that this function wrote before.

    Args:
        dataset: the data.
        overwrite: also replace a damaged dataset or one written by another program.

    Returns:
        Its folder.

    Raises:
        MissingExtra: Minari is not installed.
        UnknownId: the name is no Minari id.
        AskError: as :func:`require_writable`.
    """
    minari = require_minari()
    description = dataset.description
    folder = require_writable(description.name, overwrite)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))  # the old dataset stays until then
    try:
        _write_all(making / "data", dataset, minari.__version__)
        _put(making / "data", folder / "data", making)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _put(new: Path, place: Path, aside: Path) -> None:
    """Rename a folder onto a place that may be taken, also by another process making the same data."""
    for attempt in range(10):
        with suppress(FileNotFoundError):
            place.rename(aside / f"old-{attempt}")
        try:
            new.rename(place)
            return
        except OSError as error:
            if attempt == 9 or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def require_writable(name: str, overwrite: bool = False) -> Path:
    """The folder to which :func:`save_dataset` writes; checked before any work is done.

    Raises:
        AskError: it holds another program's dataset or unrelated files, or is not writable.
    """
    folder = _folder(name)
    _require_replaceable(name, folder / "data", overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=".making-", dir=folder)).rmdir()
    except OSError as error:
        raise AskError(
            f"{folder} cannot be written to ({error.strerror}). Give another folder: MINARI_DATASETS_PATH=DIR."
        ) from error
    return folder


def _require_replaceable(name: str, data: Path, overwrite: bool) -> None:
    """Refuse to delete files that are not part of a dataset that we wrote.

    Raises:
        AskError: there is such a file.
    """
    # Nothing is there, or another process replaces it at this moment, or a file is in the way of the folder itself.
    with suppress(FileNotFoundError, NotADirectoryError):
        if not stat.S_ISDIR(data.lstat().st_mode):
            raise AskError(f"{data} is not a folder of ours. Move it away.")
        if strange := sorted(path.name for path in data.iterdir() if not _is_of_datasets(path)):
            raise AskError(
                f"{data} holds {', '.join(strange[:3])}, which belongs to no dataset and would be deleted. "
                "Move it away."
            )
        if not overwrite and not _is_ours(data / "metadata.json"):
            raise AskError(
                f"There is a dataset {name} that others made, or that is damaged. Choose another name, or replace it: "
                "overwrite=True (--overwrite)."
            )


def _is_ours(metadata: Path) -> bool:
    """Whether metadata say that this package wrote them.

    Raises:
        FileNotFoundError: there are none.
    """
    try:
        return OURS in json.loads(metadata.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (ValueError, OSError, TypeError):
        return False


def _is_of_datasets(path: Path) -> bool:
    """Whether a file is Minari's, ours, or a file manager's (such as .DS_Store)."""
    return (
        path.name in ("metadata.json", OURS)
        or path.suffix in DATA_FILES
        or path.name.startswith(".")
        or path.name.isdigit()
    )


def _write_all(folder: Path, dataset: OfflineDataset, version: str) -> None:
    """Write Minari's files and the arrays beside them."""
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    description = dataset.description
    folder.mkdir()

    def buffers() -> Iterator[Any]:
        for e in range(dataset.episodes):
            first, last = int(dataset.starts[e]), int(dataset.starts[e + 1])
            yield EpisodeBuffer(
                id=None,
                observations=dataset.observations[first + e : last + e + 1],
                actions=dataset.actions[first:last],
                rewards=dataset.rewards[first:last],
                terminations=dataset.terminations[first:last],
                truncations=dataset.truncations[first:last],
            )

    storage = MinariStorage.new(
        folder, dataset.observation_space, dataset.action_space, _spec(description), jpeg_encoding=False
    )
    about: dict[str, Any] = {
        "dataset_id": description.name,
        "minari_version": version,
        OURS: {
            "env": description.env,
            "env_kwargs": dict(description.env_kwargs),
            "perturbations": [dict(one) for one in description.perturbations],
            "record": dict(description.record),
            "sha256": dataset.digest,
            "episodes": dataset.episode_digests,
        },
    }
    for ours, theirs in (("random_return", "ref_min_score"), ("expert_return", "ref_max_score")):
        if getattr(description, ours) is not None:
            about[theirs] = float(getattr(description, ours))
    if "description" in description.record:
        about["description"] = description.record["description"]
    storage.update_metadata(about)
    storage.update_episodes(buffers())
    _write_arrays(folder / OURS, dataset, _stamp(folder))


def minari_dataset(name: str) -> Any:
    """Open a local dataset with Minari; nothing is downloaded.

    Raises:
        MissingExtra: Minari is not installed.
        UnknownId: the name is neither a recipe's nor a Minari id.
        FileNotFoundError: there is no such dataset; the message says how to make it, or lists those that there are.
        CorruptFile: its files are damaged.
    """
    if not is_recipe(name):
        return _stored(name)
    recipe = find_recipe(name)
    try:
        stored = _stored(recipe.dataset_id)
    except FileNotFoundError:
        raise FileNotFoundError(f"The data of {recipe.text} are not made yet. Make them: {recipe.command}") from None
    _check_made_by(recipe, stored.storage.metadata)
    return stored


def _stored(name: str) -> Any:
    minari, metadata = require_minari(), _folder(name) / "data" / "metadata.json"
    try:
        _check_metadata(json.loads(metadata.read_text(encoding="utf-8")))
        return minari.load_dataset(name, download=False)
    except FileNotFoundError:
        known = ", ".join(local_names()) or "none"
        raise FileNotFoundError(
            f"There is no dataset {name!r} on this machine. Made so far: {known}. Make one: agentgym data make --help. "
            f"One that Minari offers: minari download {name}"
        ) from None
    except MissingExtra:
        raise
    except ImportError as error:  # of the format Arrow
        raise MissingExtra("pyarrow", command='pip install "minari[arrow]"') from error
    except Exception as error:  # Minari raises whatever a damaged file leads it to
        raise CorruptFile(
            f"The dataset {name!r} cannot be read ({type(error).__name__}: {error}). Make or download it again."
        ) from error


def _check_metadata(metadata: Any) -> None:
    """Check what Minari assumes of its metadata.

    Raises:
        ValueError: an entry is missing or of the wrong type.
    """
    if not isinstance(metadata, dict) or not {"observation_space", "action_space"} <= metadata.keys():
        raise ValueError("it names no spaces, and its environment is not built to find them")
    for key in ("total_episodes", "total_steps"):
        if type(metadata.get(key)) is not int or not 0 <= metadata[key] < 2**40:
            raise ValueError(f"{key} is {metadata.get(key)!r}")
    if metadata["total_episodes"] > metadata["total_steps"]:
        raise ValueError(f"it counts {metadata['total_episodes']} episodes of {metadata['total_steps']} steps in all")


def _check_made_by(recipe: Recipe, metadata: Mapping[str, Any]) -> None:
    """Check that the dataset was made by this recipe.

    Raises:
        CorruptFile: it was made by another.
    """
    made_by = description_of(recipe.dataset_id, metadata).record.get("recipe")
    if made_by != recipe.text:
        raise CorruptFile(
            f"{recipe.dataset_id} was made by {made_by or 'something else'}, not by {recipe.text}. "
            f"Make it anew: {recipe.command} --overwrite"
        )


def local_names() -> list[str]:
    """Ids of the local datasets, including damaged ones; other files and folders are ignored."""
    root, found = _root(), []
    for folder, within, _ in os.walk(root):  # unreadable folders are skipped too
        if (Path(folder) / "data/metadata.json").is_file():
            found.append(Path(folder).relative_to(root).as_posix())
        within[:] = [name for name in within if name != "data" and not name.startswith(".")]
    return sorted(name for name in found if _is_id(name))


def _is_id(name: str) -> bool:
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(name)
    except (ValueError, TypeError):  # TypeError: it has no version
        return False
    return True


def _root() -> Path:
    """Minari's folder of datasets, created if missing.

    Raises:
        InvalidParameter: it cannot be created.
    """
    require_minari()
    from minari.storage.datasets_root_dir import get_dataset_path

    try:
        return Path(get_dataset_path())
    except OSError as error:
        raise InvalidParameter(
            f"The folder of datasets cannot be made ({error}). Give another: MINARI_DATASETS_PATH=DIR."
        ) from error


def _folder(name: str) -> Path:
    """Path of a dataset, whether or not it exists."""
    root = _root()
    if not _is_id(name):
        known = [*(entry.id for entry in catalog.entries("recipe")), *local_names()]
        hint = "See: agentgym list recipes; agentgym data list. Minari's names end in a version, -v0."
        raise UnknownId("recipe or dataset", name, known, hint)
    return root / name


def require_minari() -> Any:
    """Import Minari and h5py.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import h5py  # noqa: F401
        import minari
    except ImportError:
        raise MissingExtra("minari", "offline") from None
    return minari


def _spec(description: Description) -> EnvSpec | None:
    """The environment as Minari's EnvSpec. It is stored by name, so that reading the file runs no code."""
    import gymnasium

    if not description.env:
        return None
    spec = gymnasium.spec(description.env)
    if not isinstance(spec.entry_point, str):
        return None
    return EnvSpec(
        spec.id, spec.entry_point, max_episode_steps=spec.max_episode_steps,
        kwargs={**spec.kwargs, **description.env_kwargs},
    )  # fmt: skip


def description_of(name: str, metadata: Mapping[str, Any]) -> Description:
    """A dataset's metadata; for its environment see :func:`agentgym.data.recorded_env.recorded_world`.

    Raises:
        CorruptFile: an entry is not what it must be.
    """
    ours, references = _ours(name, metadata), [metadata.get(key) for key in ("ref_min_score", "ref_max_score")]
    try:
        env, kwargs = recorded_world({} if ours else metadata)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptFile(f"The metadata of {name} are damaged: of its environment {error!r}.") from error
    env, kwargs = ours.get("env", env), ours.get("env_kwargs", kwargs)
    perturbations, record = ours.get("perturbations", []), ours.get("record", {})
    kinds: list[tuple[Any, Any]] = [(env, str), (kwargs, dict), (perturbations, list), (record, dict)]
    if isinstance(perturbations, list):
        kinds += [(one, dict) for one in perturbations]
    kinds += [(one, float | int | None) for one in references]
    if wrong := [value for value, kind in kinds if not isinstance(value, kind) or isinstance(value, bool)]:
        raise CorruptFile(f"The metadata of {name} are damaged: {wrong[0]!r} stands where it cannot.")
    if not is_finite(references):
        raise CorruptFile(f"The metadata of {name} are damaged: its reference returns are {references}.")
    return Description(name, env, kwargs, tuple(perturbations), references[0], references[1], record)


def _ours(name: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Our own metadata; empty for datasets from other programs."""
    found = metadata.get(OURS, {})
    if not isinstance(found, dict):
        raise CorruptFile(f"The metadata of {name} are damaged: {OURS} is {found!r}.")
    return found


def _stamp(data: Path) -> dict[str, Any]:
    """Which files the arrays were made from."""
    files = (path for path in sorted(data.rglob("*")) if path.suffix in DATA_FILES and path.is_file())
    return {path.relative_to(data).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def _write_arrays(folder: Path, dataset: OfflineDataset, stamp: Mapping[str, Any]) -> None:
    """Write the arrays, then the stamp that makes them valid. Other files in the folder are kept."""
    folder.mkdir(exist_ok=True)
    (folder / STAMP).unlink(missing_ok=True)
    for name in ARRAYS:
        fresh = folder / f".{name}.{os.getpid()}.npy"  # a process that has mapped the old file can go on reading it
        np.save(fresh, np.ascontiguousarray(getattr(dataset, name)), allow_pickle=False)
        fresh.replace(folder / f"{name}.npy")
    write_file(folder / STAMP, json.dumps({"files": stamp, "sha256": dataset.digest}))


def _mapped(folder: Path, stamp: Mapping[str, Any], about: Mapping[str, Any]) -> OfflineDataset | None:
    """Memory-map the arrays if they belong to the present files and are unchanged; else None."""
    file = folder / STAMP
    if not file.is_file():
        return None
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or told.get("files") != stamp:
            return None  # made from other files, or by an older version
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in ARRAYS}
        dataset = OfflineDataset(**arrays, **about)
        if dataset.digest != told.get("sha256"):
            raise ValueError("its arrays are not those that were written")
    except (OSError, ValueError, TypeError, IndexError, EOFError) as error:
        warnings.warn(f"{folder} is damaged ({error}) and made again", stacklevel=4)
        return None
    return dataset
