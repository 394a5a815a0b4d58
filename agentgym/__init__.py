"""agentgym: robust environments, agents and robustness suites for reinforcement learning.

Importing the package registers its environments with Gymnasium and loads nothing else. ``__init__.pyi`` lists the
public names.
"""

from importlib.metadata import version

import lazy_loader

from agentgym.catalog import register_environments

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = version("agentgym")

register_environments()
