"""The rules of code repair by shell commands."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agentgym.contracts.settings import Range, check_settings
from agentgym.envs.code.sandbox import Limits, level_of
from agentgym.envs.code.shell.commands import CommandWorld
from agentgym.envs.code.shell.grader import Verdict, grade
from agentgym.envs.code.shell.tasks import ShellTask, draw_task, repairs
from agentgym.envs.text.presets import sized
from agentgym.errors import UnknownId
from agentgym.seeding import stream

__all__ = ["SIZES", "ShellWorld"]


@dataclass(frozen=True)
class Size:
    """Size of the tasks.

    Attributes:
        faults: number of faults, each in another function.
        hidden: share of the failing tests that the agent does not see.
        cost: what a turn costs of the reward of 1.
        max_turns: commands after which an episode is truncated.
        misleading: of each fault, the least share of the tests it fails whose failure names another function; above 0
            only faults count of which this is known.
    """

    faults: int
    hidden: float
    cost: float
    max_turns: int
    misleading: float = 0.0

    def check(self) -> None:
        """Check the values.

        Raises:
            InvalidParameter: one is out of range.
        """
        ranges = {
            "faults": Range(1, 4), "hidden": Range(0, 1), "cost": Range(0, 1), "max_turns": Range(1, 10_000),
            "misleading": Range(0, 1),
        }  # fmt: skip
        check_settings(self, ranges, "the size of code repair")


SIZES = {
    "small": Size(faults=1, hidden=0.0, cost=0.01, max_turns=30),
    "medium": Size(faults=2, hidden=0.3, cost=0.01, max_turns=50),
    "large": Size(faults=4, hidden=0.5, cost=0.01, max_turns=80),
}


class ShellWorld(CommandWorld):
    """Implements :class:`agentgym.envs.code.env.CodeRepairEnv`, whose docstring is the manual.

    Args:
        size: a name of :data:`SIZES`.
        split: "train", "seen" or "unseen".
        operators: "known", or "new": faults of kinds that are absent from training.
        level: of the sandbox.
        dials: fields of the size to override.

    Raises:
        UnknownId: no such size, split, operators or level.
        InvalidParameter: a dial is out of range.
        SandboxUnavailable: commands cannot be isolated on this machine.
    """

    instructions = (
        "Each turn is one bash command in a fresh shell; the folder and exported variables last. python3 -m unittest "
        "runs the tests. There is no network. The command submit ends the task."
    )

    def __init__(
        self, size: str = "small", split: str = "train", operators: str = "known", level: str = "auto", **dials: Any
    ) -> None:
        super().__init__(split)
        self.size: Size = sized(SIZES, "size of code repair", size, dials)
        if operators not in ("known", "new"):
            raise UnknownId("kind of operators", str(operators), ("known", "new"))
        self.operators = operators
        self.level = level_of(level)
        self.max_turns, self.cost = self.size.max_turns, self.size.cost
        self.max_command_length = 4000
        self.limits = Limits(wall=20.0, cpu=15, memory=256, processes=32, file_size=4, disk=16, output=4000)
        self.max_observation_length = 5000
        self.max_observation_words = 5000
        self.max_command_words = 2000

    @property
    def dials(self) -> Mapping[str, Any]:
        """The size, see :class:`Size`."""
        return asdict(self.size)

    @property
    def fingerprint(self) -> str:
        """Size, split and operators."""
        return repr((self.size, self.split, self.operators))

    def begin(self, seed: int, episode: int) -> str:
        """Draw a task, start a fresh sandbox, and return the statement and the files."""
        draw = stream(seed, "code repair by shell", self.split, self.operators, episode)
        size, new = self.size, self.operators == "new"
        self.of: ShellTask = draw_task(draw, self.split, size.faults, new, size.hidden, size.misleading)
        self.task, self.task_kind = self.of.statement, self.of.faults[0].operator
        self._fresh(self.of.files)
        files = "\n".join(sorted(self.of.files))
        return f"{self.task}\n{self.instructions}\nFiles in /work:\n{files}"

    def graded(self) -> Verdict:
        """Grade the working folder as it is; the episode goes on."""
        files, odd = self.session.get()
        tests = [*self.of.failing, *self.of.passing]
        return grade(self.of.origin, files, tests, odd, self.of.files, self.level)

    def commands(self) -> list[str]:
        """Some commands of the many that are possible: to look around, to run the tests, to submit."""
        if self._over:
            return []
        looks = [f"cat {path}" for path in sorted(self.of.files) if path.endswith(".py")]
        return ["ls -R", "python3 -m unittest", *looks, "submit"]

    def plan(self) -> list[str]:
        """One command a fault, and ``submit``; what the agent has changed meanwhile is first undone."""
        if self._over:
            return []
        files, _ = self.session.get()
        modules = self.of.origin.modules
        if all(files.get(path) == self.of.origin.files[path] for path in modules):
            return ["submit"]
        changed = [path for path in modules if files.get(path) != self.of.files[path]]
        commands = [_written(path, self.of.origin.files[path]) for path in changed]
        return [*commands, *repairs(self.of, set(changed)), "submit"]

    def scan(self) -> list[str]:
        """Files in the sandbox that hold a line of the answer, outside of the agent's own. There must be none.

        It looks for the original lines in all that can be read below the interpreter's folders, the temporary folders
        and the working folder, and for files of the repository's names in the whole system.
        """
        found = []
        names = " -o ".join(f"-name '{path.rpartition('/')[2]}*'" for path in self.of.broken)
        here = self.session.run(
            rf"find / -xdev -path /proc -prune -o -type f \( {names} \) -print 2>/dev/null | head -50"
        )
        for path in here.output.split():
            inside = path.removeprefix("/work/")
            if inside not in self.of.files and self.of.origin.name in path:
                found.append(path)
        for fault in self.of.faults:
            right = self.of.origin.files[fault.path]
            start, end = right.rfind("\n", 0, fault.start) + 1, right.find("\n", fault.end)
            line = right[start:end].strip().splitlines()[0].replace("'", "'\\''")
            again = self.of.broken[fault.path].count(line)
            hits = self.session.run(f"grep -rlF -- '{line}' /work /tmp /dev/shm 2>/dev/null").output.split()
            found += [path for path in hits if not (path.removeprefix("/work/") == fault.path and again)]
        return sorted(set(found))


def _written(path: str, text: str) -> str:
    """A command that writes a file anew."""
    return f"cat > {path} <<'END_OF_FILE'\n{text}END_OF_FILE"
