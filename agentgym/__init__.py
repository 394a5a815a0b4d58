"""agentgym: does this agent still work when the world is not the one it was trained in?"""

from importlib.metadata import version

from agentgym.catalog import register_environments
from agentgym.making import parallel_env

__all__ = ["parallel_env"]

__version__ = version("agentgym")

register_environments()
