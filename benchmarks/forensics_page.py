"""The page docs/results/forensics.md and its figure, from the rows that forensics_table.py saved."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from agentgym.runs.metrics import Table

__all__ = ["write"]

Row = dict[str, str]
HEAD = """# Who failed first

Written by `python benchmarks/forensics_table.py page` from [forensics_rows.csv](forensics_rows.csv), which
`python benchmarks/forensics_table.py measure RUN` makes. Do not edit by hand.

**Protocol.** Simple Spread, 25 steps, greedy play. In each of 500 episodes a fault one agent, drawn uniformly, has the
fault from a step drawn from 5 to 15 to the end. Thresholds are split-conformal, on 2,000 clean episodes; detectors are
fitted on 1,900 others, and false alarms are counted in 500 more. The first agent above its threshold is named; naming
anybody before the onset, or nobody, counts as wrong. Cells are shares of episodes in per cent with Wilson's intervals
at 95 %. The published method reports 88.2 to 99.4 %.
"""
TARGET = """## Targets

`combined`, alpha 0.01, first stage: 95 % on faults of observations and actions, 75 and 90 % on weights 0.2 and 0.5,
with sensor noise up to 0.02.

| team | sensor noise | clean return | false alarms | least of the faults | below these |
|---|---|---|---|---|---|"""
NOISE = """
## Sensor noise

`combined` at alpha 0.01. The noise is in all episodes, those of the calibration included.

![Accuracy against sensor noise](forensics.png)
"""
BOTH = """
Both stages, all faults together: episodes that are right after the first stage, episodes in which it names a wrong
agent after the onset, and for each rule and edges of the second stage the share that is right after both, with
corrected / broken.
"""
REPAIRS = """
## Links repaired

When `combined` flags somebody (alpha 0.01), one agent is repaired from the next step on: it executes the team's action
at what it should have received. Shares of the lost return that come back, in per cent, when that agent is the source of
the strongest link of the graph, of the weakest, or the victim itself.

| team | fault | edges | episodes | return lost | strongest | weakest | victim |
|---|---|---|---|---|---|---|---|"""
WHEN = """
`combined` at alpha 0.01: how soon, and what else was said. *delay*, and *lead* before the return falls 5 % behind the
clean twin's, are medians in steps; *lost* is the mean return lost.

