"""The transcript of an episode: words that are sent and paid for, and features."""

import numpy as np

from agentgym.turns.control import Learned, View
from agentgym.turns.transcript import FEATURES, Transcript


def told(anchor, *commands):
    return {"anchor": anchor, "admissible_commands": list(commands)}


def test_words_are_counted_as_a_turn_sends_them():
    transcript = Transcript("one two three", told(0))
    transcript.add("run x", "x fails now", told(1))  # sends 3 words, answers with 2
    transcript.add("undo", "done", told(0))  # sends 3 + 2 + 3
    transcript.said("[three more words]")
    transcript.add("submit", "right", told(2))  # sends 8 + 1 + 1 + 3
    assert transcript.prompts == 3 + 8 + 13
    assert transcript.fresh == 3 + 5 + 5  # each word once
    assert transcript.answers == 2 + 1 + 1
    assert transcript.new_state == [True, False, True]


def test_features_say_what_has_happened():
    transcript = Transcript("failing ta .", told(0, "run ta", "open x", "submit"))
    feature = dict(zip(FEATURES, transcript.features.tolist(), strict=True))
    assert (feature["turns / 40"], feature["commands on offer / 20"]) == (0, np.float32(3 / 20))
    transcript.add("edit q one two", "done .", told(1, "run ta"))
    transcript.add("run ta", "ta passes .", told(2, "edit q a b", "edit q a c"))
    transcript.add("run ta", "ta passes .", told(2, "edit q a b", "edit q a c"))
    feature = dict(zip(FEATURES, transcript.features.tolist(), strict=True))
    assert feature["edits / 10"] == np.float32(0.1)
    assert feature["tests run / 10"] == np.float32(0.2)
    assert feature["last observation: passes"] == 1
    assert feature["tests passed since the last edit / 3"] == np.float32(2 / 3)
    assert feature["equal commands in a row / 3"] == np.float32(2 / 3)
    assert feature["share of turns that brought a new state"] == np.float32(2 / 3)
    assert feature["turns since the last new state / 10"] == np.float32(0.1)
    assert feature["edits on offer / 20"] == np.float32(0.1)


def test_a_learned_control_asks_its_policy():
    class AtMost:
        def predict(self, features, deterministic):
            return np.int64(features[0] >= 3 / 40 - 1e-6), None

    transcript = Transcript("text", told(0))
    control, turns = Learned(AtMost()), 0
    while control.rule(View.of(transcript)).go:
        transcript.add("run x", "text", told(0))
        turns += 1
    assert turns == 3
    assert Learned(AtMost(), limit=1).rule(View(used=1)).go is False
