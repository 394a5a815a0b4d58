"""A Hugging Face model with random weights behind the same interface; nothing is downloaded."""

import sys

import pytest
import torch

from agentgym.agents.common.saving import load_agent
from agentgym.agents.language.methods import GRPO
from agentgym.agents.language.policy import Sampler
from agentgym.agents.language.trajectory import collate
from agentgym.errors import InvalidParameter, MissingExtra

from .batches import close
from .worlds import SMALL, homes

HUGE = {**SMALL, "context": 200, "actions": "write", "max_command_tokens": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Llama with a tokenizer of single bytes, saved as transformers saves models."""
    transformers = pytest.importorskip("transformers", reason="needs the extra language: pip install transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={letter: number for number, letter in enumerate(["<s>", *letters])}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    path = tmp_path_factory.mktemp("model")
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>").save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(letters) + 1, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return str(path)


def agent(folder, **settings):
    env = homes(8, max_turns=2)
    return GRPO(folder, env, seed=0, device="cpu", **{**HUGE, **settings})


def test_sampled_ids_and_probabilities_are_those_that_are_learned_from(folder):
    made_by = agent(folder, context=400, temperature=0.8)
    episodes = made_by.rollout.play([1, 2], Sampler(torch.Generator().manual_seed(0)))
    made = collate(episodes, False)
    logp, entropy = made_by.policy.evaluate_decisions(made)
    close(logp[made.mask], made.old_logp[made.mask], 1e-4)
    close(entropy[made.mask], made.old_entropy[made.mask], 1e-4)
    for row, one in enumerate(episodes):
        assert made.targets[row][made.mask[row]].tolist() == made.ids[row][made.sampled[row]].tolist()
        for turn in one.turns:
            spoken = [one.ids[position] for position in turn.positions]
            assert (
                made_by.policy.decode(spoken[:-1] if spoken[-1] == made_by.policy.closing else spoken) == turn.command
            )


def test_it_learns_and_is_saved_with_its_tokenizer(folder, tmp_path):
    trained = agent(folder, context=400).learn(10)
    trained.save(tmp_path / "saved")
    loaded = load_agent(tmp_path / "saved", device="cpu")
    assert loaded.policy.encode("take cup 1\n") == trained.policy.encode("take cup 1\n")
    said = [one.predict("You are here.", deterministic=True)[0] for one in (trained, loaded)]
    assert said[0] == said[1]


def test_what_it_cannot_do_is_said(folder):
    with pytest.raises(InvalidParameter, match="write"):
        agent(folder, actions="choose")
    with pytest.raises(InvalidParameter, match="512"):
        agent(folder, context=4096)
    with pytest.raises(FileNotFoundError, match="no model"):
        agent("/nowhere/at/all")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r'pip install "agentgym\[language\]"'):
        agent("/nowhere/at/all")