| fault | delay | lead | lost | no detection | before the onset | another first |
|---|---|---|---|---|---|---|"""
COLUMNS = (("combined", "0.01"), ("combined", "0.05"), ("dynamics", "0.05"), ("policy_gap", "0.05"),
           ("taylor_move", "0.05"), ("mahalanobis", "0.05"))  # fmt: skip
RULES = ("walk action_gap", "gate action_gap", "walk critic", "gate critic")
TARGETS = {"wnoise:0.2": 0.75, "wnoise:0.5": 0.9}  # of combined at alpha 0.01; 0.95 for all other faults
COLOURS = ("#1f5f99", "#7fb2dd", "#c8553d", "#e8a598", "#3f8f5b", "#9bc8a5", "#8a63b0", "#c3b0d9", "#b8860b", "#e2c15c",
           "#555555", "#0f9d9d", "#7a3b2e")  # fmt: skip


def write(folder: Path) -> None:
    """Write the page and the figure into the folder of the rows."""
    rows = Table(folder / "forensics_rows.csv").rows()
    lines = [HEAD, *_targets(rows), *_noise(rows)]
    for team in dict.fromkeys(row["team"] for row in rows):
        own = [row for row in rows if row["team"] == team and float(row["noise"]) == 0]
        lines += [*_stage1(team, own), *_stage2(own), *_when(own)]
    lines += _repaired(Table(folder / "forensics_repair.csv").rows())
    (folder / "forensics.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _figure(rows).savefig(folder / "forensics.png", dpi=110)


def _faults(rows: Sequence[Row]) -> list[str]:
    return [fault for fault in dict.fromkeys(row["fault"] for row in rows) if fault != "clean"]


def _find(rows: Sequence[Row], **wanted: str) -> Row | None:
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)


def _percent(row: Row | None, names: tuple[str, str, str] = ("accuracy", "low", "high")) -> str:
    if row is None or not row[names[0]]:
        return ""
    share, low, high = (100 * float(row[name]) for name in names)
    return f"{share:.0f} [{low:.0f}, {high:.0f}]"


def _targets(rows: Sequence[Row]) -> Iterator[str]:
    yield TARGET
    for team, noise, own in _curves(rows):
        clean = _find(own, fault="clean")
        faults = [row for row in own if row["accuracy"]]
        if clean is None or not faults:
            continue
        least = min(faults, key=lambda row: float(row["accuracy"]))
        missed = [row for row in faults if float(row["accuracy"]) < TARGETS.get(row["fault"], 0.95)]
        said = ", ".join(f"{row['fault']} {100 * float(row['accuracy']):.1f}" for row in missed) or "none"
        alarms = _percent(clean, ("alarms", "alarms_low", "alarms_high"))
        yield (
            f"| {team} | {noise} | {float(clean['clean_return']):.1f} | {alarms} | "
            f"{least['fault']} {_percent(least)} | {said} |"
        )


def _curves(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """The rows of combined at alpha 0.01, by team and noise."""
    of_combined = [row for row in rows if row["detector"] == "combined" and row["alpha"] == "0.01"]
    for team, noise in dict.fromkeys((row["team"], row["noise"]) for row in of_combined):
        yield team, noise, [row for row in of_combined if (row["team"], row["noise"]) == (team, noise)]


def _noise(rows: Sequence[Row]) -> Iterator[str]:
    several = _noisy(rows)
    if not several:
        return
    yield NOISE
    for team, by_noise in several.items():
        yield f"| {team} | {' | '.join(by_noise)} |\n|---|{'---|' * len(by_noise)}"
        for fault in _faults(next(iter(by_noise.values()))):
            yield f"| {fault} | {' | '.join(_percent(_find(own, fault=fault)) for own in by_noise.values())} |"
        yield ""


def _noisy(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """By team and noise, of teams with several."""
    found: dict[str, dict[str, list[Row]]] = {}
    for team, noise, own in _curves(rows):
        found.setdefault(team, {})[noise] = own
    return {team: by_noise for team, by_noise in found.items() if len(by_noise) > 1}


def _stage1(team: str, rows: Sequence[Row]) -> Iterator[str]:
    columns = [each for each in COLUMNS if _find(rows, detector=each[0], alpha=each[1])]
    if not columns:
        return
    yield f"\n## {team}\n\nTrained for {int(rows[0]['steps']):,} steps with seed {rows[0]['seed']}. First stage:\n"
    heads = [f"`{name}`, {alpha}" for name, alpha in columns]
    yield f"| fault | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}"
    for fault in _faults(rows):
        cells = [_percent(_find(rows, fault=fault, detector=name, alpha=alpha)) for name, alpha in columns]
        yield f"| {fault} | {' | '.join(cells)} |"
    alarms = ("alarms", "alarms_low", "alarms_high")
    cells = [_percent(_find(rows, fault="clean", detector=name, alpha=alpha), alarms) for name, alpha in columns]
    yield f"| false alarms | {' | '.join(cells)} |"


def _stage2(rows: Sequence[Row]) -> Iterator[str]:
    """Both stages over all faults: accuracy, corrected and broken."""
    rules = [rule for rule in RULES if any(row.get(f"{rule} corrected") for row in rows)]
    if not rules:
        return
    yield BOTH
    yield f"| detector, alpha | right | wrong agent | {' | '.join(rules)} |\n|---|---|---|{'---|' * len(rules)}"
    for name, alpha in COLUMNS:
        own = [row for row in rows if row["detector"] == name and row["alpha"] == alpha and row["accuracy"]]
        if not own:
            continue
        played = sum(int(row["episodes"]) for row in own)
        right, wrong = (_count(own, column) for column in ("accuracy", "downstream"))
        cells = []
        for rule in rules:
            after = _count(own, f"{rule} accuracy_2")
            corrected, broken = (sum(int(row[f"{rule} {what}"]) for row in own) for what in ("corrected", "broken"))
            cells.append(f"{100 * after / played:.1f}: {corrected} / {broken}")
        share = f"{right} of {played} ({100 * right / played:.1f})"
        yield f"| `{name}`, {alpha} | {share} | {wrong} | {' | '.join(cells)} |"


def _count(rows: Sequence[Row], column: str) -> int:
    return sum(round(float(row[column]) * int(row["episodes"])) for row in rows)


def _when(rows: Sequence[Row]) -> Iterator[str]:
    own = [row for row in rows if row["detector"] == "combined" and row["alpha"] == "0.01" and row["accuracy"]]
    if not own:
        return
    yield WHEN
    for row in own:
        shares = [f"{100 * float(row[name]):.1f}" for name in ("missed", "early", "downstream")]
        yield (
            f"| {row['fault']} | {_number(row['delay'])} | {_number(row['lead'])} | "
            f"{float(row['return_lost']):.1f} | {' | '.join(shares)} |"
        )


def _repaired(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield REPAIRS
    for row in rows:
        shares = " | ".join(f"{100 * float(row[name]):.0f}" for name in ("strongest", "weakest", "victim"))
        head = f"{row['team']} | {row['fault']} | {row['edges']} | {row['episodes']}"
        yield f"| {head} | {float(row['lost']):.1f} | {shares} |"


def _number(text: str) -> str:
    return f"{float(text):g}" if text else ""


def _figure(rows: Sequence[Row]) -> Figure:
    several = _noisy(rows)
    figure = Figure(figsize=(5.2 * max(len(several), 1) + 1.4, 4.0), layout="constrained")
    axes = figure.subplots(1, max(len(several), 1), sharey=True, squeeze=False)[0]
    for axis, (team, by_noise) in zip(axes, several.items(), strict=False):
        for fault, colour in zip(_faults(next(iter(by_noise.values()))), COLOURS, strict=False):
            points = [(float(noise), _find(own, fault=fault)) for noise, own in by_noise.items()]
            known = [(noise, 100 * float(row["accuracy"])) for noise, row in points if row is not None]
            style = "o--" if fault.startswith(("a", "wnoise")) else "o-"
            axis.plot(*zip(*known, strict=True), style, color=colour, label=fault, markersize=3.5, linewidth=1.3)
        axis.set(title=team, xlabel="standard deviation of sensor noise", ylim=(-3, 103))
        axis.set_xticks([float(noise) for noise in by_noise])
        axis.grid(color="#e5e5e5", linewidth=0.6)
    axes[0].set_ylabel("victim named first, per cent")
    if several:
        axes[-1].legend(fontsize=7.5, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure
