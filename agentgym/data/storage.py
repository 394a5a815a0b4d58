"""Datasets on disk: Minari's format, so that its tools read them, and beside it the arrays as they lie in memory.

ROOT/agentgym/hopper/medium-v0/data/
    main_data.hdf5, metadata.json      Minari's
    agentgym/                          one .npy file an array, memory-mapped when read; made at the first reading

Minari reads an episode at a time, which takes minutes for a million steps; the arrays are there at once. They are made
again when Minari's files have changed.
"""

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec

from agentgym import catalog
from agentgym.data.arrays import ARRAYS, read_arrays
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.recipe import Recipe, find_recipe, is_recipe
from agentgym.errors import CorruptFile, MissingExtra, UnknownId
from agentgym.files import write_file

__all__ = [
    "description_of",
    "load_dataset",
    "local_names",
    "minari_dataset",
    "recorded_digest",
    "require_minari",
    "save_dataset",
]

OURS = "agentgym"  # key in Minari's metadata, and name of the folder of arrays
STAMP = "made-from.json"


def load_dataset(name: str) -> OfflineDataset:
    """A dataset by the name of its recipe, with settings, or by its Minari id.

    The arrays are memory-mapped: what is not looked at is not read.

    Raises:
        MissingExtra: Minari is not installed.
        UnknownId: the name is neither a recipe's nor a Minari id.
        FileNotFoundError: there is no such dataset; the message says how to make it, or lists those that there are.
        CorruptFile: its files are damaged.
        InvalidParameter: observations or actions are not single arrays (Dict, Tuple or Text spaces), an episode's
            arrays do not fit together, or there is no step.
    """
    stored = minari_dataset(name)
    name = stored.id
    folder = Path(stored.storage.data_path)
    arrays = _mapped(folder / OURS, _stamp(folder))
    if arrays is None:
        _write_arrays(folder / OURS, read_arrays(stored, name), _stamp(folder))
        arrays = _mapped(folder / OURS, _stamp(folder))
        assert arrays is not None
    description = description_of(name, stored.storage.metadata)
    return OfflineDataset(**arrays, observation_space=stored.observation_space, action_space=stored.action_space,
                          description=description)  # fmt: skip


def save_dataset(dataset: OfflineDataset) -> Path:
    """Write a dataset under its name into Minari's folder; one that is there is replaced.

    Returns:
        Its folder.

    Raises:
        MissingExtra: Minari is not installed.
        UnknownId: the name is no Minari id.
    """
    minari = require_minari()
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    description = dataset.description
    folder = _folder(description.name)
    making = folder / ".making"  # what is there already stays until the new one is whole
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)

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
        making, dataset.observation_space, dataset.action_space, _spec(description), jpeg_encoding=False
    )
    about: dict[str, Any] = {
        "dataset_id": description.name,
        "minari_version": minari.__version__,
        OURS: {
            "env": description.env,
            "env_kwargs": dict(description.env_kwargs),
            "perturbations": [dict(one) for one in description.perturbations],
            "record": dict(description.record),
            "sha256": dataset.digest,
        },
    }
    for ours, theirs in (("random_return", "ref_min_score"), ("expert_return", "ref_max_score")):
        if getattr(description, ours) is not None:
            about[theirs] = float(getattr(description, ours))
    if "description" in description.record:
        about["description"] = description.record["description"]
    storage.update_metadata(about)
    storage.update_episodes(buffers())
    _write_arrays(making / OURS, {name: getattr(dataset, name) for name in ARRAYS}, _stamp(making))
    shutil.rmtree(folder / "data", ignore_errors=True)
    making.rename(folder / "data")
    return folder


