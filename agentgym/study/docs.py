"""A study for the documentation: its tables as NAME.md, its learning curves as NAME.png, and pictures of its own."""

from itertools import compress
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from agentgym.runs.files import write_file
from agentgym.study.evidence import Evidence
from agentgym.study.judging import function_of
from agentgym.study.runner import Results
from agentgym.study.tables import as_markdown

__all__ = ["write_docs"]

COLUMNS = 3  # panels side by side


def write_docs(results: Results, folder: Path | str) -> Path:
    """Write NAME.md and the pictures.

    Args:
        results: the study with its rows.
        folder: where to write.

    Returns:
        The path of the page.
    """
    study, folder = results.study, Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figure = draw_curves(results)
    picture = f"{study.name}.png"
    if figure is not None:
        figure.savefig(folder / picture, dpi=110)
    if study.pictures:
        function_of(study.pictures, study.folder)(results, folder)
    page = folder / f"{study.name}.md"
    write_file(page, as_markdown(results, folder, [picture] if figure is not None else []))
    return page


def draw_curves(results: Results) -> Figure | None:
    """Learning curves over environment steps: each run thin, the statistic over runs thick with its 95 % band."""
    labels = results.study.curves.labels
    panels = []
    for question in results.study.questions:
        evidence = Evidence(results, question)
        for env in evidence.envs:
            for name in labels or evidence.curve_names[:1]:
                if any(evidence.band(agent, env, name) for agent in evidence.agents):
                    panels.append((results.study.questions[question].title or question, evidence, env, name))
    if not panels:
        return None
    several = len({title for title, *_ in panels}) > 1, len({env for _, _, env, _ in panels}) > 1
    across = min(COLUMNS, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(5 * across, 3.8 * down), layout="constrained")
    for axes, (title, evidence, env, name) in zip(
        figure.subplots(down, across, squeeze=False).flat, panels, strict=False
    ):  # fmt: skip
        colours = {agent: f"C{number}" for number, agent in enumerate(evidence.agents)}
        for agent in evidence.agents:
            band = evidence.band(agent, env, name)
            if band is None:
                continue
            for x, y in evidence.curves(agent, env, name):
                axes.plot(x, y, color=colours[agent], alpha=0.25, linewidth=0.7)
            axes.fill_between(band.x, band.low, band.high, color=colours[agent], alpha=0.15, linewidth=0)
            label = f"{results.study.label(agent)} (n={band.runs})"
            axes.plot(band.x, band.value, color=colours[agent], linewidth=2, label=label)
        offline = bool(results.study.envs[env].dataset)
        axes.set(xlabel="gradient steps" if offline else "environment steps", ylabel=labels.get(name, name))
        shown = compress((title, results.study.env_label(env)), several)
        axes.set_title("\n".join(shown), fontsize="medium")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    for axes in figure.axes[len(panels) :]:
        axes.set_visible(False)
    return figure
