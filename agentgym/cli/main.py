"""``agentgym VERB ...``: finds the verb's file and turns errors into exit codes."""

import importlib
import sys
import traceback

from agentgym.errors import AskError, Stopped, UnknownId

VERBS = {
    "list": "what there is: envs, agents, suites, recipes",
    "show": "the card of an environment, agent or suite",
    "train": "train an agent; writes runs/NAME",
    "resume": "go on with a run that was stopped, as if it never was",
    "evaluate": "put trained agents through robustness suites; writes a table and a report",
    "report": "make the report of an evaluation again",
    "play": "film a trained agent",
    "data": "make, list, show and check datasets for offline agents",
}

USAGE = "\n".join(
    [
        "Usage: agentgym VERB ...",
        "",
        *(f"  {verb:10} {summary}" for verb, summary in VERBS.items()),
        "",
        "Examples:",
        "  agentgym train sac --env agentgym/RobustHopper-v0 --steps 100000 --name hopper",
        "  agentgym evaluate runs/hopper --suite parameter-grid:points=5 perturbations --episodes 5 --workers 2",
        "",
        "agentgym VERB --help explains a verb.",
    ]
)


def main(arguments: list[str] | None = None) -> None:
    """Run one verb. Exit codes: 0 done, 2 what was asked cannot be, 1 it failed, 128 + n stopped by signal n."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        from agentgym import __version__

        print(__version__)
        return
    try:
        verb = arguments[0]
        if verb not in VERBS:
            raise UnknownId("verb", verb, VERBS, "See: agentgym --help")
        importlib.import_module(f"agentgym.cli.{verb}").main(arguments[1:])
    except (AskError, FileNotFoundError, FileExistsError) as error:
        print(f"agentgym: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stop:
        print(f"agentgym: stopped at step {stop.step}. Go on with: agentgym resume {stop.run}", file=sys.stderr)
        sys.exit(128 + stop.signal_number)
    except KeyboardInterrupt:
        print("agentgym: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `agentgym list envs | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
