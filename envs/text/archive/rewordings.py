"""Paraphrases of an archive's sentences and synonyms of its tools. Articles are not paraphrased."""

from collections.abc import Mapping
from types import MappingProxyType

from agentgym.envs.text.language import REWORDED_REFUSALS, Rewording

__all__ = ["REWORDINGS", "SYNONYMS"]

REWORDINGS: tuple[Rewording, ...] = (
    Rewording(r"Question: What is (.+)\?", ("Find out {0}.", "Tell me {0}.")),
    Rewording(r"Tools: (.+)\.", ("You may use: {0}.", "At hand: {0}.")),
    Rewording(r"Results: (.+)\.", ("These articles fit: {0}.", "Found {0}.")),
    Rewording(r"No results\.", ("There is no article that fits.",)),
    Rewording(r"The result is (.+)\.", ("It comes to {0}.", "This makes {0}.")),
    Rewording(r"That is right\.", ("Correct.",)),
    Rewording(r"That is wrong\.", ("Not so.",)),
    *REWORDED_REFUSALS,
)

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {"search": "find", "open": "read", "calculate": "compute", "answer": "reply"}
)
