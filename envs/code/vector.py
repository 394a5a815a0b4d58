"""The batched environments of code repair."""

from agentgym.envs.code.env import CodeRepairEnv, CodeRepairTableEnv, CodeTasksEnv
from agentgym.envs.text.vector import TextVectorEnv

__all__ = ["CodeRepairTableVectorEnv", "CodeRepairVectorEnv", "CodeTasksVectorEnv"]


class CodeRepairVectorEnv(TextVectorEnv):
    """A batch of programs, each in its own sandbox; also takes the arguments of
    :class:`agentgym.envs.code.env.CodeRepairEnv`.
    """  # fmt: skip

    single = CodeRepairEnv


class CodeRepairTableVectorEnv(TextVectorEnv):
    """A batch of programs to repair; also takes the arguments of
    :class:`agentgym.envs.code.env.CodeRepairTableEnv`.
    """  # fmt: skip

    single = CodeRepairTableEnv


class CodeTasksVectorEnv(TextVectorEnv):
    """A batch of tasks, each in its own sandbox; also takes the arguments of
    :class:`agentgym.envs.code.env.CodeTasksEnv`.
    """  # fmt: skip

    single = CodeTasksEnv
