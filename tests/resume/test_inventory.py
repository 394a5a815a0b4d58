"""Every piece of state counts: left out, the run ends otherwise; or it is listed here as having no effect."""

import shutil
import warnings

import pytest

from agentgym.runs.build import build
from agentgym.runs.checkpoints import Checkpoints, Saved
from agentgym.runs.state import Inventory
from agentgym.runs.train import resume, train

from .conftest import differing, everything

# What a run's end does not depend on, and why it is kept all the same.
NO_EFFECT = {
    "run",  # configuration and versions: compared, not put back
    "random.python",  # nothing of ours draws from it; an environment of a user's may
    "_current_progress_remaining",  # computed again before it is used
    "_last_original_obs",  # VecNormalize only
    "_total_timesteps",  # learn() sets it from the steps that are left
}
ON_POLICY = {
    "_episode_num",  # counted by off-policy agents only
    "random.action_space",  # the policy samples with torch's generator
    "_last_episode_starts",  # of a rollout's first step: advantages look at later ones
}
TEAMS = {  # learners and worlds have generators of their own; a row of the log is written when it is recorded
    "random.torch", "random.numpy", "random.action_space", "log.pending",
}  # fmt: skip
NO_EFFECT_OF = {
    "sac": {"log.pending"},  # every update records its losses anew before they are written
    "ppo": ON_POLICY,
    "mdpo": {"log.pending"},
    "mdpo-onpolicy": ON_POLICY,
    "shared-ppo": ON_POLICY,
    "shared-mdpo": ON_POLICY,
    "dqn": {
        "log.pending",
        "random.torch",  # nothing is drawn from it after the weights are made
        "exploration_rate",  # computed at every step; a loaded agent predicts with it
        "ep_info_buffer",  # no game has ended yet
        "lives",  # no life is lost in the step after the checkpoint
    },
    "maddpg": TEAMS,
    "hatrpo": TEAMS,
    "hatrpo-q": TEAMS,
}
ALWAYS = ("sac", "ppo")  # off policy and on; the others run under make test-slow
AGENTS = [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in NO_EFFECT_OF]


@pytest.fixture(scope="module", params=AGENTS)
def halfway(request, small_run, tmp_path_factory):
    """A finished run, and a copy of it as it was halfway."""
    root = tmp_path_factory.mktemp(request.param)
    config = small_run(request.param, num_envs=2, steps=320, every=256)
    whole = train(config, "whole", root, progress=False)
    half = root / "half"
    shutil.copytree(whole.path, half)
    for leftover in ("final", "checkpoints/0000000320", "record.json"):
        target = half / leftover
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return request.param, everything(whole.path), half


def test_leaving_any_item_out_is_noticed(halfway, tmp_path, monkeypatch):
    agent, whole, half = halfway
    saved = Checkpoints(half / "checkpoints").newest()
    names = [*saved.state, *(["replay rows"] if saved.segments else [])]
    expected = NO_EFFECT.intersection(names) | NO_EFFECT_OF[agent]
    write, restore_rows = Inventory.write, Saved.restore_rows

    def end_without(name):
        monkeypatch.setattr(
            Inventory, "write",
            lambda self, state, when: write(Inventory([i for i in self.items if i.name != name]), state, when),
        )  # fmt: skip
        monkeypatch.setattr(Saved, "restore_rows", restore_rows if name != "replay rows" else lambda self, rows: None)
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(half, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            resume(folder, progress=False)
        return differing(whole, everything(folder))

    assert end_without("nothing at all") == []
    unnoticed = set()
    for name in names:
        try:
            changed = end_without(name)
        except Exception:  # it cannot even go on: noticed
            continue
        if not changed:
            unnoticed.add(name)
    assert unnoticed == expected


# Every attribute of an agent is one of: in the inventory, given by the configuration, derived, or not state.
ACCOUNTED = {
    "configuration": {
        "policy_class", "policy_kwargs", "policy_name", "device", "verbose", "seed", "use_sde", "sde_sample_freq",
        "learning_rate", "lr_schedule", "tensorboard_log", "_stats_window_size", "observation_space", "action_space",
        "n_envs", "gamma", "tau", "batch_size", "learning_starts", "buffer_size", "gradient_steps", "train_freq",
        "optimize_memory_usage", "replay_buffer_class", "replay_buffer_kwargs", "n_steps", "sde_support",
        "use_sde_at_warmup", "target_entropy", "ent_coef", "ent_coef_tensor", "target_update_interval", "compile",
        "cuda_graphs", "gae_lambda", "vf_coef", "max_grad_norm", "rollout_buffer_class", "rollout_buffer_kwargs",
        "n_epochs", "clip_range", "clip_range_vf", "normalize_advantage", "target_kl", "action_noise", "_custom_logger",
        "normalize_rewards", "bootstrap_time_limits", "step_size", "tsallis_q", "snapshot_interval", "regularization",
        "deterministic_collection", "divergence", "policy_steps", "value_epochs", "value_batch_size", "observations",
        "actions", "anneal_learning_rate", "update_by", "settings", "clip_rewards", "terminal_on_life_loss",
        "exploration_initial_eps", "exploration_final_eps", "exploration_fraction", "exploration_schedule",
    },
    "not state": {
        "env", "_logger", "start_time", "_vec_normalize_env", "_num_timesteps_at_start", "actor", "critic",
        "critic_target", "batch_norm_stats", "batch_norm_stats_target", "_update", "_unread_metrics", "_missing",
        "rollout_buffer", "policy", "_fast_update", "_actor_parameters", "_critic_parameters", "_target_parameters",
        "replay_buffer", "log_ent_coef", "ent_coef_optimizer",
        "return_moments", "_old_actor_parameters", "_value_parameters", "value_net", "value_target",
        "layout", "learner", "caller", "_stacks", "q_net", "q_net_target",
        "generator", "replay", "_windows", "_online", "_tracking",
    },
}  # fmt: skip


@pytest.mark.parametrize("agent", NO_EFFECT_OF)
def test_every_attribute_of_an_agent_is_accounted_for(agent, small_run):
    """A new field of Stable-Baselines3, or of ours, fails here until somebody decides what it is."""
    built = build(small_run(agent))
    owned = {item.name.split(".")[0] for item in built.inventory().items}
    known = owned.union(*ACCOUNTED.values())
    for part in (built, getattr(built, "learner", built)):
        assert set(vars(part)) - known == set()


def test_what_cannot_be_resumed_says_so_before_it_begins(small_run):
    from stable_baselines3.common.vec_env import VecFrameStack

    from agentgym.errors import InvalidParameter
    from agentgym.runs.resume import _environments

    agent = build(small_run("sac"))
    with pytest.raises(InvalidParameter, match="VecFrameStack"):
        list(_environments(VecFrameStack(agent.get_env(), 2)))
    agent.replay_buffer.optimize_memory_usage = True
    with pytest.raises(InvalidParameter, match="optimize_memory_usage"):
        agent.inventory()
