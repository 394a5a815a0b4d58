"""Evaluation: what judges.

:func:`evaluate` puts agents through suites; :func:`write_report` makes a page of the result.
"""

# Not lazily: a module of the name `evaluate` is imported sooner or later and would take the function's place.
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.report import write_report
from agentgym.evaluation.table import Evaluation

__all__ = ["Evaluation", "evaluate", "write_report"]
