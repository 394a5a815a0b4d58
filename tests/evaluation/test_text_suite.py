"""The suite text, language agents and controllers in batches, transcripts, on short episodes."""

import json
import math

import gymnasium
import pytest
from gymnasium.spaces import Text

import agentgym
from agentgym.agents import GRPO
from agentgym.cli.main import main
from agentgym.errors import AskError, InvalidParameter, SpaceMismatch, UnknownId
from agentgym.evaluation.conditions import Condition, Subject
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.report import write_report
from agentgym.evaluation.report.panels import gather
from agentgym.evaluation.report.tables import conditions_csv
from agentgym.evaluation.rollout import Job, play_batches
from agentgym.evaluation.suites.text import TextSuite
from agentgym.evaluation.table import Evaluation, Scene
from agentgym.evaluation.transcript import transcript

assert agentgym
ENV = "agentgym/Household-v0"
TINY = {"size": "tiny", "tasks": ["place"]}


def smoke(**settings):
    """A tiny policy after a few batches of imitation: it knows some words, and is far from good."""
    small = {
        "width": 16, "layers": 1, "heads": 2, "context": 700, "tasks": 2, "group_size": 4, "imitation_batches": 10,
        "imitation_size": 16,
    }  # fmt: skip
    env = gymnasium.make_vec(ENV, 8, autoreset_mode="SameStep", **TINY)
    return GRPO("tiny", env, seed=0, device="cpu", **{**small, **settings})


@pytest.fixture(scope="module")
def agent():
    return smoke().learn(1)


@pytest.fixture(scope="module")
def everything(agent):
    controllers = ["oracle", "explorer", "random"]
    return evaluate({"smoke": agent}, "text", ENV, TINY, episodes=8, progress=False, controllers=controllers)


def rows_of(evaluation, agent, start):
    found = [row for row in evaluation.rows if row.agent == agent and row.condition.startswith(start)]
    assert found, (agent, start)
    return found


def mean(rows, measure):
    return sum(row.measures[measure] for row in rows) / len(rows)


def test_every_condition_is_played_by_agents_and_controllers(everything):
    assert {row.error for row in everything.rows} == {""}
    assert {scene.tab for scene in everything.scenes.values()} == {
        "Overview", "Words", "Commands", "Objects", "Tools", "Instructions", "Length", "Worlds"
    }  # fmt: skip
    assert len(everything.rows) == 4 * 8 * len(everything.scenes)
    assert all(row.length == row.measures["turns"] for row in everything.rows)
    assert all(row.episode_return == row.measures["success"] for row in everything.rows)
    assert everything.meta["left_out"] == {}


def test_an_oracle_is_where_it_should_be(everything):
    for row in rows_of(everything, "oracle", "nominal"):
        assert (row.episode_return, row.measures["regret"], row.measures["invalid_turns"]) == (1.0, 0.0, 0.0)
    # Whatever is only said otherwise does not touch who does not read.
    for start in ("paraphrase", "typos", "renamed", "shuffled", "injected", "split", "size"):
        for row in rows_of(everything, "oracle", start):
            assert (row.measures["success"], row.measures["regret"]) == (1.0, 0.0), row.condition
    for row in rows_of(everything, "oracle", "failures"):
        assert row.measures["regret"] >= row.measures["failures"] - (row.measures["success"] < 1)
    many, few = (rows_of(everything, "oracle", f"failures (rate a command) {rate}") for rate in ("0.4", "0.1"))
    nominal = mean(rows_of(everything, "oracle", "nominal"), "turns")
    assert mean(many, "turns") > nominal + 1
    assert mean(many, "turns") > mean(few, "turns") >= nominal  # the same draws


