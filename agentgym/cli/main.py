"""Entry point of the command line: runs ``agentgym VERB ...`` and turns errors into exit codes."""

import errno
import importlib
import io
import os
import sys
import traceback

from agentgym.errors import AskError, Elsewhere, Stopped, UnknownId

VERBS = {
    "list": "list environments, agents, suites, recipes and so on",
    "show": "show the card of an environment, agent, suite or recipe",
    "train": "train an agent and write runs/NAME",
    "resume": "continue a stopped run from its newest checkpoint",
    "evaluate": "evaluate trained agents on robustness suites; write a table and a report",
    "report": "rebuild the report of an evaluation",
    "solve": "let a language model repair programs with tools, under limits of turns",
    "study": "run a study of several agents, environments and seeds; tables and a page of evidence",
    "tune": "search for hyperparameters over the ranges of a study",
    "play": "record a video or an episode of a trained agent",
    "forensics": "find out which agent of a team failed first, by faults or in a recorded episode",
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
        "Run agentgym VERB --help for the options of a verb.",
    ]
)

# Errors caused by a path that the user chose (exit code 2), unlike a full disk, for example (exit code 1).
PATH_ERRORS = {
    getattr(errno, name)
    for name in ("EACCES", "EEXIST", "EINVAL", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT", "ENOTDIR", "EPERM", "EROFS")
}


def main(arguments: list[str] | None = None) -> None:
    """Run one verb. Exit codes: 0 success, 1 failure, 2 invalid request, 128 + n stopped by signal n."""
    try:
        try:
            _run(sys.argv[1:] if arguments is None else arguments)
        except SystemExit as end:
            if isinstance(end.__context__, BrokenPipeError):  # Rich has turned it into exit code 1
                raise end.__context__ from None
            raise
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # standard output is closed: `agentgym list envs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left when it ends
        sys.exit(0)


def _run(arguments: list[str]) -> None:
    # Before PyTorch is loaded: its waiting threads would spin, and on busy cores take the time of those that work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # print "?" for characters that the encoding lacks
            stream.reconfigure(errors="replace")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())  # find module:Id in the working directory, as python -m does
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
    except Elsewhere:
        sys.exit(2)
    except AskError as error:
        _print_error(error)
        sys.exit(2)
    except Stopped as stop:
        if os.environ.get("RANK", "0") == "0":
            print(f"agentgym: stopped at step {stop.step}. Continue with: agentgym resume {stop.run}", file=sys.stderr)
        sys.exit(128 + stop.signal_number)
    except KeyboardInterrupt:
        print("agentgym: stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        raise
    except OSError as error:
        _print_error(error)
        sys.exit(2 if error.errno in PATH_ERRORS or isinstance(error, FileNotFoundError | FileExistsError) else 1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _print_error(error: Exception) -> None:
    """Print an error on one line, even if its message has line breaks."""
    print(f"agentgym: {' '.join(str(error).split())}", file=sys.stderr)
