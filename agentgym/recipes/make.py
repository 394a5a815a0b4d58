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
    """Make what a recipe stands for and write it into Minari's folder, unless it is there already.

    Args:
        text: the recipe's name with settings.
        runs: where the runs of behaviours are kept: in its folder ``behaviours``. They are trained where they are
            missing, which may take hours, and are gone on with where they were killed.
        overwrite: make it also where it is there already.
        progress: show progress bars.

    Returns:
        The dataset, and whether it was made now.

    Raises:
        UnknownId: no such recipe or setting.
        InvalidParameter: a setting is out of its range.
        MissingExtra: Minari is not installed.
        CorruptFile: a dataset of that name is there, and is damaged or was not made by this recipe.
        RunInUse: another process is making it, or training the behaviour that plays in it.
        AskError: nothing can be written there, or what would be deleted belongs to no dataset.
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
