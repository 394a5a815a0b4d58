"""Loading of learned controls and players."""

from pathlib import Path
from typing import Any

from agentgym import catalog

__all__ = ["load_policy"]


def load_policy(folder: str) -> Any:
    """Load the agent in a run's folder, or in the folder of a saved agent.

    Raises:
        FileNotFoundError, CorruptFile: there is none, or it is damaged.
    """
    final = Path(folder) / "final"
    loading: Any = catalog.resolve("agentgym.agents.common.saving:load_agent")
    return loading(final if final.is_dir() else Path(folder))
