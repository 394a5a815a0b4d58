"""agentgym: does this agent still work when the world is not the one it was trained in?"""

from importlib.metadata import version

from agentgym.catalog import register_environments

__version__ = version("agentgym")

register_environments()
