"""``agentgym VERB ...``: finds the verb's file and turns errors into exit codes."""

import errno
import importlib
import io
import os
import sys
import traceback

from agentgym.errors import AskError, Stopped, UnknownId

VERBS = {
    "list": "what there is: envs, agents, suites, recipes",
    "show": "the card of an environment, agent, suite or recipe",
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

# What the operating system refuses because of a name or a place that the user chose; a full disk is a failure.
REFUSED = {
    getattr(errno, name)
    for name in ("EACCES", "EEXIST", "EINVAL", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM", "EROFS")
}


def main(arguments: list[str] | None = None) -> None:
    """Run one verb. Exit codes: 0 done, 2 what was asked cannot be, 1 it failed, 128 + n stopped by signal n."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or a pipe that is not UTF-8 shows "?" for what it lacks
            stream.reconfigure(errors="replace")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())  # module:Id is found where one stands, as with python -m
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
    except AskError as error:
        _say(error)
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
    except OSError as error:
        _say(error)
        sys.exit(2 if error.errno in REFUSED or isinstance(error, FileNotFoundError | FileExistsError) else 1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _say(error: Exception) -> None:
    """An error in one line, whatever the texts in it are."""
    print(f"agentgym: {' '.join(str(error).split())}", file=sys.stderr)
