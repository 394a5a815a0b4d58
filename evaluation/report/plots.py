"""The body of each tab: its plots with their headings, notes and sliders."""

import json
from dataclasses import dataclass, field
from html import escape
from typing import Any

from agentgym.evaluation.report import figures, heatmaps
from agentgym.evaluation.report.panels import Panel
from agentgym.evaluation.report.words import coordinate
from agentgym.evaluation.table import Evaluation
from agentgym.stats import Estimate

__all__ = ["Page", "tab_body"]

PROFILE_FROM = 4  # a performance profile needs some conditions to be one


@dataclass
class Page:
    """The page while it is put together: figures are kept apart and drawn when their tab is first shown."""

    evaluation: Evaluation
    panels: list[Panel]
    nominal: dict[str, Estimate]
    figures: dict[str, str] = field(default_factory=dict)

    def plot(self, figure: Any, label: str) -> str:
        """The place where a figure will be drawn; ``label`` describes it to who cannot see it."""
        name = f"figure-{len(self.figures)}"
        self.figures[name] = figure.to_json()
        height = f"min-height:{figure.layout.height}px"
        return f'<div class="plot" id="{name}" role="img" aria-label="{escape(label)}" style="{height}"></div>'


def tab_body(page: Page, panels: list[Panel]) -> str:
    """The plots of one tab: curves in columns, on one scale; everything else over the whole width."""
    shown = [mean for panel in panels if panel.kind == "curve" for mean in _reach(panel)]
    shown += [nominal.value for nominal in page.nominal.values()] if shown else []
    span = (min(shown), max(shown)) if shown else (0.0, 1.0)
    body = _legend(page, panels) + "".join(_panel(page, panel, span) for panel in panels)
    scored = [panel for panel in panels if panel.kind != "nominal"]
    if sum(len(cells) for panel in scored for cells in list(panel.cells.values())[:1]) >= PROFILE_FROM and any(
        panel.means() for panel in scored
    ):
        note = "For every return τ, the fraction of this tab's conditions with a higher mean return: higher is better."
        plot = page.plot(figures.profile(scored), "Performance profile")
        body += f'<section class="panel wide"><h3>Performance profile</h3>{plot}<p class=note>{note}</p></section>'
    return f'<div class="plots">{body}</div>'


def _reach(panel: Panel) -> list[float]:
    """All that a curve's scale has to hold."""
    known = [cell.mean for _, cell in panel.all_cells() if cell.returns]
    ends = [end for mean in known for end in (mean.value, mean.low, mean.high)]
    return [end for end in ends if end == end]


def _legend(page: Page, panels: list[Panel]) -> str:
    names = "".join(
        f'<span><span class="dot agent-{index % len(figures.COLOURS)}"></span>{escape(agent.name)}</span>'
        for index, agent in enumerate(page.evaluation.agents)
    )
    lines = any(panel.kind == "curve" or (len(panel.axes) == 1 and panel.kind == "grid") for panel in panels)
    key = "Band: 95 % interval. Dotted: nominal return. Open marker: some episodes failed. Grey ×: all did."
    return f'<p class="legend">{names}{f"<span class=quiet>{key}</span>" if lines else ""}</p>'


def _panel(page: Page, panel: Panel, span: tuple[float, float]) -> str:
    label = f"{panel.name}: mean return of {', '.join(panel.cells)}"
    name = escape(panel.name)
    if panel.kind == "curve":
        figure = figures.curves(panel, "intensity", page.nominal, span, "intensity")
        return f'<section class="panel"><h3>{name}</h3>{page.plot(figure, label)}</section>'
    if panel.kind == "nominal":
        return (
            f'<section class="panel wide"><h3>{name}</h3>{page.plot(figures.nominal(panel), label)}'
            "<p class=note>Every episode in the undisturbed environment, with its median and quartiles.</p></section>"
        )
    if panel.kind == "matrix":
        trained_in = {agent.name: agent.trained_in or "an unknown environment" for agent in page.evaluation.agents}
        figure = heatmaps.matrix(panel, trained_in)
        width = 260 + 190 * len(panel.values("test"))  # cells as wide as their numbers need
        plot = f'<div style="max-width:{width}px">{page.plot(figure, label)}</div>'
        return f'<section class="panel wide"><h3>{name}</h3>{plot}{_failure_note(panel)}</section>'
    if len(panel.axes) == 1:
        reach = _reach(panel) + [nominal.value for nominal in page.nominal.values()]
        own = (min(reach), max(reach)) if reach else (0.0, 1.0)
        figure = figures.curves(panel, panel.axes[0], page.nominal, own, escape(panel.axes[0]))
        return f'<section class="panel wide"><h3>{name}</h3>{page.plot(figure, label)}</section>'
    return _grid(page, panel)


def _grid(page: Page, panel: Panel) -> str:
    first = heatmaps.worst_slice(panel)
    maps = heatmaps.grid_maps(panel, first)
    difference = heatmaps.difference_map(panel, first)
    drawn = "".join(
        f"<figure><figcaption>{escape(shown.title)}</figcaption>"
        f"{page.plot(shown.figure, f'{panel.name}: {shown.title}')}</figure>"
        for shown in [*maps, *([difference] if difference else [])]
    )
    note = "All agents on one colour scale; the frame marks each agent's worst cell."
    note += " The difference is in pairs of episodes with equal seeds." if difference else ""
    return (
        f'<section class="panel wide"><h3>{escape(panel.name)}</h3>{_slider(panel, first)}'
        f'<div class="maps">{drawn}</div>'
        f"<p class=note>{note}</p>{_failure_note(panel)}</section>"
    )


def _slider(panel: Panel, first: int) -> str:
    """Moves through the slices along the third coordinate."""
    if len(panel.axes) < 3:
        return ""
    levels = [coordinate(value) for value in panel.values(panel.axes[2])]
    return (
        f'<label class="slider">{escape(panel.axes[2])} = <output>{escape(levels[first])}</output>'
        f'<input type="range" min="0" max="{len(levels) - 1}" value="{first}" '
        f'data-levels="{escape(json.dumps(levels))}"></label>'
    )


def _failure_note(panel: Panel) -> str:
    if not any(cell.failed or cell.error for _, cell in panel.all_cells()):
        return ""
    return (
        "<p class=note>Grey ×: no episode was finished. !: some were not, and the mean is over the others. "
        "Point at the cell for the error.</p>"
    )
