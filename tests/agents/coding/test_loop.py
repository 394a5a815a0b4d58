# ruff: noqa: E501
"""The loop of coding agents: turns, reminders, extensions, costs, exits and records are exact."""

import json
import math

import gymnasium as gym
import pytest

import agentgym  # noqa: F401
from agentgym.agents.coding.costs import Price, Usage, cost_of, price_of, prices
from agentgym.agents.coding.loop import solve
from agentgym.agents.coding.models import AgentModel, ChatModel, ModelError, Replayed, Reply, Scripted, Simulated
from agentgym.agents.coding.tools import FormatError, parse
from agentgym.agents.coding.trajectory import (
    EXITS,
    Record,
    from_mini_swe_agent,
    read_record,
    to_mini_swe_agent,
    truncated,
)
from agentgym.errors import CorruptFile, InvalidParameter, UnknownId
from agentgym.turns.control import Dynamic, Fixed, Reminders, Unrestricted, View, limits_of, percentile

PRICE = Price(input=10.0, cached_read=1.0, cache_write=12.0, output=100.0, date="test")


@pytest.fixture
def env():
    made = gym.make("agentgym/CodeRepairEasy-v0")
    yield made.unwrapped
    made.close()


def plan(env, seed=0):
    env.reset(seed=seed)
    return ["done" if command == "submit" else f"bash {command}" for command in env.plan()]


def wandering(env, seed=0):
    """Many commands that solve nothing: tests of the right state, again and again."""
    env.reset(seed=seed)
    return [f"bash {command}" for command in env.world.commands() if command != "submit"]


def test_a_solved_run_is_counted_exactly(env):
    run = solve(env, 0, Scripted(plan(env)))
    assert (len(run.turns), run.exit, run.solved, run.submitted) == (3, "done", True, "agent")
    assert run.reward == pytest.approx(0.97)
    assert run.exit in EXITS
    assert [turn.tool for turn in run.turns] == ["bash", "bash", "done"]


def test_tokens_grow_with_the_history_and_are_billed_exactly(env):
    model = Scripted(["bash run all", "bash run all", "nonsense", "done"])
    run = solve(env, 0, model)
    told = [len(turn.observation.split()) for turn in run.turns]
    said = [len(turn.reply.text.split()) for turn in run.turns]
    first = run.turns[0].reply.usage.fresh
    prompts = [first + sum(told[:n]) + sum(said[:n]) for n in range(4)]
    assert [turn.reply.usage.fresh for turn in run.turns] == prompts
    assert run.usage == Usage(sum(prompts), output=sum(said))
    assert run.cost(PRICE).cached == pytest.approx((10 * sum(prompts) + 100 * sum(said)) / 1e6)
    assert len(run.turns) == model.calls == 4  # the answer without a tool call is billed


def test_costs_with_and_without_a_cache():
    usage = Usage(fresh=100, cached=1000, written=50, output=10)
    cost = cost_of(usage, PRICE)
    assert cost.cached == pytest.approx((1000 + 1000 + 600 + 1000) / 1e6)
    assert cost.uncached == pytest.approx((11500 + 1000) / 1e6)
    assert Usage.of_openai(
        {"prompt_tokens": 1100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 1000}}
    ) == Usage(100, 1000, 0, 10)
    assert Usage.of_anthropic(
        {"input_tokens": 100, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 50, "output_tokens": 10}
    ) == Usage(100, 1000, 50, 10)
    with pytest.raises(InvalidParameter, match="cached"):
        Usage.of_openai({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}})
    with pytest.raises(InvalidParameter, match="fresh"):
        Usage(-1)


def test_an_unknown_cost_is_none_and_never_zero(env):
    assert price_of("no such model") is None
    assert all(price.date for price in prices().values())
    assert cost_of(None, PRICE) is None
    assert cost_of(Usage(5), None) is None
    run = solve(env, 0, Scripted(plan(env), tokens=False))
    assert run.usage is None
    assert run.cost(PRICE) is None
    assert to_mini_swe_agent(run)["info"]["model_stats"]["instance_cost"] is None
    with pytest.raises(InvalidParameter, match="not in the table"):
        solve(env, 0, Scripted(plan(env)), cost_limit=1.0)
    with pytest.raises(InvalidParameter, match="incomplete"):
        prices('{"m": {"input": 1.0}}')
    for text in ("{", "[]", "[" * 100_000):
        with pytest.raises(InvalidParameter, match="table of prices"):
            prices(text)
    with pytest.raises(InvalidParameter, match="price output"):
        prices('{"m": {"input": 1, "cached_read": 1, "cache_write": 1, "output": -1, "date": ""}}')


