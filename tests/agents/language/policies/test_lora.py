"""Low-rank adapters, bfloat16 and recomputed layers, with a random Llama of a few thousand parameters."""

import shutil
import warnings

import pytest
import torch

from agentgym.agents.common.saving import load_agent
from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.methods.kl_to_reference import KLToReference
from agentgym.agents.language.methods.plugin import make_plugins
from agentgym.errors import AskError, InvalidParameter, MissingExtra
from agentgym.runs import state_files
from agentgym.runs.checkpoints import Checkpoints
from agentgym.runs.run import RunConfig
from agentgym.runs.train import resume, train
from tests.agents.language.batches import close
from tests.agents.language.policies.test_pretrained import agent, model_folder, played
from tests.agents.language.worlds import small

pytest.importorskip("peft", reason='needs the extra lora: pip install "agentgym[lora]"')

LORA = {"lora_rank": 2, "context": 1500, "actions": "choose", "temperature": 20, "max_turns": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("plain"))


def moved(made_by, by=0.1):
    """Change the adapters, so that they have learned something."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in made_by.policy.named_parameters():
            if "lora_" in name:
                parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return made_by


def batch_of(made_by):
    return collate(played(made_by), made_by.choosing)


@pytest.mark.parametrize("actions", ["choose", "write"])
def test_without_adapters_it_is_the_base_model_bit_for_bit(folder, actions):
    plain, adapted = (
        agent(folder, **{**LORA, "lora_rank": 0, "actions": actions}),
        agent(folder, **{**LORA, "actions": actions}),
    )
    batch = batch_of(plain)
    with torch.no_grad():
        wanted = plain.policy.evaluate_decisions(batch)
        for found in (adapted.policy, adapted.policy.twin()):  # B is 0 at first
            assert all(torch.equal(*pair) for pair in zip(found.evaluate_decisions(batch), wanted, strict=True))
        moved(adapted)
        assert (adapted.policy.evaluate_decisions(batch)[0] - wanted[0]).abs().max() > 0.01
        with adapted.policy.without_adapters():
            assert all(torch.equal(*p) for p in zip(adapted.policy.evaluate_decisions(batch), wanted, strict=True))
        assert (adapted.policy.evaluate_decisions(batch)[0] - wanted[0]).abs().max() > 0.01


def test_both_references(folder):
    made_by = agent(folder, **LORA, methods=("kl",))
    batch = batch_of(made_by)
    base, _ = made_by.policy.evaluate_decisions(batch)
    for to in ("base", "start"):
        moved(made_by)
        wanted = base if to == "base" else made_by.policy.evaluate_decisions(batch)[0]
        penalty = KLToReference(to=to)
        penalty.begin(made_by.policy)
        moved(made_by)
        assert torch.equal(penalty.reference_logp(batch), wanted.detach())
        logp, entropy = made_by.policy.evaluate_decisions(batch)
        made_by.policy.zero_grad()
        penalty.loss(batch, logp, entropy, 0).backward()  # the adapters still have gradients after they were left out
        assert all(
            p.grad is not None and p.grad.abs().max() > 0 for p in made_by.policy.parameters() if p.requires_grad
        )
        if to == "start":  # it holds the adapters alone, and shares the rest
            assert all("lora_" in name for name in penalty.state())
            shared = {id(p) for p in made_by.policy.parameters()} & {id(p) for p in penalty.reference.parameters()}
            assert len(shared) == sum("lora_" not in name for name, _ in made_by.policy.named_parameters())
    tiny = KLToReference(to="base")
    with pytest.raises(InvalidParameter, match="lora_rank"):
        tiny.begin(small().policy)
    assert make_plugins(("kl:to=base",))


def test_only_adapters_learn_and_are_saved(folder, tmp_path):
    whole = agent(folder, **{**LORA, "lora_rank": 0}, methods=("entropy:weight=0.1",), skip_dead=False)
    trained = agent(
        folder, **LORA, advantage="gae", methods=("kl", "entropy:weight=0.1"), learning_rate=1e-2, skip_dead=False
    )
    before = {name: value.detach().clone() for name, value in trained.policy.named_parameters()}
    trained.learn(20)
    for name, value in trained.policy.named_parameters():
        assert torch.equal(value, before[name]) == ("lora_" not in name), name
    trained.save(tmp_path / "saved")
    tensors = state_files.read(tmp_path / "saved").tensors
    weights = {name for name in tensors if name.startswith("policy/")}
    assert weights == {f"policy/model.{name}" for name, _ in trained.policy.model.named_parameters() if "lora_" in name}
    loaded = load_agent(tmp_path / "saved", device="cpu")
    batch = batch_of(trained)
    with torch.no_grad():
        assert torch.equal(loaded.policy.evaluate_decisions(batch)[0], trained.policy.evaluate_decisions(batch)[0])
    # The optimiser's two moments are of the adapters alone; so are those of the critic, beside its head.
    sizes = [sum(s.numel() for slots in a.learner.optimizer.state.values() for k, s in slots.items() if k != "step")
             for a in (whole.learn(20), trained)]  # fmt: skip
    assert sizes[1] == 2 * sum(p.numel() for p in trained.policy.parameters() if p.requires_grad)
    assert sizes[1] < sizes[0] / 4


def test_adapters_know_their_model_again(tmp_path):
    path = tmp_path / "model"
    model_folder(path)
    agent(str(path), **LORA).save(tmp_path / "saved")
    shutil.move(path, tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="no model"):
        load_agent(tmp_path / "saved", device="cpu")
    shutil.move(tmp_path / "elsewhere", path)
    change(str(path))
    with pytest.raises(InvalidParameter, match="another model"):
        load_agent(tmp_path / "saved", device="cpu")


def test_stopped_and_resumed_is_never_stopped(tmp_path):
    folder = model_folder(tmp_path / "model")
    settings = {key: value for key, value in LORA.items() if key != "max_turns"}
    config = RunConfig(
        "grpo", "agentgym/Household-v0", {"size": "tiny", "max_turns": 3}, steps=72, seed=3, threads=1, device="cpu",
        checkpoint_every=24, keep_checkpoints=0,
        config={**settings, "policy": folder, "tasks": 2, "group_size": 4, "skip_dead": False, "learning_rate": 1e-2,
                "advantage": "gae", "methods": ("kl", "entropy:weight=0.1"), "checkpointing": True},
    )  # fmt: skip
    whole = train(config, "whole", tmp_path, progress=False)
    half = tmp_path / "half"
    shutil.copytree(whole.path, half)
    shutil.rmtree(half / "final")
    (half / "record.json").unlink()
    steps = Checkpoints(half / "checkpoints").steps()
    assert steps == [24, 48, 72]
    for step in steps[1:]:
        shutil.rmtree(half / "checkpoints" / f"{step:010d}")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*bit for bit.*")
        run = resume(half, progress=False)
    assert run.record()["resumes"][0]["exact"] is True
    for name in ("final/tensors.safetensors", "metrics.csv"):
        assert (half / name).read_bytes() == (whole.path / name).read_bytes()
    # Another model in the folder: one error, and the run as it was.
    (half / "record.json").unlink()
    shutil.rmtree(half / "final")
    change(folder)
    before = {path: path.read_bytes() for path in sorted(half.rglob("*")) if path.is_file()}
    with pytest.raises(AskError, match="another model"):
        resume(half, progress=False)
    after = {path: path.read_bytes() for path in sorted(half.rglob("*")) if path.is_file()}
    assert {path: after[path] for path in before if path.suffix != ".lock"} == {
        path: content for path, content in before.items() if path.suffix != ".lock"
    }


def change(folder):
    """Put another model into a folder."""
    model = agent(folder, **{**LORA, "lora_rank": 0}).policy.model
    with torch.no_grad():
        next(iter(model.parameters()))[0, 0] += 1
    model.save_pretrained(folder)


def test_recomputed_layers_have_the_same_gradient(folder):
    gradients, calls = [], []
    for checkpointing in (False, True):
        made_by = moved(agent(folder, **LORA, checkpointing=checkpointing))
        batch = batch_of(made_by)
        layer = made_by.policy.model.base_model.layers[0]
        layer.mlp.register_forward_pre_hook(lambda *_: calls.append(1))
        calls.clear()
        logp, entropy = made_by.policy.evaluate_decisions(batch)
        ((logp * logp + entropy) * batch.mask).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in made_by.policy.parameters() if p.requires_grad]))
        assert len(calls) == 1 + checkpointing
        assert not made_by.policy.model.base_model.layers[0].self_attn.training
    close(gradients[1], gradients[0], 1e-4)
    assert gradients[0].abs().max() > 0.01


@pytest.mark.parametrize("rank", [0, 2])
def test_bfloat16_stores_what_is_frozen_and_computes_near_float32(folder, rank):
    exact = moved(agent(folder, **{**LORA, "lora_rank": rank}))
    rough = moved(agent(folder, **{**LORA, "lora_rank": rank}, dtype="bfloat16", skip_dead=False, learning_rate=1e-2))
    kinds = {p.dtype for p in rough.policy.parameters() if not p.requires_grad}
    assert kinds == ({torch.float32, torch.bfloat16} if rank else set())
    assert {p.dtype for p in rough.policy.parameters() if p.requires_grad} == {torch.float32}
    batch = batch_of(rough)
    with torch.no_grad():
        found, wanted = rough.policy.evaluate_decisions(batch)[0], exact.policy.evaluate_decisions(batch)[0]
    assert found.dtype == torch.float32
    assert 1e-5 < (found - wanted)[batch.mask].abs().max() < 0.1
    close(found[batch.mask], batch.old_logp[batch.mask], 0.1)  # acting reads token by token, learning in one pass
    rough.learn(12)
    assert all(torch.isfinite(p).all() for p in rough.policy.parameters())


def test_what_cannot_be_is_refused(folder, monkeypatch):
    with pytest.raises(InvalidParameter, match=r"'q_prj'.*down_proj.*q_proj"):
        agent(folder, **{**LORA, "lora_targets": ("q_prj", "v_proj")})
    with pytest.raises(InvalidParameter, match="trained_layers"):
        agent(folder, **LORA, trained_layers=1)
    for setting in ({"lora_rank": 4}, {"dtype": "bfloat16"}, {"checkpointing": True}):
        with pytest.raises(InvalidParameter, match=f"{next(iter(setting))}.*pretrained"):
            small(**setting)
    with pytest.raises(InvalidParameter, match="lora_rank"):
        agent(folder, **{**LORA, "lora_rank": -1})
    some = agent(folder, **{**LORA, "lora_targets": ("q_proj",)})
    assert all(".q_proj." in name for name, p in some.policy.named_parameters() if p.requires_grad)
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtra, match=r'pip install "agentgym\[lora\]"'):
        agent(folder, **LORA)
