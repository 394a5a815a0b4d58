"""Archives: questions have one answer that the evidence gives, tools do what they say, failures are drawn."""

import re
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.envs.text.archive.arithmetic import BadSum, calculate
from agentgym.envs.text.archive.corpus import RELATIONS, corpus
from agentgym.envs.text.archive.search import Index
from agentgym.envs.text.archive.world import ArchiveWorld
from agentgym.envs.text.env import ArchiveEnv
from agentgym.envs.text.language import REFUSALS, words
from agentgym.envs.text.presets import ARCHIVES
from agentgym.errors import InvalidParameter, MissingExtra, UnknownId


def asked(size="medium", seed=0, **dials):
    world = ArchiveWorld(size, **dials)
    world.begin(seed, 0)
    return world


def follow(world):
    """Carry out the plan, asking anew after each command, so that failures are made good."""
    for _ in range(200):
        command = world.plan()[0]
        assert command in world.commands()
        answer = world.act(command)
        if answer.over:
            return answer
    raise AssertionError("the plan does not end")


def truth(world):
    """The answer, found by reading the question itself."""
    text = world.task.removeprefix("What is ").removesuffix("?")

    def value(chain):
        if chain.isdigit():
            return chain
        *relations, name = chain.split(" of ")
        name = name.lower()
        for relation in reversed(relations):
            article = world.corpus.article(world.corpus.number[name])
            name = article.facts[relation.removeprefix("the ")]
        return name

    for word, sign in ((" plus ", 1), (" minus ", -1)):
        if word in text:
            first, second = text.split(word)
            return str(int(value(first)) + sign * int(value(second)))
    return value(text)


@pytest.mark.parametrize("size", ARCHIVES)
@pytest.mark.parametrize("split", ["train", "seen", "unseen"])
def test_the_plan_answers_every_question(size, split):
    world = ArchiveWorld(size, split)
    known = set(world.vocabulary)
    for seed in range(60):
        said = [world.begin(seed, 0)]
        assert world.question.answer == truth(world)
        assert len(world.question.evidence) == world.size.hops
        answer = follow(world)
        assert (answer.reward, answer.won, answer.text) == (1.0, True, "That is right.")
        assert (world.plan(), world.commands(), world.distance()) == ([], [], 0)
        said += [article.text for article in world.corpus.articles]
        for text in said:
            assert len(text) <= world.max_observation_length
            assert len(words(text)) <= world.max_observation_words
            assert set(text) <= world.characters
            assert set(words(text)) <= known


def test_every_kind_of_question_is_asked():
    world = ArchiveWorld("large")
    kinds = set()
    for seed in range(60):
        world.begin(seed, 0)
        kinds.add((world.task_kind, world.question.operator))
    assert kinds == {("chain", ""), ("calculation", "+"), ("calculation", "-")}


def test_splits_share_corpora_or_not_and_never_questions():
    questions = {}
    for split in ("train", "seen", "unseen"):
        world = ArchiveWorld("small", split)
        questions[split] = set()
        for seed in range(200):
            world.begin(seed, 0)
            questions[split].add((id(world.corpus), world.task))
    corpora = {split: {which for which, _ in found} for split, found in questions.items()}
    assert corpora["train"] & corpora["seen"]
    assert not corpora["train"] & corpora["unseen"]
    assert not questions["train"] & questions["seen"]


def test_a_corpus_is_consistent_and_seeded():
    first = corpus(80, 80, 3)
    corpus.cache_clear()
    again = corpus(80, 80, 3)
    assert first.articles == again.articles != corpus(80, 80, 4).articles
    assert len(first.articles) == 160
    for article in first.articles:
        assert set(article.facts) == set(RELATIONS[article.kind])
        for relation, value in article.facts.items():
            kind = RELATIONS[article.kind][relation]
            assert value.isdigit() if kind == "number" else first.article(first.number[value]).kind == kind


def test_distractors_share_words_with_other_titles():
    plain, crowded = (corpus(40, distractors, 0) for distractors in (0, 60))

    def alike(articles):
        titles = [set(article.title.split()) for article in articles if article.kind in ("person", "company", "book")]
        return np.mean([any(one & other for other in titles if other != one) for one in titles])

    assert len(crowded.articles) == 100
    assert alike(crowded.articles) > alike(plain.articles)


def test_search_is_bm25_with_ties_by_number():
    index = Index(["red apple pie", "red red brick", "green apple", "green apple"])
    assert index.search("apple", 4) == [3, 4, 1]
    assert index.search("red", 1) == [2]
    assert index.search("Apple!", 2) == [3, 4]
    assert index.search("violet", 3) == index.search("?!", 3) == []


