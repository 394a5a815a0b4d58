"""The rules of tasks in the formats of SWE-bench and SWE-smith."""

import base64
import difflib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentgym.contracts.settings import finite_number, flag, whole_number
from agentgym.envs.code.sandbox import Limits, interpreter_of, level_of
from agentgym.envs.code.shell.commands import CommandWorld, shown
from agentgym.envs.code.shell.grader import Verdict
from agentgym.envs.code.swe.formats import Instance, read_instances
from agentgym.envs.code.swe.grader import Settings, grade, problems_of
from agentgym.envs.code.swe.tasks import CodeTask, folder_of, read_task
from agentgym.errors import InvalidParameter
from agentgym.seeding import stream

__all__ = ["TaskWorld"]


class TaskWorld(CommandWorld):
    """Implements :class:`agentgym.envs.code.env.CodeTasksEnv`, whose docstring is the manual."""

    instructions = (
        "Each turn is one bash command in a fresh shell; the folder and exported variables last. There is no network. "
        "Change the code, not the tests or their settings. The command submit ends the task."
    )

    def __init__(
        self,
        tasks: str,
        folders: str,
        instances: Sequence[str] | str | None = None,
        form: str = "auto",
        python: str | None = None,
        level: str = "auto",
        check: bool = False,
        max_turns: int = 100,
        cost: float = 0.0,
        seconds: float = 300.0,
        memory: int = 1024,
    ) -> None:
        super().__init__("train")
        self.cost = finite_number("cost", cost, 0.0, 1.0)
        self.max_turns = whole_number("max_turns", max_turns, 1, 10_000)
        seconds = finite_number("seconds", seconds, 1.0)
        memory = whole_number("memory", memory, 64)
        self._check = flag("check", check)
        if not tasks or not folders:
            raise InvalidParameter(
                "Name a file of tasks and the folder of their repositories: tasks=FILE, folders=FOLDER."
            )
        self.folders = Path(folders)
        chosen = [instances] if isinstance(instances, str) else instances
        self.instances = read_instances(tasks, chosen, form)
        for instance in self.instances:
            folder_of(instance, self.folders)
        self.python = interpreter_of(python) if python else None
        self._require_pytest()
        self.level = level_of(level)
        self.settings = Settings(self.level, self.python, seconds, memory)
        self.max_command_length, self.max_observation_length = 20_000, 30_000
        self.max_observation_words, self.max_command_words = 30_000, 20_000
        self._read = lru_cache(maxsize=8)(self._task)

    def _require_pytest(self) -> None:
        first = next((each.id for each in self.instances if each.runner == "pytest"), None)
        folders = self.python.packages if self.python else ()
        if first is not None and not any((Path(folder) / "pytest").is_dir() for folder in folders):
            raise InvalidParameter(
                f"Task {first} has tests of pytest: name an interpreter that has it by python=PATH, such as that of a "
                "virtual environment with what the repository needs."
            )

    @property
    def dials(self) -> Mapping[str, Any]:
        """Turns and their cost."""
        return {"max_turns": self.max_turns, "cost": self.cost}

    @property
    def fingerprint(self) -> str:
        """The tasks, without their files."""
        return repr(([instance.id for instance in self.instances], self.dials))

    def begin(self, seed: int, episode: int) -> str:
        """Choose a task, start a fresh sandbox, and return the statement and the files of the root."""
        # The episodes of a seed go through all tasks in an order of its own.
        order = stream(seed, "code tasks").permutation(len(self.instances))
        instance = self.instances[int(order[episode % len(self.instances)])]
        self.of: CodeTask = self._read(instance)
        self.task, self.task_kind = _cut(shown(instance.statement), self.max_observation_length - 5000), instance.repo
        self.limits: Limits = Limits(
            wall=60.0, cpu=60, memory=self.settings.memory + 64 + 2 * self.of.size, processes=64, file_size=32,
            disk=64 + 2 * self.of.size, output=10_000,
        )  # fmt: skip
        self._fresh(self.of.start)
        roots = sorted({path.split("/")[0] + "/" * ("/" in path) for path in self.of.start})
        return f"{self.task}\n{self.instructions}\n" + _cut(shown("In /work:\n" + "\n".join(roots)), 4000)

    def _task(self, instance: Instance) -> CodeTask:
        task = read_task(instance, self.folders)
        self._refuse_answers(task)
        if self._check and (problems := problems_of(task, self.settings)):
            more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise InvalidParameter(
                f"Task {instance.id} cannot be graded on this machine: {'; '.join(problems[:5])}{more}."
            )
        return task

    def _refuse_answers(self, task: CodeTask) -> None:
        """The packages of the interpreter must not have what is to be repaired."""
        tops = {path.removeprefix("src/").split("/")[0] for path in task.solution if path.endswith(".py")}
        for folder in self.python.packages if self.python else ():
            for top in sorted(tops):
                if (Path(folder) / top).exists():
                    raise InvalidParameter(
                        f"Task {task.instance.id}: {folder} has an installed {top}, which may hold the solution. "
                        "Uninstall it there; the sandbox finds the repository's own."
                    )

    def graded(self) -> Verdict:
        """Grade the working folder as it is; the episode goes on."""
        return grade(self.of, *self.session.changes(), self.settings)

    def commands(self) -> list[str]:
        """Some commands of the many that are possible."""
        return [] if self._over else ["ls", f"python3 -m {self.of.instance.runner}", "submit"]

    def plan(self) -> list[str]:
        """One command a file of the solution, and ``submit``; empty if one would be too long."""
        if self._over:
            return []
        changed, _ = self.session.changes()
        now = {**self.of.start, **changed}
        wanted = {**dict.fromkeys(changed), **{path: self.of.start.get(path) for path in changed}, **self.of.solution}
        commands = [
            _rewritten(path, now.get(path), text) for path, text in sorted(wanted.items()) if now.get(path) != text
        ]
        return [] if any(len(each) > self.max_command_length for each in commands) else [*commands, "submit"]


def _cut(text: str, most: int) -> str:
    """A text, or its first and last part."""
    if len(text) <= most:
        return text
    half = (most - 60) // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _rewritten(path: str, now: str | None, then: str | None) -> str:
    """A command that makes a text another. The differing lines travel as base64: no shell reads them."""
    data: list[Any] = [path]
    if then is None:
        program = "os.remove(p[0])"
    else:
        old, new = (now or "").splitlines(True), then.splitlines(True)
        steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        data += [[[a, b, "".join(new[c:d])] for kind, a, b, c, d in reversed(steps) if kind != "equal"]]
        program = (
            'f=p[0];d=dict(encoding="utf-8",errors="surrogateescape",newline="");'
            'os.makedirs(os.path.dirname(f) or ".",exist_ok=True);'
            "t=open(f,**d).read().splitlines(True) if os.path.exists(f) else [];"
            "[t.__setitem__(slice(a,b),[x]) for a,b,x in p[1]];"
            'open(f,"w",**d).write("".join(t))'
        )
    packed = base64.b64encode(json.dumps(data).encode()).decode()
    return f"cd /work && python3 -c 'import base64,json,os;p=json.loads(base64.b64decode(\"{packed}\"));{program}'"
