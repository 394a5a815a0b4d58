"""Control of the number of turns: limits, extensions, reminders, and a policy that submits the work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from typing_extensions import override

from agentgym.envs.perturb.base import check_choice, check_number, check_whole
from agentgym.envs.perturb.text.base import TextPerturbation, TextProcess, View
from agentgym.errors import InvalidParameter
from agentgym.turns.control import Control, Dynamic, Fixed, Learned, Reminders, Unrestricted
from agentgym.turns.control import View as Seen
from agentgym.turns.policies import load_policy
from agentgym.turns.transcript import Transcript

__all__ = ["TurnControl"]

SUBMIT = "submit"
RULES = ("unrestricted", "fixed", "automatic", "evidence", "learned")


@dataclass(frozen=True, kw_only=True)
class TurnControl(TextPerturbation):
    """A control of turns. When it ends the work, the agent's next command becomes ``submit``, which is no turn.

    For worlds in which ``submit`` ends the task, such as code repair. ``info["measures"]`` gets the words of all
    prompts (``prompt_words``; a turn sends everything said before once more), those of them that no earlier prompt had
    (``fresh_words``) and of all commands (``answer_words``); the ``cost`` without and the ``cached_cost`` with a cache
    of prompts, in thousandths of a dollar; ``auto_submitted`` (1 or 0) and ``extended`` (how often). ``turns`` does
    not count a submission that is not the agent's.

    Args:
        rule: "unrestricted" (only measures), "fixed" (``limit``), "automatic" or "evidence" (``limit``, extended by
            ``step`` up to ``cap``, at most ``extensions`` times; by evidence only if the last three turns have brought
            a new state), or "learned" (``policy`` decides before every turn).
        limit, step, cap, extensions: of the rule.
        reminders: shares of the limit after which the agent is told how many turns are left.
        policy: folder of an agent trained in ``agentgym/TurnControl-v0``.
        prompt_price, cached_price, answer_price: dollars for a million words.
    """

    longest: ClassVar[tuple[float, int]] = (1.0, 60)

    rule: Literal["unrestricted", "fixed", "automatic", "evidence", "learned"] = "unrestricted"
    limit: int = 0
    step: int = 0
    cap: int = 0
    extensions: int = 2
    reminders: tuple[float, ...] = ()
    policy: str = ""
    prompt_price: float = 1.0
    cached_price: float = 0.1
    answer_price: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "rule", RULES)
        for name in ("limit", "step", "cap", "extensions"):
            check_whole(self, name, 0)
        for name in ("prompt_price", "cached_price", "answer_price"):
            check_number(self, name, 0.0)
        object.__setattr__(self, "reminders", tuple(self.reminders))
        if (self.rule == "learned") != bool(self.policy):
            raise InvalidParameter('TurnControl takes a policy exactly if rule is "learned".')
        if self.rule != "learned":
            self.control()

    def control(self) -> Control:
        """The control of one world.

        Raises:
            InvalidParameter: the limits do not fit the rule.
        """
        told = Reminders(shares=self.reminders)
        if self.rule == "unrestricted":
            return Unrestricted()
        if self.rule == "fixed":
            return Fixed(self.limit, told)
        if self.rule == "learned":
            return Learned(load_policy(self.policy), self.limit or None)
        return Dynamic(self.limit, self.step, self.cap, self.extensions, self.rule, told)

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        if SUBMIT not in getattr(getattr(env, "world", None), "verbs", ()):
            raise InvalidParameter(f"TurnControl needs a world in which submit ends the task; {env} is none.")
        return _Controlling(self)


class _Controlling(TextProcess):
    def __init__(self, settings: TurnControl) -> None:
        super().__init__()
        self.settings, self.control = settings, settings.control()

    @override
    def act(self, command: str) -> str:
        if self.ends:
            self.fired = True
            return SUBMIT
        self.command = command
        return command

    @override
    def see(self, view: View) -> None:
        if view.first:
            self.control.begin()
            self.transcript, self.extended, self.ends = Transcript(view.text, view.info), 0, False
        elif not self.ends:
            self.transcript.add(self.command, view.text, view.info)
        if view.over:
            if (measures := view.info.get("measures")) is not None:
                view.info["measures"] = {**measures, **self._measured(measures)}
            return
        ruling = self.control.rule(Seen.of(self.transcript))
        self.ends = not ruling.go
        self.extended += ruling.extended > 0
        if ruling.reminder:
            view.text = f"{view.text} {ruling.reminder}"
            self.transcript.said(ruling.reminder)
            self.fired = True

    def _measured(self, measures: dict[str, float]) -> dict[str, float]:
        spent, of = self.transcript, self.settings
        answers = spent.answers * of.answer_price
        cached = spent.fresh * of.prompt_price + (spent.prompts - spent.fresh) * of.cached_price
        return {
            "turns": float(spent.turns),
            "prompt_words": float(spent.prompts), "fresh_words": float(spent.fresh),
            "answer_words": float(spent.answers),
            "cost": (spent.prompts * of.prompt_price + answers) / 1e3, "cached_cost": (cached + answers) / 1e3,
            "auto_submitted": float(self.ends), "extended": float(self.extended),
        }  # fmt: skip
