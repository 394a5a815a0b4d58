"""Wrong reports: tests with the opposite result, traces that name another function, counts that are too low."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from typing_extensions import override

from agentgym.envs.perturb.base import check_choice
from agentgym.envs.perturb.text.base import TextPerturbation, TextProcess, View
from agentgym.errors import InvalidParameter

__all__ = ["WrongReports"]


@dataclass(frozen=True, kw_only=True)
class WrongReports(TextPerturbation):
    """What the environment tells about tests is wrong. ``info["measures"]`` counts ``wrong_reports``.

    Args:
        kind: "tests": a test is reported with the opposite result (a flaky test); "traces": a failure names another
            function; "progress": the count of failing tests is too low.
        rate: probability that a report of this kind is wrong.
    """

    kind: Literal["tests", "traces", "progress"] = "tests"
    rate: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "kind", ("tests", "traces", "progress"))

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        world = getattr(env, "world", None)
        if not hasattr(world, "misreported"):
            raise InvalidParameter(
                f"WrongReports needs a world that reports tests, such as code repair; {env} does not."
            )
        return _Misreporting(self, world)


class _Misreporting(TextProcess):
    def __init__(self, settings: WrongReports, world: Any) -> None:
        super().__init__()
        self.settings, self.world = settings, world

    @override
    def begin(self) -> None:
        self.count = 0

    @override
    def see(self, view: View) -> None:
        # Drawn for every observation, so that equal seeds err at equal turns whatever is asked.
        strikes = self.generator.random() < self.settings.rate
        if strikes and not view.first:
            wrong = self.world.misreported(self.settings.kind, view.text, self.generator)
            if wrong is not None:
                view.text, self.fired = wrong, True
                self.count += 1
        if (measures := view.info.get("measures")) is not None:
            view.info["measures"] = {**measures, "wrong_reports": float(self.count)}
