"""What the rows of a study say, in sentences computed from them."""

import math
from collections.abc import Sequence

from agentgym.evaluation.report.words import interval, number
from agentgym.study.evidence import Evidence
from agentgym.study.rows import origin

__all__ = ["findings"]

FEW_RUNS = 4  # below it the interquartile mean is the mean, and intervals are too narrow


def findings(questions: Sequence[Evidence]) -> list[tuple[str, str]]:
    """Topics with sentences: failures, then each question, then what to be careful with."""
    found = []
    if not questions:
        return [("Nothing yet", "The study has no rows.")]
    results = questions[0].results
    failed = {(r["question"], r["agent"], r["env"], r["seed"]): r["error"] for r in results.rows.rows if r["error"]}
    if failed:
        found.append(("Failures", f"{_runs(len(failed))} failed, the first with: {next(iter(failed.values()))}"))
    for evidence in questions:
        title = results.study.questions[evidence.question].title or evidence.question
        sentences = [text for text in (_best(evidence), _against(evidence)) if text]
        if sentences:
            found.append((title, " ".join(sentences)))
    counts = [len(e.runs(a, env)) for e in questions for env in e.envs for a in e.agents if _trained(e, a)]
    few = sum(0 < count < FEW_RUNS for count in counts)
    if few:
        total = sum(count > 0 for count in counts)
        found.append(("Few seeds", f"{few} of {total} pairs of agent and environment have fewer than {FEW_RUNS} runs."))
    if any(evidence.baseline for evidence in questions):
        found.append(("Better and worse", "By paired 95 % bootstrap intervals over seeds that exclude 0."))
    versions = {origin(row)[1] for row in results.rows.rows if not row["error"]}
    if len(versions) > 1:
        found.append(("Versions", f"The rows were made by {len(versions)} sets of versions, listed under Every run."))
    if notes := {row["note"] for row in results.rows.rows if row["note"]}:
        found.append(("Notes", f"{sum(bool(row['note']) for row in results.rows.rows)} rows have a note: {min(notes)}"))
    return found


def _trained(evidence: Evidence, agent: str) -> bool:
    spec = evidence.results.study.agents[agent]
    return not (spec.controller or spec.made_by)


def _best(evidence: Evidence) -> str:
    """Who is first, by the normalised scores of all environments or by the score of a single one."""
    label = evidence.results.study.label
    if len(evidence.envs) == 1:
        env = evidence.envs[0]
        known = {a: found for a in evidence.agents if not math.isnan((found := evidence.final(a, env)).value)}
        if len(known) < 2:
            return ""
        best = max(known, key=lambda agent: evidence.sign * known[agent].value)
        return f"{label(best)} has the best score, {number(known[best].value)} {interval(known[best])}".rstrip() + "."
    if len(evidence.common) < 2 or len(evidence.compared) < 2:
        return ""
    scores = {agent: evidence.aggregate(agent, "iqm") for agent in evidence.compared}
    best = max(scores, key=lambda agent: scores[agent].value)
    return (
        f"{label(best)} has the highest interquartile mean of normalised scores over {len(evidence.common)} "
        f"environments, {number(scores[best].value)} {interval(scores[best]) or '(one run each, so no interval)'}."
    )


def _against(evidence: Evidence) -> str:
    """In how many environments the others differ from the baseline."""
    if not evidence.baseline:
        return ""
    label, told = evidence.results.study.label, []
    for agent in evidence.agents:
        if agent == evidence.baseline or not _trained(evidence, agent):
            continue
        found = [evidence.difference(agent, env) for env in evidence.envs]
        known = [each for each in found if math.isfinite(each.low)]
        better = sum((each.low if evidence.sign > 0 else -each.high) > 0 for each in known)
        worse = sum((each.high if evidence.sign > 0 else -each.low) < 0 for each in known)
        if len(evidence.envs) == 1 and known:
            told.append(
                f"{label(agent)} {'is better' if better else 'is worse' if worse else 'does not differ clearly'}"
            )
        elif known:
            told.append(f"{label(agent)} is better in {better} and worse in {worse} of {len(known)} environments")
    return f"Against {label(evidence.baseline)}: {', '.join(told)}." if told else ""


def _runs(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"
