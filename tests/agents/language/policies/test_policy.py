"""Words, the transformer's two ways of reading, and drawing."""

import pytest
import torch

from agentgym.agents.language.policies.policy import Sampler, judged
from agentgym.agents.language.policies.tiny import TinyPolicy
from agentgym.agents.language.policies.transformer import Cache, Transformer
from agentgym.agents.language.policies.vocabulary import UNKNOWN, Vocabulary
from agentgym.envs.text.language import words
from agentgym.errors import InvalidParameter
from tests.agents.language.batches import close
from tests.agents.language.worlds import homes

WORDS = Vocabulary(["a", "cup", "take", "from", *"0123456789", "."])


def test_words_are_those_of_the_environments():
    text = "You take cup 12 from a shelf, and 3.5!"
    known = Vocabulary(sorted(set(words(text))))
    assert [known._names[number] for number in known.encode(text)] == words(text)


def test_decode_joins_digits():
    assert WORDS.decode(WORDS.encode("take cup 12 from cup 3")) == "take cup 12 from cup 3"
    assert WORDS.encode("zebra") == [UNKNOWN]


def test_every_command_of_a_home_survives_its_tokens():
    env = homes(1, size="house")
    known = Vocabulary(env.unwrapped.vocabulary)
    _, infos = env.reset(seed=3)
    for command in infos["admissible_commands"][0]:
        assert known.decode(known.encode(command)) == command
        assert UNKNOWN not in known.encode(command)


@pytest.mark.parametrize("bad", [[], ["a", "a"]])
def test_bad_vocabularies(bad):
    with pytest.raises(InvalidParameter):
        Vocabulary(bad)


def test_reading_in_pieces_is_reading_at_once():
    torch.manual_seed(0)
    model = Transformer(20, 16, 2, 2)
    ids = torch.randint(5, 20, (3, 9))
    whole = model(ids)
    cache = Cache(model, 3, 16, ids.device)
    with torch.no_grad():
        first = model.extend(cache, torch.tensor([0, 1, 2]), ids[:, :4], [4, 2, 3])  # padded: lanes are at 4, 2, 3
        close(first, torch.stack([whole[0, 3], whole[1, 1], whole[2, 2]]))
        some = model.extend(cache, torch.tensor([1, 2]), torch.stack([ids[1, 2:5], ids[2, 3:6]]), [3, 3])
        close(some, torch.stack([whole[1, 4], whole[2, 5]]))
        rest = model.extend(cache, torch.tensor([0, 1]), torch.stack([ids[0, 4:8], ids[1, 5:9]]), [4, 4])
        close(rest, torch.stack([whole[0, 7], whole[1, 8]]))
    close(cache.hidden[1, :9], whole[1])


def test_the_future_is_not_seen():
    torch.manual_seed(0)
    model = Transformer(20, 16, 2, 2)
    ids = torch.randint(5, 20, (1, 8))
    other = ids.clone()
    other[0, 5:] = 6
    close(model(ids)[0, :5], model(other)[0, :5])


def test_drawing_follows_the_probabilities():
    logits = torch.tensor([0.0, 1.0, 2.0]).repeat(20_000, 1)
    drawn, logps, entropies, acted = Sampler(torch.Generator().manual_seed(0)).draw(logits)
    wanted = torch.softmax(logits[0], -1)
    close(torch.bincount(torch.tensor(drawn)) / 20_000, wanted, 0.02)
    close(logps[0], wanted[drawn[0]].log())
    close(entropies[0], -(wanted * wanted.log()).sum())
    assert acted is logps
    assert Sampler(None, deterministic=True).draw(logits[:1])[0] == [2]


def test_the_impossible_has_no_part_in_the_entropy():
    _, entropy = judged(torch.tensor([[0.0, 0.0, -1e9]]), torch.tensor([0]))
    close(entropy, [0.6931472])


def test_widths_that_cannot_be_split():
    with pytest.raises(InvalidParameter, match="multiple"):
        TinyPolicy(WORDS, 20, 1, 2, 100)
