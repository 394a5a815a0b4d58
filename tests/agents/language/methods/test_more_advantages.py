"""Estimators of the second ring against the values of shared/specs/language_second_ring.md."""

import pytest
import torch

from agentgym.agents import GRPO
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.methods.bnpo import beta_weights
from agentgym.agents.language.methods.canon import CANON
from agentgym.agents.language.methods.copo import COPO, answer_entropy
from agentgym.agents.language.methods.gae import GAE, decisions_gae, levels_gae, turns_gae
from agentgym.agents.language.methods.oreo import OREO, OREOLoss, bellman_errors
from agentgym.agents.language.methods.plugin import find_estimator
from agentgym.agents.language.methods.pure import PURE, min_form
from agentgym.agents.language.methods.r3l import R3L
from agentgym.agents.language.methods.red import REDDrop, REDWeight
from agentgym.agents.language.methods.w_reinforce import WeightedReinforce
from agentgym.agents.language.policies.policy import Sampler
from agentgym.errors import InvalidParameter, UnknownId
from tests.agents.language.batches import batch, close, episode, flat, terms_of
from tests.agents.language.worlds import homes, small


def one_group(*returns, **arguments):
    return batch(*(episode(0, (value,), **arguments) for value in returns))


def advantages(text, made):
    return find_estimator(text)(made, LanguageConfig())


def loss_without_ratio(text, made, logps):
    """The mean loss of an estimator with one decision an episode."""
    made.advantages = advantages(text, made)[:, None]
    terms = terms_of(made, torch.tensor(logps)[:, None], GRPO.Config(ratio="none"))
    return float(find_estimator(text).surrogate(terms).mean())


def test_opmd():
    made, logps = one_group(1.0, 0.0, 0.0, 0.0), [-0.5, -1.0, -2.0, -0.1]
    close(advantages("opmd", made), [0.75, -0.25, -0.25, -0.25])
    assert loss_without_ratio("opmd", made, logps) == pytest.approx(-0.05, abs=1e-6)
    soft = 1 - advantages("opmd:baseline=log-mean-exp", made)
    close(soft[:1], [0.357374], 1e-6)
    assert not advantages("opmd:baseline=log-mean-exp", one_group(0.3, 0.1 + 0.2)).any()
    sharp = advantages("opmd:baseline=log-mean-exp,tau=1e-3", made)  # nearly the best return
    close(sharp, [0.0, -1.0, -1.0, -1.0], 2e-3)


def test_asymre():
    made, logps = one_group(1.0, 0.0, 0.0, 0.0), [-0.5, -1.0, -2.0, -0.1]
    close(advantages("asymre", made), [0.85, -0.15, -0.15, -0.15])
    assert loss_without_ratio("asymre", made, logps) == pytest.approx(-0.01, abs=1e-6)
    close(advantages("asymre", one_group(0.0, 0.0)), [0.1, 0.1])  # failures are raised


def test_red():
    made = one_group(1.0, 0.0, 0.0, 0.0)
    method = REDDrop()
    method.generator = torch.Generator().manual_seed(0)
    made.mask = made.mask & method.keep(made)
    found = method(made, LanguageConfig())
    assert sorted(found.tolist()) == [-0.5, 0.0, 0.0, 0.5]
    assert found[0] == 0.5
    assert made.mask.any(1).sum() == 2
    failed = one_group(0.0, 0.0)
    assert not method.keep(failed).any()
    weighed = REDWeight().modulate(made, torch.tensor([[0.75], [-0.25], [-0.25], [-0.25]]))
    loss = -(weighed[:, 0] * torch.tensor([-0.5, -1.0, -2.0, -0.1])).mean()
    assert float(loss) == pytest.approx(0.047576, abs=1e-6)


