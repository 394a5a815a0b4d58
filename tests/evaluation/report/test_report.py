"""What stands in the report's file, without a browser."""

import csv
import io
import json
import math
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from agentgym.errors import InvalidParameter, MissingExtra
from agentgym.evaluation.report import require, write_report
from agentgym.evaluation.report.heatmaps import difference_map, grid_maps, worst_slice
from agentgym.evaluation.report.panels import differences, gather, nominal_returns
from agentgym.evaluation.report.tables import conditions_csv
from agentgym.evaluation.report.words import number, share, verdict
from agentgym.evaluation.table import Evaluation, Row, Scene
from agentgym.stats import Estimate


def panel_named(evaluation, name):
    return next(panel for panel in gather(evaluation) if panel.name == name)


def returns(evaluation, agent, condition):
    return np.array(evaluation.returns(agent, condition))


def values_of(figure, index=0):
    return figure.data[index].z


def test_every_cell_holds_the_mean_of_its_rows(evaluation):
    cells = [(agent, cell) for panel in gather(evaluation) for agent, cell in panel.all_cells()]
    assert len(cells) == 2 * len(evaluation.scenes)
    for agent, cell in cells:
        found = returns(evaluation, agent, cell.condition)
        assert len(found) + cell.failed == 6
        if len(found):
            assert cell.mean.value == pytest.approx(found.mean())
            assert cell.mean.low <= cell.mean.value <= cell.mean.high
        else:
            assert math.isnan(cell.mean.value)
            assert "left" in cell.error


def test_heat_maps_place_every_condition(evaluation):
    panel = panel_named(evaluation, "pole_mass × cart_mass")
    first, second = grid_maps(panel, 0)
    assert first.title == "nominal"
    for place, agent in ((first, "nominal"), (second, "randomised")):
        xs, ys = (axis.ticktext for axis in (place.figure.layout.xaxis, place.figure.layout.yaxis))
        for row, column in np.ndindex(3, 3):
            found = returns(evaluation, agent, f"pole_mass={xs[column]}, cart_mass={ys[row]}")
            value = values_of(place.figure)[row][column]
            assert value is None if not len(found) else value == pytest.approx(found.mean())
    scales = [(place.figure.data[0].zmin, place.figure.data[0].zmax) for place in (first, second)]
    assert scales[0] == scales[1] == (min(panel.means()), max(panel.means()))


def test_a_failed_cell_is_grey_and_says_why(evaluation):
    figure = grid_maps(panel_named(evaluation, "pole_mass × cart_mass"), 0)[0].figure
    grey = figure.data[1]
    assert values_of(figure)[2][2] is None
    assert [(r, c) for r, c in np.ndindex(3, 3) if grey.z[r][c] is not None] == [(2, 2)]
    assert "6 episodes failed" in grey.hovertext[2][2]
    assert "ValueError: the pendulum &lt;b&gt;left&lt;/b&gt;" in grey.hovertext[2][2]
    assert figure.data[0].text[2][0].endswith("!")  # two of six failed
    assert "2 episodes failed" in figure.data[0].hovertext[2][0]


def test_slices_of_a_three_dimensional_grid(evaluation):
    panel = panel_named(evaluation, "torso × friction × thigh")
    assert worst_slice(panel) == 2  # thigh_mass = 3, where the returns are least
    figure = grid_maps(panel, 2)[0].figure
    for level, thigh in enumerate((1, 2, 3)):
        slice_ = [trace for trace in figure.data if trace.meta == level]
        assert all(trace.visible == (level == 2) for trace in slice_)
        expected = returns(evaluation, "nominal", f"torso 2 friction 0.5 thigh {thigh}").mean()
        assert slice_[0].z[0][1] == pytest.approx(expected)


def test_differences_are_paired_by_episode(evaluation):
    panel = panel_named(evaluation, "pole_mass × cart_mass")
    gaps = differences(panel, "nominal", "randomised")
    figure = difference_map(panel, 0).figure
    for gap, left in zip(gaps, panel.cells["nominal"], strict=True):
        right = returns(evaluation, "randomised", left.condition)
        if not left.finished:
            assert math.isnan(gap.value)
            continue
        pairs = right[left.episodes] - left.returns
        assert gap.value == pytest.approx(pairs.mean())
        # Both agents' episodes are laid out alike, so every pair has the same difference.
        assert gap.low == pytest.approx(gap.high)
    assert values_of(figure)[0][0] == pytest.approx(gaps[0].value)
    assert figure.data[0].zmin == -figure.data[0].zmax
    assert difference_map(panel_named(single(evaluation), "pole_mass × cart_mass"), 0) is None


def single(evaluation):
    """The same with the first agent alone."""
    return Evaluation(
        evaluation.suite,
        evaluation.agents[:1],
        evaluation.scenes,
        [row for row in evaluation.rows if row.agent == "nominal"],
        evaluation.meta,
    )


def test_the_verdict_is_computed_from_the_rows(evaluation):
    said = dict(verdict(evaluation, gather(evaluation)))
    assert said["Failures"].startswith("14 of 480 episodes failed")
    panel = panel_named(evaluation, "pole_mass × cart_mass")
    worst = panel.summaries["randomised"].scores.worst.value
    kept = f"{100 * worst / nominal_returns([*gather(evaluation)])['randomised'].value:.0f} %"
    assert f"and {kept} in its worst cell (pole_mass=11, cart_mass=6)" in said["Parameter grid"]
    assert "In 8 of 9 conditions randomised returns more than nominal, in 0 less." in said["Parameter grid"]
    assert "nominal is hurt most by noise (stds) at 5, which leaves 78 %" in said["Observation"]
    assert "nominal returns 900 on nominal and 300 on randomised" in said["Transfer"]