def minari_dataset(name: str) -> Any:
    """Minari's own view of a dataset that is on this machine; nothing is downloaded.

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
        if not {"observation_space", "action_space"} <= json.loads(metadata.read_text(encoding="utf-8")).keys():
            raise ValueError("it names no spaces, and its environment is not built to find them")
        return minari.load_dataset(name, download=False)
    except FileNotFoundError:
        known = ", ".join(local_names()) or "none"
        raise FileNotFoundError(
            f"There is no dataset {name!r} on this machine. Made so far: {known}. Make one: agentgym data make --help. "
            f"One that Minari offers: minari download {name}"
        ) from None
    except (ValueError, OSError, KeyError, AssertionError) as error:
        raise CorruptFile(f"The dataset {name!r} cannot be read ({error}). Make or download it again.") from error


def _check_made_by(recipe: Recipe, metadata: Mapping[str, Any]) -> None:
    """The dataset of that name is this recipe's.

    Raises:
        CorruptFile: it is another's.
    """
    made_by = description_of(recipe.dataset_id, metadata).record.get("recipe")
    if made_by != recipe.text:
        raise CorruptFile(
            f"{recipe.dataset_id} was made by {made_by or 'something else'}, not by {recipe.text}. "
            f"Make it anew: {recipe.command} --overwrite"
        )


def local_names() -> list[str]:
    """Ids of the datasets on this machine."""
    return sorted(require_minari().list_local_datasets())


def _folder(name: str) -> Path:
    """Where the dataset is, or would be."""
    require_minari()
    from minari.dataset.minari_dataset import parse_dataset_id
    from minari.storage.datasets_root_dir import get_dataset_path

    try:
        parse_dataset_id(name)
    except (ValueError, TypeError):  # TypeError: it has no version
        known = [*(entry.id for entry in catalog.entries("recipe")), *local_names()]
        hint = "See: agentgym list recipes; agentgym data list. Minari's names end in a version, -v0."
        raise UnknownId("recipe or dataset", name, known, hint) from None
    return Path(get_dataset_path(name))


def require_minari() -> Any:
    """Minari, with what its files need.

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
    """The environment as Minari keeps it: by name, so that reading the file runs nothing."""
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
    """What a dataset's metadata say; of an environment only its id is taken, to be looked up in the registry here.

    A specification may also name any function of any module to build the environment with: it is never called.

    Raises:
        CorruptFile: an entry is not what it must be.
    """
    ours, references = _ours(name, metadata), [metadata.get(key) for key in ("ref_min_score", "ref_max_score")]
    spec = json.loads(metadata["env_spec"]) if "env_spec" in metadata and not ours else {}
    env = ours.get("env", spec.get("id", ""))
    kwargs = ours.get("env_kwargs", spec.get("kwargs") or {})
    perturbations, record = ours.get("perturbations", []), ours.get("record", {})
    kinds: list[tuple[Any, Any]] = [(env, str), (kwargs, dict), (perturbations, list), (record, dict)]
    kinds += [(one, dict) for one in perturbations] + [(one, float | int | None) for one in references]
    if wrong := [value for value, kind in kinds if not isinstance(value, kind)]:
        raise CorruptFile(f"The metadata of {name} are damaged: {wrong[0]!r} stands where it cannot.")
    return Description(name, env, kwargs, tuple(perturbations), references[0], references[1], record)


def _ours(name: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What we wrote; empty for datasets of others."""
    found = metadata.get(OURS, {})
    if not isinstance(found, dict):
        raise CorruptFile(f"The metadata of {name} are damaged: {OURS} is {found!r}.")
    return found


def recorded_digest(name: str, metadata: Mapping[str, Any]) -> str | None:
    """The SHA-256 that was written with the data; None for datasets of others."""
    found = _ours(name, metadata).get("sha256")
    return None if found is None else str(found)


def _stamp(data: Path) -> dict[str, Any]:
    """Which files the arrays were made from."""
    found = {}
    for path in sorted(data.iterdir()):
        if path.is_file() and path.name != "metadata.json":
            found[path.name] = [path.stat().st_size, path.stat().st_mtime_ns]
    return found


def _write_arrays(folder: Path, arrays: Mapping[str, np.ndarray], stamp: Mapping[str, Any]) -> None:
    """The stamp comes last: without it the arrays do not count."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(arrays[name]), allow_pickle=False)
    write_file(folder / STAMP, json.dumps(dict(stamp)))


def _mapped(folder: Path, stamp: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The arrays, if they are those of the files there are now."""
    file = folder / STAMP
    if not file.is_file() or json.loads(file.read_text(encoding="utf-8")) != dict(stamp):
        return None
    try:
        return {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in ARRAYS}
    except (OSError, ValueError) as error:
        warnings.warn(f"{folder} is damaged ({error}) and made again", stacklevel=3)
        return None
