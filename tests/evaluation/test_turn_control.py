"""The suite of turn control: limits from calibration, and its report."""

import pytest

from agentgym import RunConfig, train
from agentgym.errors import AskError, UnknownId
from agentgym.evaluation import evaluate, write_report
from agentgym.evaluation.suites.turn_control import TurnControlSuite

MEDIUM = "agentgym/CodeRepairMedium-v0"


def test_limits_come_from_each_players_own_turns_on_other_tasks(tmp_path):
    suite = TurnControlSuite(episodes_for_limits=12, parts=("controls", "reminders"))
    result = evaluate(
        {}, suite, env=MEDIUM, env_kwargs={"split": "unseen"}, episodes=6, controllers=["explorer", "random"],
        progress=False,
    )  # fmt: skip
    assert not result.failures()
    of = {(row.agent, row.condition, row.episode): row.measures for row in result.rows}
    for agent in ("explorer", "random"):
        free = [of[agent, "unrestricted", n] for n in range(6)]
        assert [row["turns"] for row in free] == [of[agent, "nominal", n]["turns"] for n in range(6)]
        for cut in ("fixed, 25 %", "fixed, 50 %", "fixed, 75 %"):
            rows = [of[agent, cut, n] for n in range(6)]
            assert all(mine["turns"] <= its["turns"] for mine, its in zip(rows, free, strict=True))
    limits = {
        agent: max(of[agent, "fixed, 25 %", n]["turns"] for n in range(6)) for agent in ("explorer", "random")
    }  # fmt: skip
    assert limits["explorer"] != limits["random"]
    page = write_report(result, tmp_path / "report.html").read_text()
    assert "solved tasks against cost" in page
    assert "McNemar" in page
    told = result.meta["timelines"]
    assert len(told) == 2 * 7 * 3  # agents, controls, episodes
    assert all(
        one["stopped"] == bool(of[one["agent"], one["condition"], one["episode"]]["auto_submitted"]) for one in told
    )
    for one in told:
        played = of[one["agent"], one["condition"], one["episode"]]
        if one["agent"] == "explorer":  # the other player draws anew
            assert (len(one["turns"]), one["success"]) == (played["turns"], bool(played["success"]))
    assert "explorer: the first tasks, turn by turn" in page


def test_a_trained_policy_is_a_control(tmp_path):
    config = RunConfig("ppo", env="agentgym/TurnControl-v0", steps=64, config={"n_steps": 64})
    train(config, name="turns", root=tmp_path, progress=False)
    suite = TurnControlSuite(episodes_for_limits=10, policy=str(tmp_path / "turns"), parts=("controls",))
    result = evaluate({}, suite, env=MEDIUM, episodes=3, controllers=["explorer"], progress=False)
    assert not result.failures()
    assert "learned" in result.scenes


def test_faults_and_what_is_refused():
    suite = TurnControlSuite(episodes_for_limits=10, parts=("robustness",))
    result = evaluate({}, suite, env=MEDIUM, episodes=1, controllers=["explorer"], progress=False)
    assert not result.failures()
    assert len(result.scenes) == 1 + 4 * 3 * 2
    with pytest.raises(AskError, match="submit"):
        evaluate({}, suite, env="agentgym/Household-v0", episodes=1, controllers=["oracle"], progress=False)
    with pytest.raises(UnknownId, match="controls"):
        TurnControlSuite(parts=("control",))
    with pytest.raises(AskError, match="no run"):
        TurnControlSuite(policy="runs/none")
    with pytest.raises(AskError, match="at least 10"):
        TurnControlSuite(episodes_for_limits=3)