def test_weighted_reinforce():
    made = one_group(1.0, 0.0)
    close(advantages("w-reinforce", made), [0.1, -1.0])
    assert WeightedReinforce().keep(made).all()
    for preset, kept in (("psr", [True, False]), ("nsr", [False, True])):
        method = find_estimator(f"w-reinforce:preset={preset}")
        assert method.keep(made).any(1).tolist() == kept
    made.rewards[1, 0] = -0.25  # shaping does not count
    close(advantages("w-reinforce", made), [0.1, -1.0])


def test_bnpo():
    close(beta_weights(torch.tensor([0.25, 0.5, 0.75])), [0.9069, 0.785398, 0.9069], 1e-4)
    close(beta_weights(torch.tensor([0.1, 0.2, 0.6])), [0.8997, 0.8275, 0.9180], 1e-4)
    groups = [[1.0, 0, 0, 0], [1.0, 1, 0, 0], [1.0, 1, 1, 0]]
    made = batch(*(episode(n, (value,)) for n, group in enumerate(groups) for value in group))
    found = advantages("bnpo", made)
    close(found[[0, 1]], [0.6802, -0.2267], 1e-4)
    for alike in (one_group(1.0, 0.0), batch(episode(0, (1.0,)), episode(1, (1.0,)))):
        assert advantages("bnpo", alike).isfinite().all()  # one group; a variance of 0
    assert not advantages("bnpo", batch(*(episode(n, (float(n),)) for n in (0, 0, 1, 1)))).any()


def test_copo():
    assert answer_entropy(torch.tensor([1, 1, 1, 2])) == pytest.approx(0.811278, abs=1e-6)
    assert answer_entropy(torch.tensor([1, 1, 2, 3])) == pytest.approx(1.5)
    assert answer_entropy(torch.tensor([7, 7, 7, 7])) == 0
    assert COPO().weight(0.811278) == pytest.approx(0.998026, abs=1e-6)
    assert COPO(centre=1.5).weight(1.5) == 0.5
    assert COPO().weight(0.0) == pytest.approx(4.54e-5, abs=1e-7)
    rows = [(0, 1.0), (0, 1.0), (1, 1.0), (1, 0.0), (2, 0.0), (2, 0.0)]
    made = batch(*(episode(group, (value,)) for group, value in rows))
    method = COPO()
    found = method(made, LanguageConfig())
    close([method.of_groups[n][1] for n in range(3)], [1.0, 0.0, -1.0], 1e-4)
    close(found[[0, 4]], [1.0, -1.0], 1e-4)  # groups that agree learn from the others
    assert method.of_groups[1][0] == pytest.approx(COPO().weight(1.0))
    made.advantages = found[:, None]
    terms = terms_of(made, made.old_logp + 1.0, LanguageConfig())
    loss = method.surrogate(terms)
    close(loss[:2, 0], [-1.28, -1.28], 1e-4)  # L(A_g), clipped
    weight = COPO().weight(1.0)
    close(loss[2:4, 0], weight * terms.loss[2:4, 0], 1e-4)  # its A_g is 0
    method.finish(made, 0)
    assert method.of_groups == {}
    assert COPO()(one_group(1.0, 0.0), LanguageConfig()).isfinite().all()  # one task: no deviation


def test_canon():
    made = batch(
        *(episode(0, (value,), entropies=[h]) for value, h in zip((1, 0, 1, 1), (0.2, 0.4, 0.6, 0.8), strict=True))
    )
    inter, intra = [0.0, -1.0, 0.5, 0.5], [0.5, -0.5, 0.0, 0.0]
    close(advantages("canon", made), inter)
    close(advantages("canon:share=0", made), intra)
    close(advantages("canon:share=0.5", made), [0.25, -0.75, 0.25, 0.25])
    close(advantages("canon:alpha=0.5", made), [0.5 - 1, 0.0 - 1, 1 - 0.25, 1 - 0.25])
    # By length the roles of the halves swap.
    long = batch(*(episode(0, (0.0,) * n + (value,)) for n, value in enumerate((1.0, 0, 1, 1))))
    close(advantages("canon:metric=length,alpha=0.5", long), [1 - 0.5, 0 - 0.5, 0.5 - 0.5, 0.5 - 0.5])
    assert not advantages("canon", one_group(0.1 + 0.2, 0.3)).any()
    share = CANON(schedule="cosine").other_share
    assert [share(t, 0) for t in (0, 15, 30, 50)] == pytest.approx([1.0, 0.7, 0.4, 1.0])
    assert CANON(schedule="success").other_share(0, 0.25) == 0.25


