"""The report's page: one HTML file with plotly.js, the figures and the tables in it."""

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

from agentgym.evaluation.report.consistency import consistency_tab
from agentgym.evaluation.report.panels import gather, nominal_returns
from agentgym.evaluation.report.plots import Page, tab_body
from agentgym.evaluation.report.tables import conditions_csv, conditions_table, failures_table, summary_table
from agentgym.evaluation.report.words import verdict
from agentgym.evaluation.table import Evaluation

__all__ = ["html"]

OVERVIEW, CONSISTENCY, ALL_CONDITIONS = "Overview", "Consistency", "All conditions"
SUMMARY_NOTE = (
    "Brackets: 95 % bootstrap interval, episodes redrawn within their condition. IQM: mean of the middle half of all "
    "episodes. CVaR 10 %: mean of the worst tenth of all episodes. Worst: least mean of a condition; the least of "
    "noisy means is biased low, and its interval allows for the choice. Percentages: of the agent's nominal return."
)
DUEL_NOTE = "More and less are counted where the paired 95 % interval of the difference excludes 0."
SIZE = "@@@@.@ MB"  # replaced by the file's size once that is known


def html(evaluation: Evaluation) -> str:
    """The whole page.

    Raises:
        InvalidParameter: the rows and the scenes do not fit together.
    """
    panels = gather(evaluation)
    page = Page(evaluation, panels, nominal_returns(panels))
    tabs = {OVERVIEW: _overview(page)}
    for tab in dict.fromkeys(panel.tab for panel in panels):
        tabs[tab] = tabs.get(tab, "") + tab_body(page, [panel for panel in panels if panel.tab == tab])
    if kept := consistency_tab(page):
        tabs[CONSISTENCY] = tabs.get(CONSISTENCY, "") + kept
    tabs[ALL_CONDITIONS] = tabs.get(ALL_CONDITIONS, "") + _conditions(page)
    scripts = [get_plotlyjs(), _own("page.js")]
    body = (
        f"{_header(page)}{_tabs(tabs)}{_footer(evaluation)}"
        f'<script type="application/json" id="figures">{_figures(page)}</script>'
        f'<script type="application/json" id="csv">{_data(conditions_csv(panels))}</script>'
        + "".join(f"<script>{script}</script>" for script in scripts)
    )
    title = escape(f"Robustness report: {evaluation.suite}")
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>{title}</title>'
        f"<style>{_own('page.css')}</style></head><body>{body}</body></html>\n"
    )
    return text.replace(SIZE, f"{len(text.encode()) / 1e6:.1f} MB", 1)


def _policy(scripts: list[str]) -> str:
    """Nothing is loaded, and no script runs but the page's own, whatever stands in a name."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _header(page: Page) -> str:
    evaluation, meta = page.evaluation, page.evaluation.meta
    agents = "".join(
        f'<li><span class="dot agent-{index % 6}"></span><b>{escape(agent.name)}</b> '
        f"<span class=quiet>{escape(_described(agent.algorithm, agent.trained_in, agent.steps))}</span></li>"
        for index, agent in enumerate(evaluation.agents)
    )
    failed = sum(bool(row.error) for row in evaluation.rows)
    facts = {
        "environment": meta.get("env"),
        "conditions": len(evaluation.scenes),
        "episodes a condition": meta.get("episodes"),
        "episodes in all": f"{len(evaluation.rows)}, {failed} failed" if failed else len(evaluation.rows),
        "seed": meta.get("seed"),
        "made": meta.get("created"),
    }
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in facts.items()
        if value is not None
    )
    said = "".join(
        f"<li{' class=bad' if topic == 'Failures' else ''}><b>{escape(topic)}.</b> {escape(text)}</li>"
        for topic, text in verdict(evaluation, page.panels)
    )
    note = f"<p class=note>{DUEL_NOTE}</p>" if len(evaluation.agents) == 2 else ""
    findings = f'<section class="verdict"><h2>What the rows say</h2><ul>{said}</ul>{note}</section>' if said else ""
    return (
        f"<header><h1>Robustness report <span class=quiet>{escape(evaluation.suite)}</span></h1>"
        f'<ul class="agents">{agents}</ul><dl class="facts">{shown}</dl>{findings}</header>'
    )


def _described(algorithm: str, trained_in: str, steps: int) -> str:
    trained = f"trained in {trained_in}" if trained_in else ""
    length = f"{steps:,} steps".replace(",", " ") if steps else ""
    return ", ".join(part for part in (algorithm, trained, length) if part)


def _tabs(tabs: dict[str, str]) -> str:
    buttons = "".join(
        f'<button role="tab" id="tab-{index}" aria-controls="panel-{index}" aria-selected="false" '
        f'data-tab="{escape(name)}">{escape(name)}</button>'
        for index, name in enumerate(tabs)
    )
    bodies = "".join(
        f'<section role="tabpanel" id="panel-{index}" aria-labelledby="tab-{index}" class="tab"'
        f'{"" if index == 0 else " hidden"}><h2 class="print-only">{escape(name)}</h2>{body}</section>'
        for index, (name, body) in enumerate(tabs.items())
    )
    return f'<nav role="tablist" aria-label="Sections">{buttons}</nav><main>{bodies}</main>'


def _overview(page: Page) -> str:
    return (
        '<section class="panel wide"><h3>Summary</h3>'
        + summary_table(page.panels, page.nominal)
        + f"<p class=note>{SUMMARY_NOTE}</p></section>"
        + failures_table(page.evaluation)
    )


def _conditions(page: Page) -> str:
    return (
        '<section class="panel wide"><h3>Every agent under every condition</h3><div class="tools">'
        '<input type="search" id="filter" placeholder="Filter rows" aria-label="Filter rows">'
        '<button id="download" type="button">Download as CSV</button></div>'
        + conditions_table(page.panels)
        + "</section>"
    )


def _footer(evaluation: Evaluation) -> str:
    meta = evaluation.meta
    command = f"<pre><code>{escape(str(meta['command']))}</code></pre>" if meta.get("command") else ""
    versions = dict(meta.get("versions") or {})
    if meta.get("python"):
        versions = {"python": meta["python"], **versions}
    if meta.get("git"):
        versions["git"] = meta["git"]
    listed = ", ".join(f"{escape(str(name))} {escape(str(value))}" for name, value in versions.items())
    return (
        f"<footer><h2>How this was made</h2>{command}<p>{listed}</p><p>This file: {SIZE}; it loads nothing else.</p>"
        "<noscript><p><b>The plots and the tabs need JavaScript.</b></p></noscript></footer>"
    )


def _figures(page: Page) -> str:
    return _safe("{" + ",".join(f'"{name}":{text}' for name, text in page.figures.items()) + "}")


def _data(value: Any) -> str:
    return _safe(json.dumps(value))


def _safe(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _own(name: str) -> str:
    return files("agentgym.evaluation.report").joinpath(name).read_text(encoding="utf-8")
