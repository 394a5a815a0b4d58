"""The body of each tab: plots with headings, notes and sliders."""

from dataclasses import dataclass, field
from html import escape
from typing import Any

from markupsafe import Markup

from agentgym.evaluation.report import figures, fronts, heatmaps, timelines
from agentgym.evaluation.report.panels import Panel
from agentgym.evaluation.report.rendering import render
from agentgym.evaluation.report.words import coordinate
from agentgym.evaluation.table import Evaluation
from agentgym.stats import Estimate

__all__ = ["Figures", "Page", "Plot", "Section", "tab_body"]

PROFILE_FROM = 4  # minimum number of conditions for a performance profile
LINES_KEY = "Band: 95 % interval. Dotted: nominal return. Open marker: some episodes failed. Grey ×: all did."
FAILURE_NOTE = (
    "Grey ×: no episode was finished. !: some were not, and the mean is over the others. "
    "Point at the cell for the error."
)


@dataclass(frozen=True)
class Plot:
    """A placeholder in which a figure will be drawn.

    Attributes:
        name: id of the element and key of the figure.
        label: description for screen readers.
        height: height in pixels.
        caption: heading above it, if several plots are side by side.
    """

    name: str
    label: str
    height: int
    caption: str = ""


@dataclass(frozen=True)
class Slider:
    """Selects the slice along the third coordinate."""

    axis: str
    levels: list[str]
    first: int


@dataclass(frozen=True)
class Section:
    """A heading with plots and a note.

    Attributes:
        wide: whether it spans the whole width instead of a column.
        maps: whether it has several plots side by side.
        width: maximum width in pixels.
        agent: index of the agent whose coloured dot precedes the heading.
    """

    heading: str
    plots: list[Plot]
    notes: tuple[str, ...] = ()
    wide: bool = True
    maps: bool = False
    width: int | None = None
    slider: Slider | None = None
    agent: int | None = None


@dataclass
class Figures:
    """Collects the figures of a page. They are stored separately and drawn when their tab is first opened."""

    figures: dict[str, str] = field(default_factory=dict, kw_only=True)

    def plot(self, figure: Any, label: str, caption: str = "") -> Plot:
        """Add a figure to the page."""
        name = f"figure-{len(self.figures)}"
        self.figures[name] = figure.to_json()
        return Plot(name, label, figure.layout.height, caption)


@dataclass
class Page(Figures):
    """A robustness report with its figures."""

    evaluation: Evaluation
    panels: list[Panel]
    nominal: dict[str, Estimate]


def tab_body(page: Page, panels: list[Panel]) -> Markup:
    """The plots of one tab: curves in columns with a common scale, all others over the whole width."""
    shown = [mean for panel in panels if panel.kind == "curve" for mean in _reach(panel)]
    shown += [nominal.value for nominal in page.nominal.values()] if shown else []
    span = (min(shown), max(shown)) if shown else (0.0, 1.0)
    sections = [_section(page, panel, span) for panel in panels]
    priced, tables = _priced(page, panels)
    sections += priced + _by_turns(page, panels)
    scored = [panel for panel in panels if panel.kind != "nominal"]
    if sum(len(cells) for panel in scored for cells in list(panel.cells.values())[:1]) >= PROFILE_FROM and any(
        panel.means() for panel in scored
    ):
        note = "For every return τ, the fraction of this tab's conditions with a higher mean return: higher is better."
        heading = "Performance profile"
        sections.append(Section(heading, [page.plot(figures.profile(scored), heading)], (note,)))
    lines = any(panel.kind == "curve" or (len(panel.axes) == 1 and panel.kind == "grid") for panel in panels)
    legend = [agent.name for agent in page.evaluation.agents]
    body = render("plots.html", sections=sections, legend=legend, key=LINES_KEY if lines else "", note="")
    return body + tables


def _priced(page: Page, panels: list[Panel]) -> tuple[list[Section], Markup]:
    """The fronts of plots whose episodes have success and cost, and their tables."""
    sections, tables = [], Markup()
    agents = [agent.name for agent in page.evaluation.agents]
    for panel in panels:
        found = fronts.points(page.evaluation, panel) if panel.kind == "matrix" else []
        if found:
            heading = f"{panel.name}: solved tasks against cost"
            plot = page.plot(fronts.front(found, agents), heading)
            sections.append(Section(heading, [plot], (fronts.volumes(found),)))
            tables += fronts.paired_table(found, agents)
    return sections, tables


def _by_turns(page: Page, panels: list[Panel]) -> list[Section]:
    """Single episodes of this tab's conditions, for each agent."""
    shown = {cell.condition for panel in panels for _, cell in panel.all_cells()}
    told = [one for one in page.evaluation.meta.get("timelines", ()) if one["condition"] in shown]
    sections = []
    for index, agent in enumerate(page.evaluation.agents):
        if mine := [one for one in told if one["agent"] == agent.name]:
            heading = f"{agent.name}: the first tasks, turn by turn"
            sections.append(
                Section(heading, [page.plot(timelines.figure(mine), heading)], (timelines.NOTE,), agent=index)
            )
    return sections


def _reach(panel: Panel) -> list[float]:
    """All values that must fit on a curve's scale."""
    known = [cell.mean for _, cell in panel.all_cells() if cell.finished]
    ends = [end for mean in known for end in (mean.value, mean.low, mean.high)]
    return [end for end in ends if end == end]


def _section(page: Page, panel: Panel, span: tuple[float, float]) -> Section:
    label = f"{panel.name}: mean return of {', '.join(panel.cells)}"
    if panel.kind == "curve":
        figure = figures.curves(panel, "intensity", page.nominal, span, "intensity")
        return Section(panel.name, [page.plot(figure, label)], wide=False)
    if panel.kind == "nominal":
        note = "Every episode in the undisturbed environment, with its median and quartiles."
        return Section(panel.name, [page.plot(figures.nominal(panel), label)], (note,))
    if panel.kind == "matrix":
        trained_in = {agent.name: agent.trained_in or "an unknown environment" for agent in page.evaluation.agents}
        plot = page.plot(heatmaps.matrix(panel, trained_in), label)
        width = 260 + 190 * len(panel.values("test"))  # wide enough for the numbers in the cells
        return Section(panel.name, [plot], _failure_notes(panel), width=width)
    if len(panel.axes) == 1:
        reach = _reach(panel) + [nominal.value for nominal in page.nominal.values()]
        own = (min(reach), max(reach)) if reach else (0.0, 1.0)
        figure = figures.curves(panel, panel.axes[0], page.nominal, own, escape(panel.axes[0]))
        return Section(panel.name, [page.plot(figure, label)])
    return _grid(page, panel)


def _grid(page: Page, panel: Panel) -> Section:
    first = heatmaps.worst_slice(panel)
    maps = heatmaps.grid_maps(panel, first)
    difference = heatmaps.difference_map(panel, first)
    plots = [
        page.plot(shown.figure, f"{panel.name}: {shown.title}", shown.title)
        for shown in [*maps, *([difference] if difference else [])]
    ]
    note = "All agents on one colour scale; the frame marks each agent's worst cell."
    note += " The difference is in pairs of episodes with equal seeds." if difference else ""
    slider = None
    if len(panel.axes) == 3:
        slider = Slider(panel.axes[2], [coordinate(value) for value in panel.values(panel.axes[2])], first)
    return Section(panel.name, plots, (note, *_failure_notes(panel)), maps=True, slider=slider)


def _failure_notes(panel: Panel) -> tuple[str, ...]:
    return (FAILURE_NOTE,) if any(cell.failed or cell.error for _, cell in panel.all_cells()) else ()
