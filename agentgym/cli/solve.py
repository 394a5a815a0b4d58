"""The command ``agentgym solve --model NAME ...``: a language model with three tools on coding tasks."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.table import Table

from agentgym.contracts.settings import finite_number, parse_values, whole_number
from agentgym.errors import AskError
from agentgym.make import check_id
from agentgym.runs.files import require_writable

if TYPE_CHECKING:
    from agentgym.agents.coding.batch import Row, Setup
    from agentgym.agents.coding.costs import Price
    from agentgym.agents.coding.models import Model

HELP = """Let a language model repair programs with three tools (bash, edit, done) under controls of turns.

The folder gets rows.csv and a record of every answer. The same command goes on where it stopped, with more tasks or
further controls, too; an answer that is on record is never asked for, or paid for, again.

Examples:

agentgym solve --model NAME --endpoint http://localhost:8000/v1 --tasks 20

agentgym solve --model gpt-4.1 --endpoint https://api.openai.com/v1 --env-kwargs split=seen --tasks 50 \\
    --out reports/seen

agentgym solve --model gpt-4.1 --endpoint https://api.openai.com/v1 --env-kwargs split=unseen --tasks 50 \\
    --control unrestricted fixed:of=reports/seen,percent=75,shares=0.75+0.9 dynamic:of=reports/seen,rule=request

agentgym solve --model smollm2 --env-kwargs split=unseen --tasks 5 --control fixed:limit=6

Controls, prices and exits are described in agentgym/agents/coding/README.md.
"""


def solve(
    model: str = "",
    endpoint: str | None = None,
    env: str = "agentgym/CodeRepair-v0",
    env_kwargs: tuple[str, ...] = (),
    tasks: int = 10,
    seed: int = 0,
    control: tuple[str, ...] = ("unrestricted",),
    prices: Path | None = None,
    cost_limit: float | None = None,
    time_limit: float | None = None,
    max_tokens: int = 1024,
    temperature: float = 0.0,
    out: Path | None = None,
) -> None:
    """Solve tasks.

    Args:
        model: name of the model on the server; without --endpoint "smollm2", or the folder of a Hugging Face model.
        endpoint: address of a server with OpenAI's protocol, with /v1 (the key is read from OPENAI_API_KEY; needs the
            extra "language").
        env: environment with the command submit.
        env_kwargs: its keyword arguments, KEY=VALUE.
        tasks: number of tasks: the seeds from --seed on, or the first of an environment with a list of tasks.
        seed: of the first task.
        control: unrestricted, fixed:limit=N, dynamic:start=N,step=N,cap=N,rule=request|automatic|evidence, or
            learned:policy=RUN; limits of fixed and dynamic also from unrestricted runs, of=FOLDER. Reminders:
            every=true, shares=0.75+0.9, last=3. The first is what the others are compared with.
        prices: JSON file of prices instead of the package's; a model that it lacks has unknown costs.
        cost_limit: dollars after which a task ends.
        time_limit: seconds after which a task ends.
        max_tokens: longest answer.
        temperature: of sampling.
        out: folder of the results; by default reports/solve-<environment>-<model>.
    """
    from agentgym.agents.coding.batch import Setup, play_batch, require_folder, tasks_of, turns_of
    from agentgym.agents.coding.controls import control_named
    from agentgym.agents.coding.costs import price_of
    from agentgym.agents.coding.costs import prices as table_of

    if not model:
        raise AskError("Which model? agentgym solve --model NAME --endpoint URL, or --model smollm2")
    check_id(env)
    if len(set(control)) < len(control) or not control:
        raise AskError("--control needs one or more controls, each once.")
    whole_number("tasks", tasks, 1)
    whole_number("seed", seed, 0)
    for name, value in (("cost_limit", cost_limit), ("time_limit", time_limit)):
        if value is not None:
            finite_number(name, value, 0, above=True)
    setup = Setup(env, parse_values(env_kwargs), model, max_tokens, temperature, cost_limit, time_limit)
    price = price_of(model, None if prices is None else table_of(prices.read_text(encoding="utf-8")))
    if cost_limit is not None and price is None:
        raise AskError(f"--cost-limit needs a price, and {model} is not in the table: name another one by --prices.")
    controls = {text: control_named(text, turns_of) for text in control}
    folder = out or Path("reports") / _name(env, model)
    require_folder(folder, setup)
    require_writable(folder / "rows.csv")
    listed = tasks_of(env, setup.env_kwargs, tasks, seed)
    answering = _model(setup, endpoint)
    rows = play_batch(folder, setup, answering, controls, listed, price, _say)
    _show(rows, price, model)
    print(f"rows: {folder / 'rows.csv'}")
    if all(row.solved is None for row in rows):
        print("agentgym: no run has a verdict", file=sys.stderr)
        sys.exit(1)


def _name(env: str, model: str) -> str:
    return "-".join(["solve", env.rpartition("/")[2], model.strip("/").replace("/", "-")])


def _model(setup: "Setup", endpoint: str | None) -> "Model":
    if endpoint is None:
        from agentgym.agents.coding.local import LocalModel

        return LocalModel(setup.model, setup.max_tokens, setup.temperature)
    from agentgym.agents.coding.endpoint import EndpointModel

    return EndpointModel(endpoint, setup.model, setup.max_tokens, setup.temperature)


def _say(row: "Row") -> None:
    outcome = {True: "solved", False: "not solved", None: "no verdict"}[row.solved]
    cost = "" if row.cost is None else f", {row.cost:.4f} dollars"
    print(f"task {row.task}, {row.control}: {outcome} in {row.turns} turns ({row.exit}){cost}", flush=True)


def _show(rows: "list[Row]", price: "Price | None", model: str) -> None:
    """The table: a row for each control."""
    from agentgym.agents.coding.batch import compared

    table = Table(
        "control", "tasks", "solved", "turns", "cost a task", "cost a solved task", "solved more", "cost saved",
        box=None, pad_edge=False,
    )  # fmt: skip
    first = rows[0].control
    for name, (one, own) in compared(rows).items():
        turns = sum(row.turns for row in own) / len(own)
        table.add_row(
            name, str(one.tasks), f"{100 * one.solved:.1f} %", f"{turns:.1f}", _dollars(one.cost),
            _dollars(one.cost_solved), "" if name == first else _interval(one.difference, "points"),
            "" if name == first or one.saving is None else _interval(one.saving, "%"),
        )  # fmt: skip
    Console().print(table)
    if without := sum(row.solved is None for row in rows):
        print(f"{without} of {len(rows)} runs have no verdict; the table leaves out their tasks.")
    exits = {name: sum(row.exit == name for row in rows) for name in sorted({row.exit for row in rows})}
    print("exits: " + ", ".join(f"{name} {count}" for name, count in exits.items()))
    if price is None:
        print(f"Costs are unknown: no price of {model} in the table. Tokens are in the rows; see --prices.")
    else:
        print(f"Costs are in dollars, at prices of {price.date}.")


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(values: tuple[float, float, float], unit: str) -> str:
    """A value with its 95 % interval, in hundredths."""
    value, low, high = (100 * each for each in values)
    return f"{value:+.1f} [{low:.1f}, {high:.1f}] {unit}"


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(solve, prog="agentgym solve", args=arguments, description=HELP)