def test_a_fixed_limit_stops_and_the_work_is_graded_as_auto(env):
    run = solve(env, 0, Scripted(plan(env)), Fixed(2))
    assert (len(run.turns), run.exit, run.solved, run.submitted) == (2, "limit", True, "auto")
    run = solve(env, 0, Scripted(plan(env)), Fixed(2), grade_at_limit=False)
    assert (len(run.turns), run.exit, run.solved, run.submitted) == (2, "limit", None, "")
    run = solve(env, 0, Scripted(plan(env)), Fixed(3))
    assert (len(run.turns), run.exit, run.submitted) == (3, "done", "agent")


@pytest.mark.parametrize(
    ("reminders", "turns"),
    [
        (Reminders(), []), (Reminders(every=True), list(range(10))), (Reminders(last=3), [7, 8, 9]),
        (Reminders(shares=(0.5, 0.75, 0.9)), [5, 8, 9]), (Reminders(shares=(0.5,), last=1), [5, 9]),
    ],
)  # fmt: skip
def test_reminders_come_when_they_are_due(env, reminders, turns):
    run = solve(env, 0, Scripted(["bash run all"] * 30), Fixed(10, reminders))
    assert [n for n, turn in enumerate(run.turns) if turn.reminder] == turns
    assert run.reminders == len(turns)
    for n in turns:
        assert run.turns[n].reminder == f"[Turns: {n} of 10 used, {10 - n} left.]"


def test_what_is_reminded_is_read(env):
    seen = []

    class Reader(Scripted):
        def query(self, messages, commands):
            seen.append(messages[-1]["content"])
            return super().query(messages, commands)

    solve(env, 0, Reader(["bash run all"] * 5), Fixed(3, Reminders(every=True)))
    assert [text.rpartition("\n")[2] for text in seen] == [f"[Turns: {n} of 3 used, {3 - n} left.]" for n in range(3)]


def test_words_without_a_limit_and_a_limit_without_words(env):
    run = solve(env, 0, Scripted(["bash run all"] * 6), Unrestricted(told=4, reminders=Reminders(every=True)))
    assert (run.reminders, len(run.turns), run.exit) == (4, 6, "model")
    run = solve(env, 0, Scripted(["bash run all"] * 6), Fixed(4))
    assert (run.reminders, len(run.turns)) == (0, 4)


def test_extensions_on_request(env):
    script = ["bash run all", "extend", *wandering(env)[1:6]]
    run = solve(env, 0, Scripted(script), Dynamic(2, 2, 6, rule_name="request"))
    assert (len(run.turns), run.extensions, run.exit) == (4, 1, "limit")
    assert [turn.extended for turn in run.turns] == [0, 0, 2, 0]
    run = solve(env, 0, Scripted(script), Dynamic(2, 2, 6, rule_name="automatic"))
    assert run.turns[1].tool == ""  # there is no such tool without requests
    assert (len(run.turns), run.extensions, run.exit) == (6, 2, "limit")


def test_extensions_are_bounded_by_number_and_cap(env):
    script = wandering(env) * 4
    for control, turns, count in (
        (Dynamic(2, 2, 20, extensions=2, rule_name="automatic"), 6, 2),
        (Dynamic(2, 2, 5, extensions=9, rule_name="automatic"), 5, 2),
        (Dynamic(2, 3, 2, extensions=9, rule_name="automatic"), 2, 0),
    ):
        run = solve(env, 0, Scripted(script), control)
        assert (len(run.turns), run.extensions) == (turns, count)


def test_a_loop_is_never_extended(env):
    run = solve(env, 0, Scripted(["bash look around"] * 9), Dynamic(4, 4, 20, rule_name="automatic"))
    assert (len(run.turns), run.extensions, run.exit) == (4, 0, "limit")


def test_extensions_by_evidence(env):
    control = Dynamic(4, 2, 20, extensions=1, rule_name="evidence")
    run = solve(env, 0, Scripted(wandering(env)), control)
    assert run.extensions == 1  # opening files and running tests changes what is known
    idle = [f"bash look {n}" for n in range(9)]
    run = solve(env, 0, Scripted(idle), control)
    assert (len(run.turns), run.extensions) == (4, 0)