def test_a_random_player_plays_the_same_however_things_are_called(everything):
    nominal = [row.measures["turns"] for row in rows_of(everything, "random", "nominal")]
    for start in ("renamed verbs (rate a verb) 1", "shuffled lists (rate a turn) 1", "typos (rate a word) 0.4"):
        assert [row.measures["turns"] for row in rows_of(everything, "random", start)] == nominal
    assert [row.measures["turns"] for row in rows_of(everything, "random", "failures (rate a command) 0.4")] != nominal


def test_what_is_not_shown_is_drawn_all_the_same(everything):
    shown, hidden = (rows_of(everything, "random", f"injected{kind} (rate a turn) 0.4") for kind in ("", ", not shown"))
    assert [row.measures for row in shown] == [row.measures for row in hidden]  # it does not read
    assert mean(shown, "injections") > 1
    assert 0 < mean(shown, "followed") < mean(shown, "injections")


def test_a_policy_does_not_mind_the_order_of_its_list_and_minds_words(everything):
    nominal = [row.measures for row in rows_of(everything, "smoke", "nominal")]
    assert [row.measures for row in rows_of(everything, "smoke", "shuffled lists (rate a turn) 1")] == nominal
    worded = [name for name in everything.scenes if name.startswith(("paraphrase", "typos", "renamed"))]
    assert any([row.measures for row in rows_of(everything, "smoke", name)] != nominal for name in worded)


def test_the_report_shows_it_and_the_rows_come_back(everything, tmp_path):
    pytest.importorskip("plotly")
    page = write_report(everything, tmp_path / "report.html").read_text(encoding="utf-8")
    for said in ("renamed verbs, told (rate a verb)", "Instructions", "oracle"):
        assert said in page
    again = Evaluation.read(everything.write(tmp_path / "rows"))
    assert [json.dumps(row.measures) for row in again.rows] == [json.dumps(row.measures) for row in everything.rows]
    head = conditions_csv(gather(everything)).splitlines()[0].split(",")
    assert {"success", "turns", "invalid_turns", "regret", "failures", "injections", "followed"} <= set(head)


def played(agent, jobs):
    return {row.episode: row for row in play_batches(agent, "a", jobs)}


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_batches_play_what_single_worlds_play(actions):
    agent = smoke(actions=actions, imitation_batches=2).learn(1)
    condition = Condition(
        "c", Scene("t", "p", "nominal"), ENV, TINY, perturbations=({"type": "ToolFailure", "rate": 0.2},)
    )
    jobs = [Job(condition, episode, 100 + episode) for episode in range(6)]
    together = played(agent, jobs)
    assert together == {job.episode: played(agent, [job])[job.episode] for job in jobs}
    assert len({row.measures["failures"] for row in together.values()}) > 1


def test_results_do_not_depend_on_workers(agent, tmp_path):
    agent.save(tmp_path / "smoke")
    ask = ([tmp_path / "smoke"], "text:parts=tools", ENV, TINY)
    rows = [
        evaluate(*ask, episodes=2, workers=workers, progress=False, controllers=["random"]).rows for workers in (1, 2)
    ]
    assert rows[0] == rows[1]


def test_returns_are_true_rewards_also_where_the_agent_is_told_others():
    found = evaluate({}, "perturbations:axes=reward", ENV, TINY, episodes=3, progress=False, controllers=["oracle"])
    assert {row.error for row in found.rows} == {""}
    assert {row.episode_return for row in found.rows} == {1.0}


def test_an_agent_that_is_at_a_loss_says_nothing_more():
    """An episode that outgrows the context is lost turn by turn, as it is in training, and is counted."""
    agent = smoke(context=120, imitation_batches=0)
    rows = evaluate({"short": agent}, "text:parts=worlds", ENV, TINY, episodes=4, progress=False).rows
    assert {row.error for row in rows} == {""}
    cut = [row for row in rows if row.measures["overlong"]]
    assert cut
    assert all(row.measures["invalid_turns"] > 0 and row.length == 12 for row in cut)


