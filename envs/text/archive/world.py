"""The rules of an archive: the effect and output of each tool, and its failures."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentgym.envs.text.archive.arithmetic import BadSum, calculate
from agentgym.envs.text.archive.corpus import Corpus
from agentgym.envs.text.archive.questions import Question, ask, words_of_archives
from agentgym.envs.text.archive.rewordings import REWORDINGS, SYNONYMS
from agentgym.envs.text.language import listed, refusal, tidy
from agentgym.envs.text.presets import ARCHIVES, Archive, sized
from agentgym.envs.text.world import Answer, World, checked_numbers
from agentgym.errors import InvalidParameter
from agentgym.seeding import stream

__all__ = ["ArchiveWorld"]

TOOLS = ("search", "open", "calculate")


class ArchiveWorld(World):
    """Implements :class:`agentgym.envs.text.env.ArchiveEnv`, whose docstring is the manual.

    Args:
        size: a name of :data:`agentgym.envs.text.presets.ARCHIVES`.
        split: "train", "seen" or "unseen".
        dials: fields of the size to override, e.g. ``failure_rate=0.2``.

    Raises:
        UnknownId: no such size or split.
        InvalidParameter: a dial is out of range.
    """

    verbs = (*TOOLS, "answer")
    synonyms = SYNONYMS
    rewordings = REWORDINGS
    instructions = "Commands: search WORDS; open NUMBER; calculate SUM; answer TEXT."

    def __init__(self, size: str = "small", split: str = "train", **dials: Any) -> None:
        super().__init__(split)
        self.size: Archive = sized(ARCHIVES, "archive size", size, dials)
        self.max_turns = self.size.max_turns
        self.max_command_length = 100
        self.max_observation_length = 512
        self.max_observation_words = 256
        self.max_command_words = 100
        self.corpus: Corpus
        self.question: Question

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words of observations and useful commands."""
        return words_of_archives()

    @property
    def dials(self) -> Mapping[str, Any]:
        """The size of its archives, see :class:`agentgym.envs.text.presets.Archive`."""
        return asdict(self.size)

    @property
    def fingerprint(self) -> str:
        """Size and split."""
        return repr((self.size, self.split))

    def begin(self, seed: int, episode: int) -> str:
        """Start the episode and return its question."""
        self.corpus, self.question = ask(self.size, self.split, seed, episode)
        self.task = self.question.text
        self.task_kind = "calculation" if self.question.sum else "chain"
        self._luck = stream(seed, "archive failures", self.split, episode).random(self.max_turns).tolist()
        self._calls = 0
        self._shown: list[int] = []
        self._opened: list[int] = []
        self._results: list[str] = []
        self._over = False
        return f"Question: {self.task} Tools: search, open, calculate, answer."

    def act(self, command: str) -> Answer:
        """Use a tool or answer."""
        if len(command) > self.max_command_length:
            return Answer(refusal("overlong"), "overlong", 0.0, False, False)
        text = tidy(command)
        tool, _, about = text.partition(" ")
        if tool == "answer" and about:
            self._over = True
            right = about == self.question.answer
            return Answer("That is right." if right else "That is wrong.", None, float(right), True, right)
        said, problem = self._use(tool, about) if tool in TOOLS and about else ("", "unparsable" if text else "empty")
        return Answer(refusal(problem) if problem else said, problem, 0.0, False, False)

    def _use(self, tool: str, about: str) -> tuple[str, str | None]:
        """Use a tool. Returns its output and the problem, if any. Failures are drawn only if it would succeed."""
        result = ""
        if tool == "open":
            if not (about.isascii() and about.isdigit()):
                return "", "unparsable"
            if int(about) not in self._shown:
                return "", "impossible"
        if tool == "calculate":
            try:
                result = calculate(about)
            except BadSum as error:
                return "", "impossible" if "zero" in str(error) else "unparsable"
        failed = self._luck[self._calls % self.max_turns] < self.size.failure_rate
        self._calls += 1
        if failed:
            return "", "failed"
        if tool == "search":
            found = self.corpus.index.search(about, self.size.results)
            self._shown += [n for n in found if n not in self._shown]
            titles = listed(f"{n} {self.corpus.article(n).title.title()}" for n in found)
            return (f"Results: {titles}." if found else "No results."), None
        if tool == "open":
            if int(about) not in self._opened:
                self._opened.append(int(about))
            return self.corpus.article(int(about)).text, None
        if result not in self._results:
            self._results.append(result)
        return f"The result is {result}.", None

    def commands(self) -> list[str]:
        """Commands suggested by the texts read so far. Other queries, sums and answers are executed as well.

        These are searches for names not yet read about, openings of results, sums of two numbers with the question's
        operator, and answers with names read or numbers calculated. They always include the plan's commands.
        """
        if self._over:
            return []
        read = [self.corpus.article(n) for n in self._opened]
        values = list(dict.fromkeys(value for article in read for value in article.facts.values()))
        numbers = [value for value in values if value.isdigit()]
        names = dict.fromkeys([*self.question.names, *(value for value in values if not value.isdigit())])
        titles = {article.title for article in read}
        found = [f"search {name}" for name in names if name not in titles]
        found += [f"open {n}" for n in self._shown if n not in self._opened]
        if self.question.operator:
            operands = [*numbers, self.question.operand] if self.question.operand else numbers
            pairs = ((x, y) for x in operands for y in operands if x != y or self.question.operator == "-")
            found += [f"calculate {x} {self.question.operator} {y}" for x, y in pairs]
        return found + [f"answer {value}" for value in (*values, *self._results)]

    def anchor(self) -> tuple[object, ...]:
        """What has been shown, read and calculated, but not how often tools were used."""
        return tuple(sorted(self._shown)), tuple(sorted(self._opened)), tuple(sorted(self._results)), self._over

    def plan(self) -> list[str]:
        """Read all evidence in order, calculate, answer. Failures are not predicted."""
        if self._over:
            return []
        shown, found = set(self._shown), []
        for number in self.question.evidence:
            if number in self._opened:
                continue
            if number not in shown:
                title = self.corpus.article(number).title
                found.append(f"search {title}")
                shown.update(self.corpus.index.search(title, self.size.results))
            found.append(f"open {number}")
        if self.question.sum and self.question.answer not in self._results:
            found.append(f"calculate {self.question.sum}")
        return [*found, f"answer {self.question.answer}"]

    def distance(self) -> int:
        """The number of commands in the plan."""
        return len(self.plan())

    def state_values(self) -> dict[str, Any]:
        """The state as plain values."""
        return {
            "calls": self._calls, "shown": self._shown.copy(), "opened": self._opened.copy(),
            "results": self._results.copy(), "over": self._over,
        }  # fmt: skip

    def set_state_values(self, values: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_values` returned."""
        if set(values) != {"calls", "shown", "opened", "results", "over"}:
            raise InvalidParameter("The snapshot is not one of an archive.")
        last = len(self.corpus.articles)
        self._shown = checked_numbers("shown", values["shown"], 1, last)
        self._opened = checked_numbers("opened", values["opened"], 1, last)
        self._calls = checked_numbers("calls", [values["calls"]], 0, 1 << 30)[0]
        self._results = [str(result) for result in values["results"]]
        self._over = bool(values["over"])
