"""The rules of code repair: commands, what they tell, and what is on offer."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from agentgym.envs.code.faults.running import KINDS
from agentgym.envs.code.repair.explorer import Explorer
from agentgym.envs.code.repair.phrases import FILES, FUNCTIONS, NUMBERS, SITES, TESTS, vocabulary_of_repair
from agentgym.envs.code.repair.tasks import Outcome, Task, tasks
from agentgym.envs.code.repair.tiers import TIERS, Tier
from agentgym.envs.text.language import refusal, tidy
from agentgym.envs.text.presets import sized
from agentgym.envs.text.world import Answer, World, checked_numbers
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import stream

__all__ = ["SHOWN", "RepairWorld"]

SHOWN = 3  # failing tests that the first observation names
ALL = -1  # the command "run all", among numbers of tests
_REPEATED = ("", " second", " third", " fourth")


class Act(NamedTuple):
    """A command by what it does: a verb, and the number of a test, function, file or candidate."""

    verb: str
    number: int = 0


class RepairWorld(World):
    """Implements :class:`agentgym.envs.code.env.CodeRepairTableEnv`, whose docstring is the manual.

    Args:
        tier: a name of :data:`agentgym.envs.code.repair.tiers.TIERS`.
        split: "train", "seen" or "unseen".
        operators: "known", or "new": faults of kinds that are absent from training.
        dials: fields of the tier to override, e.g. ``candidates=6``.

    Raises:
        UnknownId: no such tier, split or kind of operators.
        InvalidParameter: a dial is out of range.
    """

    verbs = ("run", "search", "open", "edit", "undo", "submit")
    can_explore = True
    instructions = "Commands: run TEST; run all; search FUNCTION; open FILE; edit SITE OLD NEW; undo; submit."

    def __init__(self, tier: str = "easy", split: str = "train", operators: str = "known", **dials: Any) -> None:
        super().__init__(split)
        self.tier: Tier = sized(TIERS, "tier of code repair", tier, dials)
        if operators not in ("known", "new"):
            raise UnknownId("kind of operators", str(operators), ("known", "new"))
        if operators == "new" and self.tier.faults == 2:
            raise InvalidParameter('Tasks with two faults have no new operators: set operators="known".')
        self.operators = operators
        self._tasks = tasks(split, self.tier.faults, operators == "new", self.tier.misleading)
        self.max_turns = self.tier.max_turns
        self.max_command_length = 48
        self.max_observation_length = 4000
        self.max_observation_words = 800
        self.max_command_words = 6
        self._over = True
        self._offers: dict[str, Act] = {}
        self._listed: list[str] = []

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words of observations and commands."""
        return vocabulary_of_repair()

    @property
    def dials(self) -> Mapping[str, Any]:
        """The tier, see :class:`agentgym.envs.code.repair.tiers.Tier`."""
        return asdict(self.tier)

    @property
    def fingerprint(self) -> str:
        """Tier, split and operators."""
        return repr((self.tier, self.split, self.operators))

    def begin(self, seed: int, episode: int) -> str:
        """Start an episode and return the failing tests and the files."""
        draw = stream(seed, "code repair", self.split, self.operators, episode)
        task = self.of = self._tasks[int(draw.integers(len(self._tasks)))]
        self.file_names = _drawn(FILES, draw, task.modules)
        self.function_names = _drawn(FUNCTIONS, draw, task.functions)
        self.test_names = _drawn(TESTS, draw, task.tests)
        faults = self.tier.faults
        hopeless = draw.random() < self.tier.hopeless
        decoys: list[int] = (faults + draw.permutation(len(task.candidates) - faults)).tolist()
        if hopeless:  # a few decoys pass all tests as well
            decoys = [n for n in decoys if task.rows.get((n,), True)]
        wanted = self.tier.candidates if hopeless else self.tier.candidates - faults
        chosen = ([] if hopeless else list(range(faults))) + decoys[:wanted]
        self.offered: list[int] = [chosen[n] for n in draw.permutation(len(chosen)).tolist()]
        self._name_edits(draw)
        failing = list(task.rows[()])
        self.shown: list[int] = [failing[n] for n in draw.permutation(len(failing))[:SHOWN].tolist()]
        self.stack: list[int] = []
        self.opened: list[int] = []
        self.found: list[int] = []  # functions whose file is known
        self.mentioned: list[int] = []  # functions that failures have named
        # Tests run, by the edits in place.
        self.results: dict[tuple[int, ...], list[int]] = {}
        self._turns, self._over = 0, False
        self._refresh()
        self.task = f"make {'both repairs' if faults == 2 else 'the repair'}, then submit"
        self.task_kind = "hopeless" if hopeless else "two faults" if faults == 2 else "one fault"
        tests = " , ".join(self.test_names[n] for n in self.shown)
        files = " , ".join(self.file_names[n] for n in draw.permutation(task.modules).tolist())
        return f"failing {tests} . files {files} ."

    def _name_edits(self, draw: np.random.Generator) -> None:
        """Names of the lines with candidates, and the commands of the candidates; equal ones are numbered."""
        lines = list(dict.fromkeys(self.of.candidates[n][:2] for n in self.offered))
        names = _drawn(SITES, draw, len(lines))
        self.site_names = dict(zip(lines, names, strict=True))
        self.edit_commands: dict[int, str] = {}
        counts: dict[str, int] = {}
        for n in self.offered:
            edit = self.of.candidates[n]
            text = f"edit {self.site_names[edit[:2]]} {edit.old} {edit.new}"
            counts[text] = counts.get(text, 0) + 1
            self.edit_commands[n] = text + _REPEATED[min(counts[text], len(_REPEATED)) - 1]

    # Commands

    @property
    def placed(self) -> tuple[int, ...]:
        """The edits in place, sorted: the key of their row."""
        return tuple(sorted(self.stack))

    def act(self, command: str) -> Answer:
        """Execute a command that is on offer."""
        self._turns += 1
        if len(command) > self.max_command_length:
            return Answer(refusal("overlong"), "overlong", 0.0, False, False)
        text = tidy(command)
        found = self._offers.get(text)
        if found is None:
            problem = "impossible" if text.split(" ")[0] in self.verbs else "unparsable" if text else "empty"
            return Answer(refusal(problem), problem, 0.0, False, False)
        if found.verb == "submit":
            return self._submit()
        said = getattr(self, f"_{found.verb}")(found.number)
        self._refresh()
        return Answer(said, None, 0.0, False, False)

    def _submit(self) -> Answer:
        self._over = True
        self._offers, self._listed = {}, []
        right = not self.of.rows[self.placed]
        reward = 1 - self.tier.cost * self._turns if right else 0.0
        return Answer("right ." if right else "wrong .", None, reward, True, right)

    def commands(self) -> list[str]:
        """The commands on offer. What is known already is not among them."""
        return list(self._listed)

    def _refresh(self) -> None:
        """List the commands on offer."""
        task, row = self.of, self.placed
        run = self.results.get(row, [])
        offers = {f"run {self.test_names[n]}": Act("run", n) for n in self.shown if n not in run}
        if ALL not in run:
            offers["run all"] = Act("run", ALL)
        for n in self.mentioned:
            if n not in self.found:
                offers[f"search {self.function_names[n]}"] = Act("search", n)
        for n in range(task.modules):
            if n not in self.opened:
                offers[f"open {self.file_names[n]}"] = Act("open", n)
        if len(self.stack) < self.tier.faults:
            for n in self.offered:
                if task.candidates[n].module in self.opened and self._is_open(n):
                    offers[self.edit_commands[n]] = Act("edit", n)
        if self.stack:
            offers["undo"] = Act("undo")
        offers["submit"] = Act("submit")
        self._offers, self._listed = offers, list(offers)

    def _is_open(self, edit: int) -> bool:
        """Whether an edit may be made now: it is not in place, fits to those that are, and is not known to be wrong."""
        row = tuple(sorted([*self.stack, edit]))
        if edit in self.stack or row not in self.of.rows:
            return False
        # With two faults a single repair fails as well, and may be made again with another one.
        return len(row) < self.tier.faults or not self._seen_failing(row)

    def _seen_failing(self, row: tuple[int, ...]) -> bool:
        failing = self.of.rows[row]
        return any((n == ALL and failing) or n in failing for n in self.results.get(row, []))

    def _run(self, test: int) -> str:
        row = self.of.rows[self.placed]
        self.results.setdefault(self.placed, []).append(test)
        if test == ALL:
            return f"{NUMBERS[min(len(row), 10)]} tests fail ."
        name = self.test_names[test]
        if test not in row:
            return f"{name} passes ."
        return f"{name} fails : {self._failure(row[test])} ."

    def _failure(self, outcome: Outcome) -> str:
        named = [outcome.function, *outcome.others] if outcome.function >= 0 else []
        self.mentioned += [n for n in named if n not in self.mentioned]
        where = self.function_names[outcome.function] if named else "nothing"
        others = " ".join(self.function_names[n] for n in outcome.others)
        return f"{KINDS[outcome.kind]} in {where}" + (f" , ran {others}" if others else "")

    def misreported(self, kind: str, text: str, draw: np.random.Generator) -> str | None:
        """A wrong version of what a command has told; None if it has told nothing of this kind.

        Args:
            kind: "tests" (a test's result), "traces" (the function that a failure names) or "progress" (the number of
                failing tests).
            text: what the command has told.
            draw: the source of randomness.
        """
        said = text.split()
        if kind == "progress":
            counts = NUMBERS[: NUMBERS.index(said[0])] if said[1:3] == ["tests", "fail"] else ()
            return f"{counts[int(draw.integers(len(counts)))]} tests fail ." if counts else None
        function = self.function_names[int(draw.integers(self.of.functions))]
        if said[1:2] == ["passes"]:
            failure = KINDS[int(draw.integers(len(KINDS)))]
            return f"{said[0]} fails : {failure} in {function} ." if kind == "tests" else None
        if said[1:2] != ["fails"]:
            return None
        if kind == "tests":
            return f"{said[0]} passes ."
        told, _, _ = text.partition(" in ")
        return f"{told} in {function} ."

    def _search(self, function: int) -> str:
        self.found.append(function)
        return f"{self.function_names[function]} is in {self.file_names[self.of.home[function]]} ."

    def _open(self, file: int) -> str:
        self.opened.append(file)
        self.found += [n for n, home in enumerate(self.of.home) if home == file and n not in self.found]
        shown = [
            f"{self.function_names[self._function_at(line)]} : {self._words(self.of.lines[line])} {name} ."
            for line, name in sorted(self.site_names.items())
            if line[0] == file
        ]
        return " ".join(shown) or "nothing in it ."

    def _function_at(self, line: tuple[int, int]) -> int:
        return next(edit.function for edit in self.of.candidates if edit[:2] == line)

    def _words(self, line: tuple[str, ...]) -> str:
        return " ".join(self.function_names[int(word[1:])] if word[0] == "@" else word for word in line)

    def _edit(self, edit: int) -> str:
        self.stack.append(edit)
        return "done ."

    def _undo(self, number: int) -> str:
        self.stack.pop()
        return "undone ."

    # Knowledge of the whole state

    def anchor(self) -> tuple[object, ...]:
        """The edits in place, and what has been opened, found and run."""
        run = tuple(sorted((row, tuple(sorted(tests))) for row, tests in self.results.items()))
        return self.placed, tuple(sorted(self.opened)), tuple(sorted(self.found)), run, self._over

    def plan(self) -> list[str]:
        """A shortest way to a right submission; only ``submit`` if no edit on offer is right."""
        if self._over:
            return []
        goals = [row for row, failing in self.of.rows.items() if not failing and set(row) <= set(self.offered)]
        ways = [self._way(row) for row in goals]
        return min(ways, key=len) if ways else ["submit"]

    def _way(self, goal: tuple[int, ...]) -> list[str]:
        kept = 0
        while kept < len(self.stack) and self.stack[kept] in goal:
            kept += 1
        missing = [edit for edit in goal if edit not in self.stack[:kept]]
        files = dict.fromkeys(self.of.candidates[edit].module for edit in missing)
        opens = [f"open {self.file_names[file]}" for file in files if file not in self.opened]
        undos = ["undo"] * (len(self.stack) - kept)
        return [*undos, *opens, *(self.edit_commands[edit] for edit in missing), "submit"]

    def distance(self) -> int:
        """The number of commands in the plan."""
        return len(self.plan())

    def explorer(self) -> Explorer:
        """An expert that uses only what it has observed."""
        return Explorer(self)

    def state_values(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "stack": self.stack.copy(), "opened": self.opened.copy(), "found": self.found.copy(),
            "mentioned": self.mentioned.copy(), "turns": self._turns, "over": self._over,
            "results": [[list(row), list(tests)] for row, tests in self.results.items()],
        }  # fmt: skip

    def set_state_values(self, values: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_values` returned."""
        if set(values) != {"stack", "opened", "found", "mentioned", "turns", "over", "results"}:
            raise InvalidParameter("The snapshot is not one of code repair.")
        task, last = self.of, len(self.of.candidates) - 1
        stack = checked_numbers("stack", values["stack"], 0, last)
        opened = checked_numbers("opened", values["opened"], 0, task.modules - 1)
        found = checked_numbers("found", values["found"], 0, task.functions - 1)
        mentioned = checked_numbers("mentioned", values["mentioned"], 0, task.functions - 1)
        turns = checked_numbers("turns", [values["turns"]], 0, 1 << 30)[0]
        results = {}
        for row, tests in values["results"]:
            key = tuple(checked_numbers("results", row, 0, last))
            results[key] = checked_numbers("results", tests, ALL, task.tests - 1)
        if not {tuple(sorted(stack)), *results} <= set(task.rows):
            raise InvalidParameter("The snapshot has edits in place that exclude each other.")
        self.stack, self.opened, self.found, self.mentioned, self.results = stack, opened, found, mentioned, results
        self._turns, self._over = turns, bool(values["over"])
        if self._over:
            self._offers, self._listed = {}, []
        else:
            self._refresh()

    @property
    def current(self) -> Task:
        """The task of the episode, for tests and tables."""
        return self.of


def _drawn(pool: tuple[str, ...], draw: np.random.Generator, count: int) -> list[str]:
    return [pool[n] for n in draw.permutation(len(pool))[:count].tolist()]
