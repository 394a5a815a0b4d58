"""The first picture: shares of the nominal return, by kind of trouble."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from agentgym.evaluation.report.kept import first_picture, kept, troubles
from agentgym.evaluation.report.panels import gather, nominal_returns
from agentgym.evaluation.report.plots import Page
from agentgym.stats import bootstrap_interval


def page_of(evaluation):
    panels = gather(evaluation)
    return Page(evaluation, panels, nominal_returns(panels))


def only(evaluation, *tabs):
    """The same with some of its tabs alone."""
    scenes = {name: scene for name, scene in evaluation.scenes.items() if scene.tab in ("Overview", *tabs)}
    return replace(evaluation, scenes=scenes, rows=[row for row in evaluation.rows if row.condition in scenes])


def shifted(evaluation, by):
    return replace(evaluation, rows=[replace(row, episode_return=row.episode_return + by) for row in evaluation.rows])


def drawn(evaluation):
    """The data of the figure, by plotly's names."""
    page = page_of(evaluation)
    body = first_picture(page)
    return body, json.loads(next(iter(page.figures.values()))) if page.figures else None


def test_a_share_is_the_mean_over_conditions_over_the_nominal_mean(evaluation):
    page = page_of(evaluation)
    row = next(row for row in troubles(page.panels) if row.name == "Parameter grid")
    nominal = np.array(evaluation.returns("nominal", "nominal"))
    found = [np.array(evaluation.returns("nominal", name)) for name in evaluation.scenes if "cart_mass" in name]
    known = [returns.mean() for returns in found if returns.size]
    one = kept(row.cells["nominal"], nominal)
    assert one.mean.value == pytest.approx(np.mean(known) / nominal.mean())
    assert one.worst == pytest.approx(min(known) / nominal.mean())
    assert one.worst_condition == "pole_mass=11, cart_mass=3.5"
    assert one.lost == 1  # of the nine cells, one has no finished episode
    assert kept(row.cells["randomised"], nominal).lost == 0


def test_the_interval_redraws_the_nominal_episodes_as_well(evaluation):
    cells = next(row for row in troubles(page_of(evaluation).panels) if row.name == "One parameter").cells["randomised"]
    nominal = np.array(evaluation.returns("randomised", "nominal"))
    one, rng = kept(cells, nominal), np.random.default_rng(3)

    def redrawn(returns):
        return rng.choice(returns, (20_000, len(returns))).mean(axis=1)

    draws = np.mean([redrawn(cell.returns) for cell in cells], axis=0) / redrawn(nominal)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (one.mean.low, one.mean.high) == pytest.approx((low, high), rel=2e-3)
    steady = kept(cells, np.full(6, nominal.mean())).mean
    assert steady.high - steady.low < 0.9 * (one.mean.high - one.mean.low)
    assert kept([replace(cells[0], returns=np.zeros(0))]) is None


def test_means_of_conditions_are_redrawn_alike_by_both_paths(evaluation, monkeypatch):
    groups = [np.array(evaluation.returns("randomised", name)) for name in evaluation.scenes]
    some = bootstrap_interval(groups, np.mean, within=np.mean)
    monkeypatch.setattr("agentgym.stats.LARGE", 1)  # the compiled path
    many = bootstrap_interval(groups, np.mean, within=np.mean)
    assert (many.value, many.low, many.high) == pytest.approx((some.value, some.low, some.high), rel=1e-12)


def test_bars_are_in_the_order_of_the_tabs(evaluation):
    body, figure = drawn(evaluation)
    assert "How much of its nominal return each agent keeps" in body
    assert "Conditions in which an agent finished no episode are left out" in body
    assert "100 % is a return of 1 000 [" in body
    assert "960 [" in body
    names = ["Parameter grid", "Three parameters", "One parameter", "Observation", "Transfer"]
    assert figure["layout"]["yaxis"]["ticktext"] == names
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert [len(bar["x"]) for bar in bars] == [5, 5]
    assert all(mine < theirs for mine, theirs in zip(bars[0]["x"], bars[1]["x"], strict=True))
    assert "Parameter grid<br>62 % of the nominal return [" in bars[0]["hovertext"][0]
    assert "1 without a finished episode" in bars[0]["hovertext"][0]
    texts = [note["text"] for note in figure["layout"]["annotations"]]
    assert texts == [f"{100 * value:.0f} %" for bar in bars for value in bar["x"]]


def test_returns_without_a_meaningful_share_are_shown_as_returns(evaluation):
    body, figure = drawn(shifted(evaluation, -2000.0))
    assert "Mean return under each kind of trouble" in body
    assert "percentage of" not in body
    assert {trace["type"] for trace in figure["data"]} == {"scatter"}
    dotted = [trace["x"][0] for trace in figure["data"] if trace["mode"] == "lines"]
    assert dotted == pytest.approx([-1000.0, -1040.0])
    assert figure["data"][0]["x"][-1] == pytest.approx(-1400.0)  # transfer: the mean of 900 and 300, less 2000


def test_a_catastrophe_does_not_hide_the_rest(evaluation):
    """Where returns fall a thousand nominal returns below zero, the axis ends and an arrow has the number."""
    rows = [replace(row, episode_return=-1e6) if "delay" in row.condition else row for row in evaluation.rows]
    body, figure = drawn(replace(evaluation, rows=rows))
    assert "Arrow: beyond the axis, which ends 2 nominal returns below zero" in body
    low, high = figure["layout"]["xaxis"]["range"]
    assert low == pytest.approx(-2 * 1000.0)
    assert 1000 < high < 2000
    place = figure["layout"]["yaxis"]["ticktext"].index("Observation")
    means, worst = (figure["data"][index] for index in (0, 1))
    for trace in (means, worst):
        assert trace["x"][place] == low
        assert trace["marker"]["symbol"][place] == "triangle-left"
        assert min(trace["x"]) == low
    assert means["text"][place].startswith("−")
    assert [text for index, text in enumerate(means["text"]) if index != place] == [""] * 4
    assert worst["text"] == [""] * 5


def test_few_tabs_show_their_plots(evaluation):
    _, figure = drawn(only(evaluation, "Observation"))
    assert figure["layout"]["yaxis"]["ticktext"] == ["noise (stds)", "dropout", "delay (steps)"]
    _, figure = drawn(only(evaluation, "Observation", "Transfer"))
    assert figure["layout"]["yaxis"]["ticktext"][-1].replace("<br>", " ") == "Transfer: trained in × tested in"
    assert drawn(only(evaluation)) == ("", None)


def test_names_are_text(make_evaluation, hostile):
    evaluation = make_evaluation((hostile, "other"))
    body, figure = drawn(evaluation)
    assert "<script>" not in body
    bar = next(trace for trace in figure["data"] if trace["type"] == "bar")
    assert all("<script>" not in text and "&lt;script&gt;" in text for text in bar["hovertext"])
    assert all(math.isfinite(value) for value in bar["x"])