def test_controls_refuse_what_makes_no_sense():
    with pytest.raises(UnknownId, match="rule"):
        Dynamic(2, 2, 4, rule_name="always")
    with pytest.raises(InvalidParameter, match="cap"):
        Dynamic(5, 1, 4)
    with pytest.raises(InvalidParameter, match="limit"):
        Fixed(0)
    with pytest.raises(InvalidParameter, match="shares"):
        Reminders(shares=(50,))
    assert Fixed(1).rule(View(1)).go is False


def test_percentiles_are_nearest_rank():
    turns = [5, 1, 4, 2, 3]
    assert [percentile(turns, q) for q in (1, 20, 21, 50, 75, 100)] == [1, 1, 2, 3, 4, 5]
    assert limits_of(list(range(1, 101))) == {25: 25, 50: 50, 75: 75}
    for q in (0, 101, math.nan):
        with pytest.raises(InvalidParameter, match="percentage"):
            percentile(turns, q)
    with pytest.raises(InvalidParameter, match="values"):
        percentile([], 50)


def test_the_truncation_identity(env):
    """A run that is done within a silent limit is the same run."""
    whole = [solve(env, seed, Simulated(seed, patience=6)) for seed in range(40)]
    limits = limits_of([len(run.turns) for run in whole])
    assert limits[25] < limits[50] < limits[75]
    for limit in limits.values():
        for seed, run in enumerate(whole):
            cut = solve(env, seed, Simulated(seed, patience=6), Fixed(limit), grade_at_limit=False)
            offline = truncated(run, limit)
            assert cut.turns == offline.turns
            assert bool(cut.solved) == bool(offline.solved)
            if len(run.turns) <= limit:
                assert cut == run
    told = solve(env, 0, Simulated(0), Fixed(3, Reminders(every=True)))
    with pytest.raises(InvalidParameter, match="unrestricted"):
        truncated(told, 2)


def test_exits_have_types(env):
    assert solve(env, 0, Scripted(["bash run all"])).exit == "model"
    run = solve(env, 0, Scripted(["what now?", "bash run all", "hm", "hm", "hm", "done"]))
    assert (run.exit, len(run.turns), run.submitted) == ("format", 5, "auto")
    run = solve(env, 0, Scripted(["bash look around"] * 99))
    assert (run.exit, run.detail, len(run.turns)) == ("environment", "truncated", env.max_turns)
    times = iter(range(99))
    run = solve(env, 0, Scripted(["bash run all"] * 99), time_limit=5, clock=lambda: next(times))
    assert (run.exit, len(run.turns)) == ("time", 4)
    run = solve(env, 0, Scripted(["bash run all"] * 99), price=PRICE, cost_limit=0.005)
    assert run.exit == "cost"
    assert run.cost(PRICE).cached >= 0.005


def test_done_is_a_tool_and_never_a_text():
    assert parse("done").command == "submit"
    for text in ("I am done", "done now", "echo done", "", "submit", "bash", "bash  ", "edit a.py\nold\nnew"):
        with pytest.raises(FormatError):
            parse(text)
    assert parse("bash echo done\necho again").command == "echo done\necho again"


# Records


class Killed(BaseException):
    pass


class Dying(Scripted):
    """Is killed at a call, before or after its answer is on record."""

    def __init__(self, replies, dies_at):
        super().__init__(replies)
        self.dies_at = dies_at

    def query(self, messages, commands):
        if self.calls == self.dies_at:
            raise Killed
        return super().query(messages, commands)


def test_a_killed_run_goes_on_and_pays_no_call_twice(env, tmp_path):
    script = ["bash run all", "nonsense", *plan(env)]
    whole = solve(env, 0, Scripted(script), record=tmp_path / "whole.jsonl")
    for death in range(len(script)):
        path = tmp_path / f"{death}.jsonl"
        with pytest.raises(Killed):
            solve(env, 0, Dying(script, death), record=path)
        with path.open("a") as file:
            file.write('{"reply": {"te')  # the machine died in the middle of a line
        rest = Scripted(script[death:])
        assert solve(env, 0, rest, record=path) == whole
        assert rest.calls == len(script) - death
        assert path.read_text() == (tmp_path / "whole.jsonl").read_text()
    again = Scripted([])
    assert solve(env, 0, again, record=tmp_path / "whole.jsonl") == whole
    assert again.calls == 0


