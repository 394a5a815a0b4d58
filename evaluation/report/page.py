"""The report's page: one HTML file that contains plotly.js, the figures and the tables."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from agentgym.evaluation.report.consistency import consistency_tab
from agentgym.evaluation.report.kept import first_picture
from agentgym.evaluation.report.panels import gather, nominal_returns
from agentgym.evaluation.report.pictures import pictures_tab
from agentgym.evaluation.report.plots import Page, tab_body
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.tables import conditions_csv, conditions_table, failures_table, summary_table
from agentgym.evaluation.report.words import verdict
from agentgym.evaluation.table import Evaluation

__all__ = ["assembled", "html"]

OVERVIEW, PICTURES, CONSISTENCY, ALL_CONDITIONS = "Overview", "Pictures", "Consistency", "All conditions"
NOTHING = Markup()
SIZE = "@@@@.@ MB"  # placeholder, replaced by the file's size


def html(evaluation: Evaluation) -> str:
    """Render the whole page.

    Raises:
        InvalidParameter: rows and scenes do not match.
    """
    panels = gather(evaluation)
    page = Page(evaluation, panels, nominal_returns(panels))
    agents = [(agent.name, _described(agent.algorithm, agent.trained_in, agent.steps)) for agent in evaluation.agents]
    return assembled(
        "Robustness report", evaluation.suite, agents, _facts(evaluation), verdict(evaluation, panels), _tabs(page),
        page.figures, ("conditions.csv", conditions_csv(panels)), evaluation.meta, MORE if len(agents) == 2 else "",
        first=first_picture(page),
    )  # fmt: skip


MORE = "More and less are counted where the paired 95 % interval of the difference excludes 0."


def assembled(
    heading: str, subject: str, agents: Sequence[tuple[str, str]], facts: Mapping[str, Any],
    findings: Sequence[tuple[str, str]], tabs: Mapping[str, Markup], figures: Mapping[str, str], table: tuple[str, str],
    meta: Mapping[str, Any], note: str = "", first: Markup = NOTHING,
) -> str:  # fmt: skip
    """One page of plots and tables.

    Args:
        heading, subject: the title.
        agents: names with what is known of each, in the order of their colours.
        facts: shown at the top.
        findings: topics with sentences; the topic "Failures" is shown in red.
        tabs: the body of each tab by name.
        figures: plotly's JSON by the id of its element.
        table: name and text of the CSV file that can be downloaded.
        meta: command and versions, as of a run.
        note: below the findings.
        first: above the findings, in the first tab.
    """
    scripts = [get_plotlyjs(), _own("page.js")]
    text = render(
        "page.html",
        heading=heading,
        subject=subject,
        agents=[{"name": name, "about": about} for name, about in agents],
        facts=facts,
        findings=findings,
        note=note,
        first=first,
        tabs=tabs,
        command=meta.get("command"),
        versions=_versions(meta),
        size=SIZE,
        style=Markup(_own("page.css")),
        policy=_policy(scripts),
        figures=_safe("{" + ",".join(f'"{name}":{figure}' for name, figure in figures.items()) + "}"),
        csv_name=table[0],
        csv=_safe(json.dumps(table[1])),
        scripts=[Markup(script) for script in scripts],
    )
    return str(text).replace(SIZE, f"{len(text.encode()) / 1e6:.1f} MB", 1)


def _tabs(page: Page) -> dict[str, Markup]:
    """The body of each tab by name, in the order of the suites."""
    tabs = {OVERVIEW: summary_table(page.panels, page.nominal) + failures_table(page.evaluation)}
    for tab in dict.fromkeys(panel.tab for panel in page.panels):
        body = tab_body(page, [panel for panel in page.panels if panel.tab == tab])
        tabs[tab] = tabs.get(tab, Markup()) + body
    if pictures := page.evaluation.meta.get("pictures"):
        tabs[PICTURES] = pictures_tab(pictures)
    if kept := consistency_tab(page):
        tabs[CONSISTENCY] = tabs.get(CONSISTENCY, Markup()) + kept
    tabs[ALL_CONDITIONS] = tabs.get(ALL_CONDITIONS, Markup()) + conditions_table(page.panels)
    return tabs


def _policy(scripts: list[str]) -> Markup:
    """A content security policy that allows no requests and only the page's own scripts, whatever names contain."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return Markup(f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:")


def _facts(evaluation: Evaluation) -> dict[str, Any]:
    """The facts at the top of the page, without unknown ones."""
    meta, failed = evaluation.meta, len(evaluation.failures())
    facts = {
        "environment": _environment(meta),
        "conditions": len(evaluation.scenes),
        "episodes per condition": meta.get("episodes"),
        "episodes in all": f"{len(evaluation.rows)}, {failed} failed" if failed else len(evaluation.rows),
        "seed": meta.get("seed"),
        "made": meta.get("created"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _environment(meta: dict[str, Any]) -> str | None:
    arguments = ", ".join(f"{name}={value}" for name, value in (meta.get("env_kwargs") or {}).items())
    return f"{meta['env']} ({arguments})" if arguments else meta.get("env")


def _described(algorithm: str, trained_in: str, steps: int) -> str:
    trained = f"trained in {trained_in}" if trained_in else ""
    length = f"{steps:,} steps".replace(",", " ") if steps else ""
    return ", ".join(part for part in (algorithm, trained, length) if part)


def _versions(meta: Mapping[str, Any]) -> dict[str, Any]:
    python = {"python": meta["python"]} if meta.get("python") else {}
    git = {"git": meta["git"]} if meta.get("git") else {}
    return {**python, **(meta.get("versions") or {}), **git}


def _safe(text: str) -> Markup:
    """JSON that cannot close its script element."""
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _own(name: str) -> str:
    return files("agentgym.evaluation.report").joinpath(name).read_text(encoding="utf-8")