def test_what_does_no_harm_is_not_called_harm(evaluation):
    rows = [
        replace(row, episode_return=1500.0, error="") if row.condition.startswith("Observation") else row
        for row in evaluation.rows
    ]
    unharmed = replace(evaluation, rows=rows)
    said = dict(verdict(unharmed, gather(unharmed)))["Observation"]
    assert said.startswith("nominal never falls below its nominal return; randomised never falls below")


def test_percentages_only_where_they_mean_something():
    assert share(93.0, Estimate(100.0, 99.0, 101.0)) == "93 %"
    assert share(0.4, Estimate(100.0, 99.0, 101.0)) == "0.4 %"
    for value, nominal in ((-300.0, -150.0), (-5.0, 100.0), (5.0, 0.0)):
        assert share(value, Estimate(nominal, nominal, nominal)) == ""
    assert share(1.0, None) == ""


def test_negative_returns_are_told_without_percentages(evaluation):
    shifted = replace(
        evaluation, rows=[replace(row, episode_return=row.episode_return - 2000.0) for row in evaluation.rows]
    )
    said = dict(verdict(shifted, gather(shifted)))["Parameter grid"]
    assert "%" not in said
    assert "(nominal −1 000)" in said


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12 346"), (0.012345, "0.0123"), (-181.26, "−181"), (math.nan, "–"), (99.96, "100")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_csv_holds_every_number(evaluation):
    panels = gather(evaluation)
    rows = list(csv.DictReader(io.StringIO(conditions_csv(panels))))
    cells = [(panel, agent, cell) for panel in panels for agent, cell in panel.all_cells()]
    assert len(rows) == len(cells) == 80
    for row, (panel, agent, cell) in zip(rows, cells, strict=True):
        assert (row["tab"], row["plot"], row["condition"], row["agent"]) == (
            panel.tab,
            panel.name,
            cell.condition,
            agent,
        )
        assert row["mean"] == ("" if math.isnan(cell.mean.value) else repr(cell.mean.value))
        assert int(row["failed"]) == cell.failed
        assert row["error or note"] == cell.error


@pytest.fixture(scope="module")
def text(evaluation, tmp_path_factory):
    return write_report(evaluation, tmp_path_factory.mktemp("report") / "deep" / "report.html").read_text("utf-8")


def test_the_file_needs_nothing_else(text):
    page = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//|file:)|@import|url\(""", page)
    assert text.count("<script>") == 2  # plotly.js once, and ours
    assert "default-src 'none'" in text


def test_the_file_says_how_it_was_made(text, evaluation):
    for part in (evaluation.meta["command"], "torch 2.13.0", "git abc123", "2026-01-02", "RobustInvertedPendulum"):
        assert part in text
    stated = float(re.search(r"This file: ([\d.]+) MB", text)[1])
    assert stated == pytest.approx(len(text.encode()) / 1e6, abs=0.06)


def test_figures_are_plain_json(text):
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, flags=re.DOTALL)[1]
    figures = json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert len(figures) == 2 + 4 + 4 + 2 + 4 + 1


def test_nothing_known_of_the_making(evaluation, tmp_path):
    text = write_report(replace(evaluation, meta={}), tmp_path / "report.html").read_text("utf-8")
    assert "How this was made" in text
    assert "None" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_one_agent_that_failed_everywhere(evaluation, tmp_path):
    rows = [replace(row, episode_return=math.nan, error="boom") for row in single(evaluation).rows]
    text = write_report(replace(single(evaluation), rows=rows), tmp_path / "report.html").read_text("utf-8")
    assert "240 of 240 episodes failed" in text
    assert "240 failed episodes" in text


def test_conditions_without_rows_are_not_hidden(evaluation):
    rows = [row for row in evaluation.rows if row.condition != "mass=8"]
    cell = panel_named(replace(evaluation, rows=rows), "mass").cells["nominal"][-1]
    assert (cell.condition, cell.error) == ("mass=8", "no episode was played")


def test_rows_and_scenes_that_do_not_fit(evaluation, tmp_path):
    target = tmp_path / "report.html"
    stranger = Row("stranger", "nominal", 0, 0, 1.0, 1)
    lost = Row("nominal", "lost", 0, 0, 1.0, 1)
    broken = {
        "stranger": replace(evaluation, rows=[*evaluation.rows, stranger]),
        "lost": replace(evaluation, rows=[*evaluation.rows, lost]),
        "no agent": replace(evaluation, agents=[], rows=[]),
        "intensity": replace(evaluation, rows=[], scenes={"x": Scene("t", "p", "curve", {"strength": 1.0})}),
        "4 coordinates": replace(
            evaluation, rows=[], scenes={"x": Scene("t", "p", "grid", dict.fromkeys("abcd", 1.0))}
        ),
        "another kind": replace(
            evaluation, rows=[], scenes={"x": Scene("t", "p", "nominal"), "y": Scene("t", "p", "grid", {"a": 1.0})}
        ),
    }
    for words, bad in broken.items():
        with pytest.raises(InvalidParameter, match=words):
            write_report(bad, target)
    assert not target.exists()


def test_plotly_missing(evaluation, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    for call in (require, lambda: write_report(evaluation, tmp_path / "report.html")):
        with pytest.raises(MissingExtra, match=re.escape('pip install "agentgym[report]"')):
            call()
    assert not list(tmp_path.iterdir())