def test_pure():
    played = torch.ones(1, 3, dtype=torch.bool)
    formed = min_form(torch.tensor([[0.9, -0.5, 0.3]]), played, 0.1)
    assert float(formed.sum()) == pytest.approx(-0.499731, abs=1e-6)
    made = batch(episode(0, (0.9, -0.5, 0.3)), episode(0, (0.0, 0.0, 0.0)))
    made.won[:] = False
    found = PURE(baseline="none")(made, LanguageConfig())
    # What is less than 1e-6 counts as rounding: the page's 0.000101 of the last turn stays.
    close(found[0], [-0.499731, -0.499731, 0.000101], 2e-6)
    # The other's baseline: per decision, times the turn's decisions.
    close(PURE()(made, LanguageConfig())[1], [0.499731 / 3 * n for n in (3, 2, 1)], 1e-5)
    won = batch(episode(0, (0.0, 1.0)), episode(0, (0.0, 0.0)))
    close(PURE()(won, LanguageConfig()), [[1.0, 1.0], [-1.0, -1.0]])  # rewards of success only: RLOO


def test_r3l():
    made = one_group(1.0, 0.6, 0.2, 0.0)
    close(R3L()(made, LanguageConfig()), [1.0, 0.45, -0.25, -0.45])
    close(R3L()(one_group(1.0, 1.0), LanguageConfig()), [1.0, 1.0])  # a group that won imitates itself
    with pytest.raises(InvalidParameter, match="at least 4"):
        small(group_size=2, tasks=4, advantage="r3l").learn(1)


def two_turns():
    """Five decisions in turns of two and three, whose last gets a reward of 1, and values."""
    made = flat([0.0] * 5, turns=[2, 3]).batch
    made.rewards[0, 1] = 1.0
    return made, torch.tensor([[0.2, 0.3, 0.4, 0.5, 0.6]])


def test_gae():
    made, values = two_turns()
    close(decisions_gae(made, values, 1.0, 1.0), [[0.8, 0.7, 0.6, 0.5, 0.4]])
    close(decisions_gae(made, values, 0.99, 0.95), [[0.662483, 0.601258, 0.537223, 0.4702, 0.4]])
    close(turns_gae(made, values, 0.95, 0.95), [[0.7215] * 2 + [0.6] * 3])
    close(levels_gae(made, values, 1.0, 1.0, 0.9), [[0.7, 0.6, 0.6, 0.5, 0.4]])
    close(levels_gae(made, values, 1.0, 1.0, 1.0), decisions_gae(made, values, 1.0, 1.0))


def test_padding_and_turns_without_decisions_have_no_part():
    short, long = episode(0, (1.0,)), episode(0, (0.5, 0.0, 0.25))
    long.turns[0].positions, long.turns[0].logps, long.turns[0].entropies = [], [], []  # a repeated turn
    made = batch(short, long)
    values = torch.tensor([[0.5, 9.0], [0.0, 0.0]])
    close(decisions_gae(made, values, 1.0, 1.0), [[0.5, 0.0], [0.75, 0.25]])
    close(turns_gae(made, values, 1.0, 1.0), [[0.5, 0.0], [0.75, 0.25]])
    close(levels_gae(made, values, 1.0, 1.0, 1.0), [[0.5, 0.0], [0.75, 0.25]])


