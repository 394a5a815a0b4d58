"""Paraphrases keep what is said, typing mistakes are those that they claim to be, on hand-made and on real texts."""

import re
import string

import gymnasium
import numpy as np
import pytest

import agentgym
from agentgym.envs.perturb import Paraphrase, Typos, perturb
from agentgym.envs.perturb.text.typos import KINDS, NEIGHBOURS, mistyped
from agentgym.envs.text.archive.questions import SAYINGS
from agentgym.envs.text.archive.rewordings import REWORDINGS as ARCHIVE
from agentgym.envs.text.household import phrases
from agentgym.envs.text.household.rewordings import REWORDINGS as HOUSEHOLD
from agentgym.envs.text.language import REFUSALS

assert agentgym

# Every sentence of a household once, filled in by hand.
SAID = [
    *(f"Your task: {phrases.task_sentence(kind, 'mug', 'cabinet')}." for kind in phrases.GOALS),
    *re.split(r"(?<=[.]) ", phrases.ROOM.format("hall", "bed 1, bin 2")),
    phrases.EXITS.format("kitchen, study").strip(),
    phrases.ARRIVE.format("bed 1").strip(),
    phrases.ARRIVE_FAR.format("bed 1", "hall").strip(),
    *(text.format("mug 1, desklamp 1") for text in phrases.CONTENTS.values()),
    phrases.CLOSED,
    phrases.HANDS.format("clean mug 1").strip(),
    phrases.OPEN.format("safe 1", "nothing").split(". ")[0] + ".",
    phrases.CLOSE.format("safe 1"),
    phrases.TAKE.format("hot mug 1", "safe 1"),
    phrases.PUT.format("mug 1", "in", "safe 1"),
    *(text.format("mug 1", "sink 1") for text in phrases.PROCESS.values()),
    phrases.USE.format("desklamp 1"),
    phrases.DONE.strip(),
    *REFUSALS.values(),
]


def said_otherwise(rules, sentence):
    for rule in rules:
        if found := re.fullmatch(rule.pattern, sentence):
            return [(other.format(*found.groups()), found.groups()) for other in rule.others]
    return []


@pytest.mark.parametrize("sentence", SAID)
def test_every_sentence_of_a_household_has_other_words_that_name_the_same(sentence):
    others = said_otherwise(HOUSEHOLD, sentence)
    assert others, sentence
    for other, kept in others:
        assert other != sentence
        assert len(other) <= 2 * len(sentence) + 60
        for part in kept:
            assert part in other
        assert re.findall(r"\d", other) == re.findall(r"\d", sentence) or sorted(re.findall(r"\d", other)) == sorted(
            re.findall(r"\d", sentence)
        )


def test_a_task_keeps_its_thing_its_state_and_its_place():
    for kind, word in {"clean": "clean", "heat": "hot", "cool": "cool"}.items():
        for other, _ in said_otherwise(HOUSEHOLD, f"Your task: {phrases.task_sentence(kind, 'mug', 'desk')}."):
            assert f"a {word} mug" in other
            assert "on a desk" in other
    for other, _ in said_otherwise(HOUSEHOLD, "Your task: put a mug and another mug in one chest."):
        assert re.search(r"a mug and (one more|a second) mug", other)
        assert re.search(r"in (the same|one) chest", other)


def test_every_saying_of_an_archive_has_other_words():
    filled = ["Question: What is the river of Ada Moss?"]
    filled += [text.replace("{}", "3 Ada Moss, 4 Corby") for text in SAYINGS if text.strip().endswith((".", "?"))]
    for sentence in [*filled, *REFUSALS.values()]:
        assert said_otherwise(ARCHIVE, sentence), sentence


def test_templates_use_what_stays_once_each():
    for rule in (*HOUSEHOLD, *ARCHIVE):
        slots = list(range(re.compile(rule.pattern).groups))
        for other in rule.others:
            named = [int(field) for _, field, _, _ in string.Formatter().parse(other) if field is not None]
            assert sorted(named) == slots, other


def test_no_sentence_of_a_household_is_left_as_it_was():
    """With rate 1 every sentence of whole episodes changes, and at rate 0 none does."""
    for rate in (0.0, 1.0):
        env = perturb(
            gymnasium.make("agentgym/Household-v0", size="flat"), Paraphrase(rate=rate), true_observation=True
        )
        generator = np.random.default_rng(0)
        for seed in range(5):
            text, info = env.reset(seed=seed)
            for _ in range(30):
                assert text in env.observation_space
                left = set(re.split(r"(?<=[.]) ", info["true_observation"])) & set(re.split(r"(?<=[.]) ", text))
                assert (not left) == (rate == 1.0), left
                assert info["perturbed"] == {"Paraphrase": rate == 1.0}
                commands = info["admissible_commands"]
                text, _, _, _, info = env.step(commands[generator.integers(len(commands))])


@pytest.mark.parametrize("kind", KINDS)
def test_mistakes_are_what_they_are_called(kind):
    for place in range(5):
        typed = KINDS[kind]("mUgsy", place, 0.5)
        match kind:
            case "swap":
                assert sorted(typed) == sorted("mUgsy")
                assert typed != "mUgsy"
            case "drop":
                assert typed == "mUgsy"[:place] + "mUgsy"[place + 1 :]
            case "double":
                assert typed.replace("mUgsy"[place] * 2, "mUgsy"[place]) == "mUgsy"
            case "neighbour":
                assert typed[place].lower() in NEIGHBOURS["mUgsy"[place].lower()]
                assert typed[place].isupper() == "mUgsy"[place].isupper()
                assert typed[:place] + typed[place + 1 :] == "mUgsy"[:place] + "mUgsy"[place + 1 :]


def test_neighbours_are_those_of_a_keyboard():
    assert set(NEIGHBOURS["s"]) == set("qweadzxc")
    assert all(letter in NEIGHBOURS[other] for letter, near in NEIGHBOURS.items() for other in near)


def test_mistakes_come_at_their_rate_and_leave_numbers_alone():
    text = "You are at drawer 12, in it: spatula 3. " * 200
    typed = mistyped(text, 0.2, np.random.default_rng(0))
    words, others = re.findall("[a-z]{3,}", text.lower()), typed.split(" ")
    changed = sum(one != other for one, other in zip(text.split(" "), others, strict=True))
    assert abs(changed / len(words) - 0.2) < 0.03
    assert re.findall(r"\d+|[.,:]", typed) == re.findall(r"\d+|[.,:]", text)
    assert mistyped(text, 0.0, np.random.default_rng(0)) == text


def test_a_higher_rate_makes_the_same_mistakes_and_more():
    text = "You are in the library. You see: cabinet, drawer, armchair, dresser. " * 20
    few, many = (mistyped(text, rate, np.random.default_rng(1)).split(" ") for rate in (0.1, 0.4))
    for true, little, much in zip(text.split(" "), few, many, strict=True):
        if little != true:
            assert much == little


def test_typos_change_what_is_read_and_not_what_may_be_said():
    env = perturb(gymnasium.make("agentgym/Household-v0"), Typos(rate=1.0), true_observation=True)
    plain = gymnasium.make("agentgym/Household-v0")
    text, info = env.reset(seed=1)
    true, its_info = plain.reset(seed=1)
    assert info["true_observation"] == true != text
    assert info["admissible_commands"] == its_info["admissible_commands"]
    assert info["perturbed"] == {"Typos": True}