def test_an_episode_that_fails_is_a_row_and_the_others_go_on():
    class Moody:
        observation_space = action_space = Text(1000, charset=gymnasium.make(ENV).observation_space.characters)

        def predict(self, observation, state=None, episode_start=None, deterministic=True, commands=None):
            if any(text is not None and "kitchen" in text for text in observation):
                raise ValueError("not in the kitchen")
            return ["look" for _ in observation], None

    rows = evaluate({"moody": Moody()}, "text:parts=worlds", ENV, TINY, episodes=25, progress=False).rows
    failed = [row for row in rows if row.error]
    assert 0 < len(failed) < len(rows)
    assert all(math.isnan(row.episode_return) and "kitchen" in row.error for row in failed)


def test_texts_that_an_agent_can_read_are_accepted_and_others_refused(agent):
    larger = evaluate({"smoke": agent}, "text:parts=worlds", ENV, {"size": "large"}, episodes=1, progress=False)
    assert {row.error for row in larger.rows} == {""}
    with pytest.raises(SpaceMismatch, match="words"):
        evaluate({"smoke": agent}, "text", "agentgym/Archive-v0", episodes=1, progress=False)

    class Narrow:
        observation_space = action_space = Text(1000, charset="abc ")

        def predict(self, *given, **more):
            raise AssertionError

    with pytest.raises(SpaceMismatch, match="characters"):
        evaluate({"narrow": Narrow()}, "text", ENV, episodes=1, progress=False)


def test_the_suite_knows_where_it_belongs():
    with pytest.raises(AskError, match="text environment"):
        TextSuite().conditions(Subject("CartPole-v1", {}, gymnasium.make("CartPole-v1"), None, {}))
    with pytest.raises(UnknownId, match="word"):
        TextSuite(parts=("word",))
    with pytest.raises(UnknownId, match="oracle"):
        evaluate({}, "text", ENV, episodes=1, controllers=["orakle"], progress=False)


def test_what_a_world_cannot_do_is_left_out_with_the_reason():
    manor = Subject(ENV, {"size": "manor"}, gymnasium.make(ENV, size="manor"), None, {})
    left = TextSuite().left_out(manor)
    assert any("receptacles" in name and "40" not in name for name in left) or not left
    names = {condition.name for condition in TextSuite().conditions(manor)}
    assert not any(name.startswith("size:") for name in names)
    assert not names & set(left)
    grown = Subject(ENV, {"receptacles": 36}, gymnasium.make(ENV, receptacles=36), None, {})
    assert "receptacles (number) 44" in TextSuite().left_out(grown)
    assert "receptacles" in TextSuite().left_out(grown)["receptacles (number) 44"]


def test_conditions_of_length_follow_from_the_nominal_world():
    subject = Subject(ENV, {"size": "large"}, gymnasium.make(ENV, size="large"), None, {})
    conditions = {condition.name: condition for condition in TextSuite(parts=("length", "objects")).conditions(subject)}
    assert conditions["turns allowed (share) 0.5"].env_kwargs["max_turns"] == 14
    assert [name for name in conditions if name.startswith("size")] == ["size: flat", "size: house", "size: manor"]
    assert conditions["items (number) 16"].env_kwargs["items"] == 16


def test_a_transcript_reads_like_an_episode(agent, tmp_path, capsys):
    lines = list(transcript(None, ENV, TINY, seed=0, controllers=["oracle"]))
    assert lines[0].startswith("Your task: put a ")
    assert lines[1].startswith("> go to ")
    assert lines[-1] == f"[won after {len(lines) // 2 - 1} turns, return 1]"
    failing = list(transcript(None, ENV, TINY, [{"type": "ToolFailure", "rate": 1.0}], controllers=["random"]))
    assert failing.count("Nothing happens: the tool failed.") == 12
    assert failing[-1] == "[out of turns after 12 turns, return 0]"
    main(["play", "--env", ENV, "--env-kwargs", "size=tiny", "--controllers", "oracle", "random", "--seed", "3"])
    said = capsys.readouterr().out
    assert "=== random ===" in said
    assert "[won after" in said
    with pytest.raises(SystemExit) as stop:
        main(["play", "--env", ENV, "--controllers", "oracle", "--video", str(tmp_path / "a.mp4")])
    assert stop.value.code == 2
    assert "transcript" in capsys.readouterr().err


