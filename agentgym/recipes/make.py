"""Make the dataset of a recipe and store it."""

from pathlib import Path

from agentgym.data.dataset import OfflineDataset
from agentgym.data.recipe import find_recipe
from agentgym.data.storage import load_dataset, require_writable, save_dataset
from agentgym.runs.locks import locked
from agentgym.runs.run import command_line

__all__ = ["make_dataset"]


def make_dataset(
    text: str, runs: Path | str = "runs", overwrite: bool = False, progress: bool = True
) -> tuple[OfflineDataset, bool]:
    """Make a recipe's dataset and write it to Minari's folder, unless it exists.

    Args:
        text: the recipe's name with settings.
        runs: folder of runs; behaviour policies are in its subfolder ``behaviours``. Missing ones are trained,
            which may take hours, and interrupted ones are resumed.
        overwrite: make it even if it exists.
        progress: show progress bars.

    Returns:
        The dataset, and whether it was newly made.

    Raises:
        UnknownId: no such recipe or setting.
        InvalidParameter: a setting is out of its range.
        MissingExtra: Minari is not installed.
        CorruptFile: the existing dataset is damaged or was not made by this recipe.
        RunInUse: another process is making it or training its behaviour policy.
        AskError: the folder is not writable, or holds files that are not part of a dataset.
    """
    recipe = find_recipe(text)
    if not overwrite and (there := _load(text)) is not None:
        return there, False
    folder = require_writable(recipe.dataset_id, overwrite)  # said before the work, not after it
    with locked(folder, command_line()):
        if not overwrite and (there := _load(text)) is not None:  # made by another process since
            return there, False
        save_dataset(recipe.make(Path(runs), progress), overwrite)
        return load_dataset(text), True


def _load(text: str) -> OfflineDataset | None:
    try:
        return load_dataset(text)
    except FileNotFoundError:
        return None
