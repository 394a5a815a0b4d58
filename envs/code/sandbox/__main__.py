"""Print what the sandbox holds on this machine: ``python -m agentgym.envs.code.sandbox [LEVEL]``."""

import sys

from agentgym.envs.code.sandbox.probe import probe
from agentgym.errors import AskError

if __name__ == "__main__":
    try:
        report = probe(sys.argv[1] if len(sys.argv) > 1 else "auto")
    except AskError as refusal:
        sys.exit(str(refusal))
    print(report)
    sys.exit(1 if report.missing else 0)
