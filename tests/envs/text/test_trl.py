"""One step of TRL's GRPOTrainer in households, with a model of a few thousand parameters."""

import itertools
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from agentgym.envs.text.tool import ToolEnvironment, tool_rows

trl = pytest.importorskip("trl", reason='needs the extra trl: pip install "agentgym[trl]"')

COUNT = itertools.count()


class Homes(ToolEnvironment):
    """Households that note what they are asked, and whose rewards differ: a model without training never succeeds."""

    asked: ClassVar = []

    def __init__(self):
        super().__init__("agentgym/Household-v0", size="tiny", max_turns=3)
        self._number = next(COUNT)

    def reset(self, seed=None, **row):
        said = super().reset(seed, **row)
        self.asked.append((seed, said))
        return said

    def get_reward(self):
        return super().get_reward() + self._number % 2


def tiny_model():
    """A model with a tokenizer of single bytes and a chat template with tools."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
    config = Qwen3Config(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return Qwen3ForCausalLM(config), fast


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_one_step_of_grpo(tmp_path):
    from datasets import Dataset

    model, tokenizer = tiny_model()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=4, num_generations=2,
        max_completion_length=8, report_to=[], use_cpu=True, learning_rate=1e-2, save_strategy="no", logging_steps=1,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model=model, processing_class=tokenizer, args=arguments, environment_factory=Homes,
        train_dataset=Dataset.from_list(tool_rows([3, 4], size="tiny")),
    )  # fmt: skip
    assert [tool.__name__ for tool in trainer.tools] == ["act"]
    trainer.train()
    # The episodes of a group start in one world, and those of another group in another.
    told = {}
    for seed, said in Homes.asked:
        told.setdefault(seed, []).append(said)
    assert sorted(told) == [3, 4]
    assert all(len(said) == 2 and len(set(said)) == 1 for said in told.values())
    assert told[3] != told[4]
    (step,) = [entry for entry in trainer.state.log_history if "rewards/Homes/mean" in entry]
    assert step["rewards/Homes/mean"] == 0.5
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
