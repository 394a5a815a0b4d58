"""What a command may use."""

from dataclasses import dataclass

from agentgym.contracts.settings import Range, check_settings

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Limits of a sandbox.

    Attributes:
        wall: seconds until a command is stopped.
        cpu: seconds of processor time of one process.
        memory: MiB, of all processes together where a control group can be had, otherwise of each.
        processes: number of processes at one time.
        file_size: MiB, of one file.
        disk: MiB, in the working folder, and as much again in /tmp. Counts as memory.
        output: bytes of a command's output that are kept, half from its start and half from its end. A command that
            writes ``FLOOD`` times as many is stopped.
    """

    wall: float = 30.0
    cpu: int = 20
    memory: int = 512
    processes: int = 64
    file_size: int = 16
    disk: int = 64
    output: int = 20_000

    def __post_init__(self) -> None:
        least = {"cpu": 1, "memory": 64, "processes": 4, "file_size": 1, "disk": 1, "output": 100}
        above = {"wall": Range(0, above=True)}
        check_settings(self, {**above, **{name: Range(low) for name, low in least.items()}}, "the sandbox's limits")


FLOOD = 64
