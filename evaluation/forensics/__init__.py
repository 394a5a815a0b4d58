"""Forensics of teams: which agent failed first, when, and by which evidence. README.md is the card.

A team's clean episodes (:func:`collect`) calibrate a :class:`Monitor`, which names the agent that failed first in other
episodes. :func:`run_trial` does so for many faults and detectors.
"""

# Not lazy: once a submodule named `collect` is imported, it would replace the function of this name.
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.detectors.by_name import make_detector
from agentgym.evaluation.forensics.detectors.combined import Combined
from agentgym.evaluation.forensics.detectors.dynamics import Dynamics
from agentgym.evaluation.forensics.detectors.policy_nll import PolicyGap
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.examiner import Examiner
from agentgym.evaluation.forensics.faults import Fault
from agentgym.evaluation.forensics.monitor import Monitor
from agentgym.evaluation.forensics.team import LearnedTeam, Team
from agentgym.evaluation.forensics.trial import Plan, run_trial

__all__ = [
    "Combined", "Dynamics", "Episodes", "Examiner", "Fault", "LearnedTeam", "Monitor", "Plan", "PolicyGap", "Team",
    "collect", "make_detector", "run_trial",
]  # fmt: skip