def test_a_critic_learns_returns():
    agent = small(advantage="gae:rate=0.01,whiten=false", methods=(), epochs=4)
    losses = []
    for iteration in range(6):
        episodes = agent.rollout.play([1, 2], sampler())
        for one in episodes:
            one.turns[-1].reward = 1.0
        losses.append(agent.learner.update(collate(episodes, True), iteration)["advantage/value_loss"])
    assert losses[-1] < losses[0] / 2
    other = small(advantage="gae", methods=())
    other.learner.restore_plugins(agent.learner.plugin_states())
    made = collate(episodes, True)
    with torch.no_grad():
        assert torch.equal(agent.learner.estimator.critic(made), other.learner.estimator.critic(made))


def sampler():
    return Sampler(torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("opmd:tau=0", InvalidParameter, "tau of OPMD"),
        ("opmd:baselin=mean", UnknownId, "baseline"),
        ("gae:preset=token", UnknownId, "preset of gae"),
        ("gae:gamma=1.5", InvalidParameter, "gamma of GAE"),
        ("opdm", UnknownId, "opmd"),
    ],
)
def test_estimators_that_cannot_be(text, error, said):
    with pytest.raises(error, match=said):
        small(advantage=text)


def test_whitened_advantages():
    agent = small(advantage="gae", methods=())
    made = collate(agent.rollout.play([1, 2], sampler()), True)
    made.rewards[:4, 0] = 1.0
    found = agent.learner.estimator(made, agent.settings)[made.mask]
    close(found.mean(), 0.0, 1e-4)
    close(found.std(), 1.0, 1e-3)
    assert isinstance(agent.learner.estimator, GAE)


def test_oreo():
    moved, values = torch.tensor([[0.2, -0.1, 0.4]], requires_grad=True), torch.tensor([[0.5, 0.6, 0.8]])
    errors = bellman_errors(values, moved, torch.tensor([1.0]), 0.03)
    close(errors.detach(), [[-0.485, -0.391, -0.188]])
    assert float((errors.detach() ** 2).mean()) == pytest.approx(0.14115, abs=1e-6)
    (gradient,) = torch.autograd.grad(errors.sum(), moved)
    close(gradient, [[0.03] * 3])  # each decision's own term alone
    made, _ = two_turns()
    made.rewards[0] = torch.tensor([0.0, 1.0])
    found = OREOLoss(beta=0.5).errors(made, torch.tensor([[0.5, 9.0, 0.8, 9.0, 9.0]]), torch.full((1, 5), 0.1))
    # Turns of two and three decisions: S = 0.5 and 0.3, errors 0.5 + 0.25 - 1 and 0.8 + 0.15 - 1.
    assert float(found) == pytest.approx((0.25**2 + 0.05**2) / 2)
    by_decision = OREOLoss(beta=0.5, level="decision").errors(made, torch.zeros(1, 5), torch.full((1, 5), 0.1))
    assert float(by_decision) == pytest.approx(sum((0.05 * n - 1) ** 2 for n in range(1, 6)) / 5)


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_oreo_learns_from_recorded_episodes(actions):
    agent = small(
        OREO, homes(max_turns=12, tasks=["place"]), actions=actions, learning_rate=1e-2, warmup_iterations=0,
        imitation_random=0.3,
    )  # fmt: skip
    heard, update = [], agent.learner.update

    def note(made, iteration, apart=None):
        heard.append((made, update(made, iteration, apart)))
        return heard[-1][1]

    agent.learner.update = note
    agent.learn(250)
    made, _ = heard[0]
    won = torch.cat([one.won for one, _ in heard])
    assert won.any()  # in spite of random turns
    assert not won.all()
    close(made.returns(), made.won.float())
    assert agent.num_timesteps == sum(int(one.turns.sum()) for one, _ in heard)
    logp, _ = agent.policy.evaluate_decisions(made)
    assert (logp - made.old_logp).abs().max() > 1e-3
    errors = [numbers["advantage/value_loss"] for _, numbers in heard]
    assert errors[-1] < errors[0]
    with pytest.raises(InvalidParameter, match="rec replaces the loss of oreo"):
        small(OREO, methods=("rec",))
