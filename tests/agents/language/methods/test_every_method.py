"""Every method trains, resumes exactly, combines with others, and is described."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym import catalog
from agentgym.agents import GRPO
from agentgym.agents.language.methods.overview import SETTINGS_ONLY
from agentgym.agents.language.methods.plugin import hooks_of
from agentgym.cli.main import main
from agentgym.errors import InvalidParameter
from agentgym.runs.state import pack, unpack
from tests.agents.language.worlds import homes, small

METHODS = {entry.id: catalog.load(entry) for entry in catalog.entries("method")}
ESTIMATORS = {entry.id: catalog.load(entry) for entry in catalog.entries("estimator")}
OLDER = ("spear", "epo", "entropy", "kl", "llds", "empg", "aem", "simpletir", "dr-bot", "invalid", "clip-cov", "kl-cov")
NEWER = {
    "overlong": "overlong:limit=6,buffer=3,unit=turns", "laser": "laser:form=difficulty,every=2,target=4",
    "b-star": "b-star:temperatures=0.8+1.2,every=3", "dynamic-sampling": "dynamic-sampling:rounds=2",
    "aepo": "aepo:replaced=0.25",
}  # fmt: skip
CASES = [
    *({"methods": (NEWER.get(name, name),)} for name in METHODS if name not in OLDER),
    *({"advantage": name} for name in ESTIMATORS if name not in ("grpo", "dr-grpo", "rloo", "gigpo", "gigpo-mean")),
    *({"advantage": f"gae:preset={preset}"} for preset in ESTIMATORS["gae"].PRESETS),
    *({"preset": preset} for preset in GRPO.Config.presets if preset != "dr-bot"),
]  # fmt: skip


def lively(**arguments):
    """A small agent in homes where every third episode is told to have succeeded, so that there is a signal."""
    agent = small(env=homes(max_turns=4), **{"learning_rate": 1e-3, "warmup_iterations": 0, **arguments})
    play = agent.rollout.play_from

    def told(*given, **named):
        episodes = play(*given, **named)
        for number, episode in enumerate(episodes):
            episode.won = number % 3 == 0
            episode.turns[-1].reward = float(episode.won)
        return episodes

    agent.rollout.play_from = told
    return agent


def iterations(agent, count):
    for _ in range(count):
        agent.learn(1, reset_num_timesteps=False)
    return agent


def weights(agent):
    return torch.cat([parameter.detach().flatten() for parameter in agent.policy.parameters()])


@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_three_iterations_and_the_same_after_a_stop(arguments):
    agent = lively(**arguments)
    before = weights(agent)
    stopped = iterations(lively(**arguments), 2)
    saved = unpack(pack(stopped.inventory().read()))
    iterations(agent, 3)
    assert weights(agent).isfinite().all()
    assert not torch.equal(weights(agent), before)
    resumed = lively(**arguments)
    for item in resumed.inventory().items:
        item.write(saved[item.name])
    iterations(resumed, 1)
    assert torch.equal(weights(resumed), weights(agent))
    assert resumed.num_timesteps == agent.num_timesteps


@given(
    methods=st.lists(st.sampled_from([NEWER.get(name, name) for name in METHODS]), min_size=2, max_size=2, unique=True),
    advantage=st.sampled_from(sorted(ESTIMATORS)),
    ratio=st.sampled_from(["decision", "turn", "episode", "none"]),
    actions=st.sampled_from(["choose", "write"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_any_two_combine(methods, advantage, ratio, actions):
    arguments = {"methods": tuple(methods), "advantage": advantage, "ratio": ratio, "actions": actions}
    changing = [name for name in methods if "surrogate" in hooks_of(METHODS[name.partition(":")[0]])]
    replacing = [name for name in methods if METHODS[name.partition(":")[0]].REPLACES]
    own = ESTIMATORS[advantage].REPLACES
    if ((replacing or own) and ratio != "decision") or (replacing and (own or replacing != changing[:1])):
        with pytest.raises(InvalidParameter, match=r"replaces the loss|has a loss of its own"):
            lively(**arguments)
        return
    agent = lively(**arguments, max_command_tokens=3)
    assert weights(iterations(agent, 1)).isfinite().all()


@pytest.mark.parametrize("name", [*METHODS, *ESTIMATORS])
def test_every_method_says_what_it_is(name):
    method = {**METHODS, **ESTIMATORS}[name]
    assert method.ABOUT.formula
    assert method.ABOUT.source
    assert hooks_of(method)


def test_the_list_of_methods(capsys):
    main(["show", "language-methods"])
    said = capsys.readouterr().out
    for name, method in {**METHODS, **ESTIMATORS}.items():
        assert f"- **{name}** [{', '.join(hooks_of(method))}]: {method.ABOUT.formula}" in said
    for name in (*GRPO.Config.presets, "SIREN", "PEAR", "ARES", "PRIME", "GDC"):
        assert f"- **{name}" in said
    assert set(SETTINGS_ONLY) <= set(GRPO.Config.presets)
