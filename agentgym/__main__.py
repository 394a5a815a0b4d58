"""``python -m agentgym VERB ...``, and ``torchrun -m agentgym VERB ...`` with several processes."""

from agentgym.cli.main import main

if __name__ == "__main__":
    main()