def test_records_of_other_runs_and_damaged_ones_are_refused(env, tmp_path):
    path = tmp_path / "run.jsonl"
    solve(env, 0, Scripted(plan(env)), record=path)
    with pytest.raises(InvalidParameter, match="another run"):
        solve(env, 1, Scripted([]), record=path)
    with pytest.raises(InvalidParameter, match="another run"):
        solve(env, 0, Scripted([]), Fixed(3), record=path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{", *lines[1:]]) + "\n")
    with pytest.raises(CorruptFile, match="line 2"):
        read_record(path)
    assert Record(None, {}).replies == []


def test_runs_are_exchanged_with_mini_swe_agent(env, tmp_path):
    run = solve(env, 0, Scripted(["bash run all", *plan(env)]))
    data = json.loads(json.dumps(to_mini_swe_agent(run, PRICE)))
    assert data["info"]["model_stats"]["api_calls"] == 4
    assert data["info"]["model_stats"]["instance_cost"] == pytest.approx(run.cost(PRICE).cached)
    back = from_mini_swe_agent(data, solved=True)
    assert [turn.reply for turn in back.turns] == [turn.reply for turn in run.turns]
    assert (back.exit, back.kind, back.usage) == ("done", "replayed", run.usage)
    assert truncated(back, 2).exit == "limit"
    replayed = solve(env, 0, Replayed([turn.reply for turn in back.turns], "theirs"))
    assert [turn.observation for turn in replayed.turns] == [turn.observation for turn in run.turns]
    with pytest.raises(InvalidParameter, match=r"1\.1"):
        from_mini_swe_agent({"messages": []})
    theirs = {
        "trajectory_format": "mini-swe-agent-1.1", "info": {"exit_status": "LimitsExceeded"},
        "messages": [{"role": "assistant", "content": "ls", "extra": {"response": {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}}}],
    }  # fmt: skip
    assert from_mini_swe_agent(theirs).usage == Usage(9, output=2)


def test_other_models(env):
    answers = iter([{"choices": [{"message": {"content": text}}]} for text in plan(env)])
    run = solve(env, 0, ChatModel(lambda messages: next(answers), "local"))
    assert (run.solved, run.kind, run.usage) == (True, "real", None)
    with pytest.raises(ModelError, match="OpenAI"):
        ChatModel(lambda messages: {"error": "x"}, "local").query([], [])
    player = env.controllers["oracle"].acting_in(env)
    run = solve(env, 3, AgentModel(player, "oracle", "scripted"))
    assert (run.solved, len(run.turns)) == (True, 3)
    with pytest.raises(ModelError, match="middle"):
        AgentModel(player).query([{"role": "user", "content": ""}] * 5, ["submit"])


def test_a_model_that_fails_ends_the_run(env):
    def fails(messages):
        raise ModelError("no answer after 3 tries")

    run = solve(env, 0, ChatModel(fails, "broken"))
    assert (run.exit, run.detail, run.turns) == ("model", "no answer after 3 tries", [])


def test_three_tools_in_the_sandbox():
    from agentgym.envs.code.sandbox import SandboxUnavailable

    try:
        env = gym.make("agentgym/CodeRepair-v0").unwrapped
    except SandboxUnavailable as refusal:
        pytest.skip(str(refusal))
    env.reset(seed=2)
    (fault,) = env.world.of.faults
    right, broken = env.world.of.origin.files[fault.path], env.world.of.broken[fault.path]
    start = broken.rfind("\n", 0, fault.start) - 40
    old, new = broken[start : fault.start + len(fault.text) + 30], right[start : fault.end + 30]
    blocks = f"<<<<<<< OLD\n{old}\n=======\n{new}\n>>>>>>> NEW"
    script = ["bash python3 -m unittest 2>&1 | tail -1", f"edit {fault.path}\n{blocks}", "bash git diff; ls", "done"]
    run = solve(env, 2, Scripted(script))
    assert run.turns[0].observation.startswith("FAILED")
    assert run.turns[1].observation.startswith("Edited.")
    assert (run.exit, run.solved, run.submitted) == ("done", True, "agent")
    run = solve(
        env, 2, Scripted([f"edit {fault.path}\n<<<<<<< OLD\n{'not there'}\n=======\nx\n>>>>>>> NEW", script[1]])
    )
    assert run.turns[0].observation.startswith("Not edited: the old text occurs 0 times.")
    assert (run.exit, run.solved, run.submitted) == ("model", True, "auto")
    assert isinstance(run.turns[0].reply, Reply)
    env.close()
