"""The names that ``from agentgym import ...`` finds; each is imported when it is first used."""

from .making import parallel_env as parallel_env
from .runs import RunConfig as RunConfig
from .training import resume as resume
from .training import train as train

__version__: str