def test_tools_one_by_one():
    world = asked()
    title = world.question.names[0]
    number = world.corpus.number[title]
    assert world.act(f"open {number}").problem == "impossible"
    assert f"{number} {title.title()}" in world.act(f"search {title}").text
    assert world.act(f"open {number}").text == world.corpus.article(number).text
    assert world.act(f"OPEN  {number}.").problem is None
    assert world.act("calculate 2 * (3 + 4)").text == "The result is 14."
    assert world.act("search zzz").text == "No results."
    wrong = world.act("answer nobody")
    assert (wrong.text, wrong.over, wrong.won, wrong.reward) == ("That is wrong.", True, False, 0.0)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("search " + "x" * 100, "overlong"),
        ("search", "unparsable"),
        ("answer", "unparsable"),
        ("answer   ", "unparsable"),
        ("find ada moss", "unparsable"),
        ("open ada moss", "unparsable"),
        ("open -1", "unparsable"),
        ("open ²", "unparsable"),
        ("open 99999999999999999999", "impossible"),
        ("open 1", "impossible"),
        ("calculate two plus two", "unparsable"),
        ("calculate 1 +", "unparsable"),
        ("calculate 2 ** 3", "unparsable"),
        ("calculate __import__('os')", "unparsable"),
        ("calculate 1 / (2 - 2)", "impossible"),
    ],
)
def test_bad_commands_change_nothing_and_say_so(command, problem):
    env = ArchiveEnv("small")
    _, before = env.reset(seed=0)
    text, reward, terminated, truncated, info = env.step(command)
    assert (text, reward, terminated, truncated) == (REFUSALS[problem], 0.0, False, False)
    assert (info["valid"], info["problem"]) == (False, problem)
    assert (info["anchor"], info["admissible_commands"]) == (before["anchor"], before["admissible_commands"])


def test_failures_come_at_their_rate_change_nothing_and_are_seeded():
    def failures(seed, rate):
        env = ArchiveEnv("small", failure_rate=rate, max_turns=400)
        env.reset(seed=seed)
        found = []
        for _ in range(400):
            before = env.world.anchor()
            text, _, _, _, info = env.step("search ada")
            found.append(info["problem"] == "failed")
            assert info["valid"]
            assert info["problem"] in (None, "failed")
            if found[-1]:
                assert text == REFUSALS["failed"]
                assert env.world.anchor() == before
        return found

    some = failures(0, 0.3)
    assert 0.2 < np.mean(some) < 0.4
    assert failures(0, 0.3) == some != failures(1, 0.3)
    assert not any(failures(0, 0.0))
    # Common random numbers: what fails at a rate fails at any higher one.
    assert all(high or not low for low, high in zip(some, failures(0, 0.6), strict=True))


def test_the_plan_goes_on_after_failures():
    world = ArchiveWorld("large", failure_rate=0.5, max_turns=200)
    for seed in range(20):
        world.begin(seed, 0)
        assert follow(world).won


_NUMBERS = st.integers(0, 10**6).map(str) | st.decimals(0, 1000, places=2, allow_nan=False).map(str)
_SUMS = st.recursive(
    _NUMBERS,
    lambda part: (
        st.tuples(part, st.sampled_from("+-*"), part).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        | part.map(lambda text: f"-{text}")
    ),
    max_leaves=6,
)


@given(_SUMS)
@settings(deadline=None)
def test_sums_are_exact(text):
    value = eval(re.sub(r"\d+(\.\d+)?", lambda found: f"Fraction('{found.group()}')", text), {"Fraction": Fraction})
    said = Fraction(calculate(text))
    assert abs(said - value) <= Fraction(1, 2 * 10**6)
    if value.denominator == 1:
        assert said == value


USUAL = {"7": "7", "8 - 3 - 2": "3", "2 + 3 * 4": "14", "1 / 3": "0.333333", "-1/8": "-0.125", "9/3": "3"}
USUAL |= {"0 / 5": "0", "1 / 10000000": "0", "-(2 - 5)": "3"}


@pytest.mark.parametrize(("text", "value"), USUAL.items())
def test_sums_have_the_usual_order(text, value):
    assert calculate(text) == value


@given(st.text("0123456789+-*/(). ", max_size=40))
@settings(deadline=None)
def test_nothing_but_a_bad_sum_is_raised(text):
    with suppress(BadSum):
        calculate(text)


BAD_SUMS = ["", "(", ")", "1 2", "1 +", "()", "1..2", "2e1", "(" * 60 + "1" + ")" * 60, "--" * 40 + "1", "1/0"]


@pytest.mark.parametrize("text", BAD_SUMS)
def test_bad_sums(text):
    with pytest.raises(BadSum):
        calculate(text)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"size": "tiny"}, UnknownId, "archive size"),
        ({"hops": 5}, InvalidParameter, "from 1 to 4"),
        ({"failure_rate": 1.0}, InvalidParameter, "from 0 to 0.9"),
        ({"failure_rate": "often"}, InvalidParameter, "float"),
        ({"documents": 9}, UnknownId, "dial of the archive size"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        ArchiveEnv(**arguments)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bm25s", None)
    with pytest.raises(MissingExtra, match=r'bm25s is not installed.*pip install "agentgym\[text\]"'):
        Index(["a text"])
