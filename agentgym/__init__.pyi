"""The public names of ``agentgym``. Each is imported on first use."""

from .make import parallel_env as parallel_env
from .runs.run import RunConfig as RunConfig
from .runs.train import resume as resume
from .runs.train import train as train

__version__: str
