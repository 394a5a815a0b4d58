"""Promised against achieved return in the report."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from agentgym.evaluation.report import write_report
from agentgym.evaluation.report.consistency import consistency
from agentgym.evaluation.report.figures import COLOURS
from agentgym.evaluation.report.panels import gather
from agentgym.evaluation.report.panels import promising as promising_cells
from agentgym.evaluation.report.words import verdict


def said(evaluation):
    return dict(verdict(evaluation, gather(evaluation))).get("Consistency")


def promise_of(evaluation, condition, promise):
    """The second agent promises otherwise in one condition."""
    rows = [
        replace(row, measures={"promised_return": promise(row)})
        if row.agent == "randomised" and row.condition == condition
        else row
        for row in evaluation.rows
    ]
    return replace(evaluation, rows=rows)


def test_only_agents_that_promise_are_drawn(evaluation, promising, tmp_path):
    for shown, tabs in ((evaluation, 0), (promising, 1)):
        text = write_report(shown, tmp_path / "report.html").read_text("utf-8")
        page = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        assert page.count('data-tab="Consistency"') == tabs
        assert page.count("promised against achieved return") == tabs  # one agent of two
    assert said(evaluation) is None


def test_a_point_is_a_condition_with_its_interval(promising):
    ((agent, cells),) = promise_points(promising).items()
    assert agent == "randomised"
    assert len(cells) == len(promising.scenes)
    figure = consistency(agent, cells, 1, (0.0, 1200.0))
    kept, others, nominal = figure.data
    assert list(kept.x) == list(kept.y)
    assert (len(others.x), len(nominal.x)) == (len(cells) - 1, 1)
    assert nominal.marker.symbol == "diamond-open"
    assert others.marker.color == nominal.marker.color == COLOURS[1]
    assert set(others.x) == {1000.0}
    for (cell, _), y, above, below, text in zip(
        cells[1:], others.y, others.error_y.array, others.error_y.arrayminus, others.hovertext, strict=True
    ):
        assert y == pytest.approx(np.mean(promising.returns(agent, cell.condition)))
        assert (y + above, y - below) == pytest.approx((cell.mean.high, cell.mean.low))
        assert cell.condition in text
        assert "promised_return 1 000" in text


def promise_points(evaluation):
    return promising_cells(gather(evaluation))


def test_the_largest_broken_promise_is_told(promising):
    worst = min(promising.scenes, key=lambda name: np.mean(promising.returns("randomised", name)))
    mean = np.mean(promising.returns("randomised", worst))
    told = said(promising)
    assert f"randomised falls furthest short of its promise under {worst}" in told
    assert f"where it promises 1 000 and returns {mean:.0f}" in told
    assert "in 37 of 40 conditions it returns less" in told  # all but the three that return more
    assert "nominal falls" not in told


def test_broken_at_home_and_never_broken(promising):
    high = promise_of(promising, "nominal", lambda row: 5000.0)
    assert "short of its promise in the undisturbed environment, where it promises 5 000 and returns 960" in said(high)
    kept = promising
    for name in promising.scenes:
        kept = promise_of(kept, name, lambda row: row.episode_return)
    assert said(kept) == "randomised never returns less than it promises."


def test_failed_episodes_and_single_ones(promising, tmp_path):
    """An interval that is not known is not drawn, and a condition without an episode has no point."""
    rows = [
        replace(row, episode_return=float("nan"), error="boom", measures={}) if row.condition == "mass=8" else row
        for row in promising.rows
        if row.episode == 0
    ]
    single = replace(promising, rows=rows)
    cells = promise_points(single)["randomised"]
    assert len(cells) == len(promising.scenes) - 1
    figure = consistency("randomised", cells, 1, (0.0, 1.0))
    assert set(figure.data[1].error_y.array) == {0.0}
    assert said(single).endswith("promises 1 000 and returns 736.")  # nothing of noise, which is not known
    text = write_report(single, tmp_path / "report.html").read_text("utf-8")
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, flags=re.DOTALL)[1]
    json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
