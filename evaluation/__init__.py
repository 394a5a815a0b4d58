"""Evaluation of agents under perturbations, parameter shifts and attacks.

:func:`evaluate` plays agents through suites of conditions; :func:`write_report` writes a report of the result.
"""

# Not lazy: once a submodule named `evaluate` is imported, it would replace the function of this name.
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.report import write_report
from agentgym.evaluation.table import Evaluation

__all__ = ["Evaluation", "evaluate", "write_report"]
