"""agentgym: does this agent still work when the world is not the one it was trained in?

Importing it registers the environments and loads nothing else; ``__init__.pyi`` beside this file lists its names.
"""

from importlib.metadata import version

import lazy_loader

from agentgym.catalog import register_environments

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = version("agentgym")

register_environments()
