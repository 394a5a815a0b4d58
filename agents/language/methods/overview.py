"""The list of methods that ``agentgym show language-methods`` prints, made from the registered classes."""

from collections.abc import Sequence

from agentgym import catalog
from agentgym.agents.language.methods.grpo import GRPO
from agentgym.agents.language.methods.gspo import GSPO_ABOUT
from agentgym.agents.language.methods.plugin import About, Plugin, hooks_of
from agentgym.agents.language.methods.turn_ppo import TURN_PPO_ABOUT

__all__ = ["NOT_BUILT", "SETTINGS_ONLY", "overview"]

# Presets of GRPO whose method is settings of the loop alone.
SETTINGS_ONLY = {"gspo": GSPO_ABOUT, "gspo-chosen": GSPO_ABOUT, "turn-ppo": TURN_PPO_ABOUT}

NOT_BUILT = {
    "SIREN (2509.25133)": "needs the entropy of the vocabulary's nucleus; a policy that chooses has none",
    "PEAR (2510.08026)": "compares phases of thinking and answering, which commands do not have; two constants unknown",
    "ARES (window entropy)": "its target comes from the same batch, so its update does nothing; failing is paid",
    "PRIME (implicit PRM)": "trains a second language model; our environments have exact rewards",
    "GDC (2205.11275)": "weights of whole episodes vary hopelessly past a few turns; the code's licence forbids a port",
    "S-PPO and ST-PPO (2511.20718)": "the normaliser of the gradient (Eq. 7-8) is unknown; Turn-PPO is built",
    "Direct Advantage PO (2412.18279)": "constants unknown, no code; it shares the name DAPO with another method",
    "T1 (2501.11651)": "no code, numbers unknown",
}


def overview() -> str:
    """Every method with its hooks, formula, source, and what of it is unknown, as Markdown."""
    parts = ["# Methods of language agents"]
    for kind, title, use in (
        ("estimator", "Advantage estimators", "--config.advantage NAME or NAME:KEY=VALUE,..."),
        ("method", "Plug-ins", "--config.methods NAME NAME:KEY=VALUE,..., applied in this order"),
    ):
        entries = catalog.entries(kind)  # type: ignore[arg-type]
        found = [(entry.id, catalog.load(entry)) for entry in entries]
        parts += [f"## {title}\n\n`{use}`", "\n".join(_described(name, method) for name, method in found)]
    rows = [f"- **{name}** ({preset})" for name, preset in GRPO.Config.presets.items()]
    rows += [_line(name, ["ratio"], about, ()) for name, about in SETTINGS_ONLY.items()]
    parts += ["## Presets of grpo\n\n`agentgym train grpo --preset NAME`", "\n".join(rows)]
    parts += ["## Not built", "\n".join(f"- **{name}**: {why}." for name, why in NOT_BUILT.items())]
    return "\n\n".join(parts) + "\n"


def _described(name: str, method: type[Plugin]) -> str:
    return _line(name, hooks_of(method), method.ABOUT, tuple(method.PRESETS))


def _line(name: str, hooks: Sequence[str], about: About, presets: Sequence[str]) -> str:
    lines = [f"- **{name}** [{', '.join(hooks)}]: {about.formula}.", f"  - source: {about.source}"]
    if presets:
        lines.append(f"  - presets: {', '.join(presets)}")
    if about.unknown:
        lines.append(f"  - unknown or different: {about.unknown}")
    return "\n".join(lines)
