"""The page docs/results/swarm_flow.md and its picture, from the rows that swarm_nozzle.py saved."""

import json
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from agentgym.runs.metrics import Table

__all__ = ["write"]

Row = dict[str, str]
HEAD = """# Swarms against quasi-one-dimensional flow

Errors are root mean squares in 30 bins along the nozzle, over the mean and over the range of the quasi-1-D solution, of
the SPH controller started from that flow, one seed. `python benchmarks/swarm_nozzle.py table|lags|switch --save` makes
the rows, `python benchmarks/swarm_nozzle.py page` this page.
"""
LAGS = """
## Lag

About 400 agents for 40 s; errors of u / rho over the mean in the last 20 s; r is the vehicle's lag in h / c0.
First-order lags are commanded every 0.05 h / c0, full quadcopters at 50 Hz: the duct is so large that their inner
loops' lag of 0.083 s is r h / c0. A lead of 1.25 lags acts on predicted positions. *separation* is the least distance
of two agents in spacings, *off* the share by which the number of agents differs at the end, both of the worst case.

![Errors against lag](swarm_flow.png)
"""


def write(folder: Path) -> None:
    """Write the page and the picture into the folder of the rows."""
    table, lags, switch = (Table(folder / f"swarm_flow_{name}.csv").rows() for name in ("table", "lags", "switch"))
    lines = [HEAD, *_table(table), *_over_time(table), *_switch(switch), LAGS, *_lags(lags)]
    (folder / "swarm_flow.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _picture(lags).savefig(folder / "swarm_flow.png", dpi=110)


def _case(row: dict[str, str]) -> str:
    return f"{row['case']}, {row['mode']}" + (", from rest" if row["start"] == "rest" else "")


def _table(rows: list[Row]) -> Iterator[str]:
    yield "## All branches\n"
    yield "Averages over windows of 40 s; those of the last that is at least half as long. *flux* is the standard"
    yield "deviation over the mean along x.\n"
    yield "| case, mode, agents | seconds | u | rho | p | T | flux | M in throat and exit (reference) | CPU s / s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        errors = " | ".join(
            f"{float(row[f'{x}_mean']):.3f} / {float(row[f'{x}_range']):.3f}" for x in ("u", "rho", "p", "T")
        )
        throat, end = json.loads(row["reference"])
        yield (
            f"| {_case(row)}, {row['agents']} | {float(row['seconds']):g} | {errors} | "
            f"{float(row['flux_variation']):.1%} | {float(row['mach_throat']):.2f}, {float(row['mach_exit']):.2f} "
            f"({throat:.2f}, {end:.2f}) | {float(row['cpu_per_second']):.2f} |"
        )


def _over_time(rows: list[Row]) -> Iterator[str]:
    long = [row for row in rows if float(row["seconds"]) >= 200]
    if not long:
        return
    ends = [end for end, _, _ in json.loads(long[0]["history"])]
    yield "\n## Over time\n\nErrors of u / rho over the mean in each 40 s up to the time given.\n"
    yield f"| case, mode | {' | '.join(f'{end} s' for end in ends)} |"
    yield f"|---|{'---|' * len(ends)}"
    for row in long:
        cells = [f"{u:.3f} / {rho:.3f}" for _, u, rho in json.loads(row["history"])]
        yield f"| {_case(row)} | {' | '.join(cells)} |"


def _switch(rows: list[Row]) -> Iterator[str]:
    if not rows:
        return
    yield "\n## Switched by back pressure alone\n\nBarotropic, about 1,000 agents, 80 s each, the last 20 s.\n"
    yield "| to | u | rho | flux | M in throat and exit |\n|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['switched to']} | {float(row['u_mean']):.3f} | {float(row['rho_mean']):.3f} | "
            f"{float(row['flux_variation']):.1%} | {float(row['mach_throat']):.2f}, {float(row['mach_exit']):.2f} |"
        )


def _groups(rows: list[Row]) -> dict[tuple[str, str, str], dict[float, dict[str, Row]]]:
    """By vehicle, c0 and lead: by lag, by case. A perfect vehicle is a lag of 0 of every first-order curve."""
    found: dict[tuple[str, str, str], dict[float, dict[str, Row]]] = {}
    for row in rows:
        if row["vehicle"] == "perfect":
            keys = [("acceleration", row["sound"], lead) for lead in ("0.0", "1.25")]
        else:
            keys = [(row["vehicle"], row["sound"], row["lead"])]
        for key in keys:
            found.setdefault(key, {}).setdefault(float(row["lag"]), {})[row["case"]] = row
    return {key: dict(sorted(found[key].items())) for key in sorted(found)}


def _name(key: tuple[str, str, str]) -> str:
    vehicle, sound, lead = key
    named = "first-order lag" if vehicle == "acceleration" else f"quadcopter, c0 = {float(sound):g} m/s"
    return f"{named}, {'no lead' if float(lead) == 0 else f'lead {lead}'}"


CASES = ("sub", "sup", "shock")


def _lags(rows: list[Row]) -> Iterator[str]:
    yield "| vehicle | r | spacing | sub | sup | shock | separation | off |\n|---|---|---|---|---|---|---|---|"
    for key, by_lag in _groups(rows).items():
        for lag, cases in by_lag.items():
            cells = [_cell(cases.get(case)) for case in CASES]
            alive = [row for row in cases.values() if not row.get("failed")]
            apart = [float(row["separation"]) for row in alive]
            lost = [abs(float(row["lost"])) for row in alive]
            spacing = f"{float(cases['sub']['spacing']):.2f} m" if key[0] == "quadcopter" and "sub" in cases else ""
            yield (
                f"| {_name(key)} | {lag:g} | {spacing} | {' | '.join(cells)} | "
                f"{f'{min(apart):.2f}' if apart else ''} | {f'{max(lost):.0%}' if lost else ''} |"
            )


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.get("failed"):
        return f"fails after {float(row['after']):.0f} s"
    return f"{float(row['u_mean']):.3f} / {float(row['rho_mean']):.3f}"


def _picture(rows: list[Row]) -> Figure:
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    colours = ("#1f5f99", "#7fb2dd", "#c8553d", "#e8a598", "#3f8f5b", "#8a63b0")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, case in zip(axes, CASES, strict=True):
        for (key, by_lag), colour in zip(_groups(rows).items(), colours, strict=False):
            points = [
                (lag, row["u_mean"]) for lag, c in by_lag.items() if (row := c.get(case)) and not row.get("failed")
            ]
            style = "o-" if float(key[2]) else "x--"
            axis.plot([x for x, _ in points], [float(y) for _, y in points], style, color=colour, label=_name(key))
        axis.axhline(0.2, color="#808080", linewidth=0.8)
        axis.set(title=case, xlabel="lag r = tau c0 / h", yscale="log", xscale="symlog")
        axis.set_xticks([0, 0.5, 1, 2, 4], ["0", "0.5", "1", "2", "4"])
    axes[0].set_ylabel("error of u over the mean")
    axes[0].legend(fontsize=6.5, loc="lower right")
    return figure