def test_runs_are_judged_from_the_command_line(tmp_path, capsys):
    small = ["--config.tasks", "2", "--config.group-size", "4", "--config.width", "16", "--config.heads", "2"]
    where = ["--env", ENV, "--env-kwargs", "size=tiny", "--root", str(tmp_path), "--name", "run", "--device", "cpu"]
    main(["train", "grpo", *where, "--steps", "1", "--threads", "1", *small])
    out = ["--out", str(tmp_path / "judged"), "--no-report", "--episodes", "2"]
    ask = ["--suite", "text:parts=tools", "--env-kwargs", "size=tiny", "--controllers", "explorer"]
    main(["evaluate", str(tmp_path / "run"), *ask, *out])
    assert "failures (rate" in capsys.readouterr().out
    rows = Evaluation.read(tmp_path / "judged").rows
    assert {row.agent for row in rows} == {"run", "explorer"}
    assert {row.error for row in rows} == {""}
    main(["play", str(tmp_path / "run")])
    assert capsys.readouterr().out.startswith("Your task: ")


class Odd(gymnasium.Env):
    """A world of texts by somebody else, in which something is odd from the second turn on."""

    observation_space = action_space = Text(2000, charset=frozenset(map(chr, range(1, 0x250))))

    def __init__(self, says="A mug.", commands=("look", "wait")):
        self.says, self.commands = says, list(commands)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.turn = 0
        return "A mug.", {"admissible_commands": self.commands}

    def step(self, action):
        self.turn += 1
        says = self.says if self.turn == 2 else "A mug."
        return says, 0.0, self.turn == 4, False, {"admissible_commands": self.commands}


gymnasium.register("test/Odd-v0", Odd)


class Reader:
    """Says what it was told to say."""

    observation_space, action_space = Odd.observation_space, Odd.action_space

    def __init__(self, command="look"):
        self.command = command

    def predict(self, observation, state=None, episode_start=None, deterministic=True, commands=None):
        return (self.command if isinstance(observation, str) else [self.command] * len(observation)), None


@pytest.mark.parametrize("says", [None, 3, b"A mug."], ids=repr)
def test_an_observation_that_is_no_string_is_a_row_with_an_error(says):
    found = evaluate({"reader": Reader()}, [], "test/Odd-v0", {"says": says}, episodes=2, progress=False)
    assert len(found.rows) == 2
    for row in found.rows:
        assert "SpaceMismatch" in row.error
        assert repr(says) in row.error


def test_a_transcript_shows_what_cannot_be_printed(monkeypatch):
    def told(command, **arguments):
        cast = ("test/Odd-v0", arguments, {"reader": Reader(command)})
        monkeypatch.setattr("agentgym.evaluation.transcript.cast", lambda *_: cast)
        return list(transcript(None))

    lines = told("\x1b[2J\ud83d\nlook", says="A mug.\n\x07Two \udc80 mugs.")
    assert "> \\x1b[2J\\ud83d\\nlook" in lines
    assert "A mug.\n\\x07Two \\udc80 mugs." in lines
    "\n".join(lines).encode()
    assert "> Öffne die Tür" in told("Öffne die Tür")
    with pytest.raises(SpaceMismatch, match="string, not None"):
        told("look", says=None)


@pytest.mark.parametrize("steps", [0, -1, 2.5, math.nan, True])
def test_a_transcript_has_a_turn_at_least(steps):
    with pytest.raises(InvalidParameter, match="steps"):
        list(transcript(None, ENV, TINY, steps=steps, controllers=["oracle"]))
