"""The linter finds each fault where it is, and says nothing of what is right; files execute nothing."""

import dataclasses
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from agentgym.agents.offline.bc.bc import BC
from agentgym.data.arrays import ARRAYS
from agentgym.data.checks import check_dataset
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.storage import load_dataset, save_dataset
from agentgym.errors import AskError, CorruptFile, InvalidParameter, NonFinite, SpaceMismatch
from agentgym.runs.build import build
from agentgym.runs.run import RunConfig

NAME = "agentgym/walk/test-v0"
STEPS, EPISODES = 5, 3


class Walk(gymnasium.Env):
    """What the data are of, as far as the linter asks: its spaces."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)


@pytest.fixture(autouse=True)
def registered():
    gymnasium.register("Walk-v0", entry_point=Walk)
    yield
    del gymnasium.registry["Walk-v0"]


def walk(**changes) -> OfflineDataset:
    """Three episodes of five steps in the plane; the second ends in termination."""
    rng = np.random.default_rng(0)
    total = STEPS * EPISODES
    truncations, terminations = np.zeros((2, total), bool)
    truncations[[4, 14]] = terminations[9] = True
    values = {
        "observations": rng.normal(size=(total + EPISODES, 2)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (total, 1)).astype(np.float32),
        "rewards": rng.normal(size=total).astype(np.float32),
        "terminations": terminations, "truncations": truncations, "starts": np.arange(0, total + 1, STEPS),
        "observation_space": spaces.Box(-np.inf, np.inf, (2,), np.float32),
        "action_space": spaces.Box(-1.0, 1.0, (1,), np.float32),
        "description": Description(NAME, "Walk-v0", random_return=0.0, expert_return=1.0),
    }  # fmt: skip
    return OfflineDataset(**{**values, **changes})


@pytest.fixture
def stored(home) -> Path:
    """The folder of its files."""
    return save_dataset(walk()) / "data"


def alter(stored: Path, episode: int, **arrays) -> None:
    """Write other arrays into Minari's file, whose hash then is of others than were recorded: it is taken out."""
    forget_hash(stored)
    with h5py.File(stored / "main_data.hdf5", "a") as file:
        group = file[f"episode_{episode}"]
        for name, array in arrays.items():
            del group[name]
            group.create_dataset(name, data=array)


def read(stored: Path, episode: int, name: str) -> np.ndarray:
    with h5py.File(stored / "main_data.hdf5") as file:
        return file[f"episode_{episode}/{name}"][()]


def forget_hash(stored: Path) -> None:
    ours = json.loads((stored / "metadata.json").read_text())["agentgym"]
    describe(stored, agentgym={key: value for key, value in ours.items() if key != "sha256"})


def describe(stored: Path, **changes) -> None:
    """Change the metadata; None takes an entry away."""
    file = stored / "metadata.json"
    values = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def found(name: str = NAME) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(finding.level, finding.check, finding.episodes) for finding in check_dataset(name)]


def refusal(kind: type[AskError] = InvalidParameter) -> str:
    """Learning refuses the data with one of the linter's errors, in the same words."""
    with pytest.raises(kind) as refused:
        BC(dataset=NAME)
    errors = [finding.message for finding in check_dataset(NAME) if finding.level == "error"]
    assert any(message in str(refused.value) for message in errors), (str(refused.value), errors)
    return str(refused.value)


def test_what_is_right_has_no_findings(stored):
    assert check_dataset(NAME) == []


@pytest.mark.parametrize("what", ["observations", "actions", "terminations", "truncations"])
def test_lengths(stored, what):
    alter(stored, 1, **{what: read(stored, 1, what)[:-1]})
    assert ("error", "lengths", (1,)) in found()
    assert f"{what} are not" in refusal()
    assert f"agentgym data check {NAME}" in refusal()


def test_lengths_that_make_up_for_each_other(stored):
    """One observation less here and one more there: the sums are right."""
    alter(stored, 0, observations=read(stored, 0, "observations")[:-1])
    alter(stored, 1, observations=np.zeros((STEPS + 2, 2), np.float32))
    assert {("error", "lengths", (0,)), ("error", "lengths", (1,))} <= {*found()}
    assert "one more than rewards (+0)" in refusal()


@pytest.mark.parametrize("what", ["observations", "actions", "rewards"])
def test_numbers_that_are_not_finite(stored, what):
    array = read(stored, 2, what)
    array[1] = np.nan
    alter(stored, 2, **{what: array})
    assert ("error", "finite", (2,)) in found()
    entry = "" if what == "rewards" else ", entry 0"
    assert f"{what} are not finite: the first, at step 1 of episode 2{entry}, is nan" in refusal(NonFinite)


def test_actions_outside_their_space(stored):
    actions = read(stored, 1, "actions")
    actions[3] = 1.5
    alter(stored, 1, actions=actions)
    assert ("error", "spaces", (1,)) in found()
    assert "actions lie outside Box(-1.0, 1.0, (1,), float32): the first, at step 3 of episode 1, is [1.5]" in refusal()


def test_the_last_bit_of_a_bound_is_forgiven(home):
    data = walk()
    data.actions[0] = np.nextafter(np.float32(1.0), np.float32(2.0))
    save_dataset(data)
    assert check_dataset(NAME) == []


def test_observations_of_another_shape(stored):
    alter(stored, 1, observations=np.zeros((STEPS + 1, 3), np.float32))
    assert ("error", "spaces", (1,)) in found()
    assert "has the shape (3,) instead of (2,)" in refusal()


def test_choices_outside_their_space(home):
    observations = np.arange(STEPS * EPISODES + EPISODES) % 4
    save_dataset(walk(observations=observations, observation_space=spaces.Discrete(3)))
    assert ("error", "spaces", (0, 1, 2)) in found()


def test_observations_kept_over_a_reset(stored):
    """The trap of resetting the environment under a collector: episodes begin where the last one ended."""
    observations = read(stored, 2, "observations")
    observations[0] = read(stored, 1, "observations")[-1]
    alter(stored, 2, observations=observations)
    assert ("error", "resets", (2,)) in found()


def test_equal_choices_over_a_reset_prove_nothing(home):
    about = dataclasses.replace(walk().description, env="")
    observations = np.zeros(STEPS * EPISODES + EPISODES, int)
    save_dataset(walk(observations=observations, observation_space=spaces.Discrete(1), description=about))
    assert found() == [("warning", "environment", ())]


def test_ends(stored):
    alter(stored, 0, truncations=np.zeros(STEPS, bool))
    early = read(stored, 1, "terminations")
    early[2] = True
    alter(stored, 1, terminations=early)
    assert [finding for finding in found() if finding[1] == "ends"] == [
        ("error", "ends", (1,)),
        ("warning", "ends", (0,)),
    ]


def test_time_outs_marked_as_terminations(home, monkeypatch):
    gymnasium.register("Walk5-v0", entry_point=Walk, max_episode_steps=STEPS)
    try:
        about = dataclasses.replace(walk().description, env="Walk5-v0")
        save_dataset(walk(description=about))
        assert found() == []  # one of three terminates: that may be
        last = np.zeros(STEPS * EPISODES, bool)
        last[STEPS - 1 :: STEPS] = True
        save_dataset(walk(description=about, terminations=last, truncations=~last & False))
        assert found() == [("warning", "time-outs", ())]
    finally:
        del gymnasium.registry["Walk5-v0"]


def test_missing_references_and_unknown_environments_are_warnings(home):
    save_dataset(walk(description=Description(NAME, "")))
    assert found() == [("warning", "environment", ()), ("warning", "references", ())]
    assert BC(dataset=NAME).dataset.description.score(1.0) is None


def test_altered_data_have_another_hash(stored):
    rewards = read(stored, 0, "rewards")
    rewards[0] += 1
    before = (stored / "metadata.json").read_text()
    alter(stored, 0, rewards=rewards)
    (stored / "metadata.json").write_text(before)
    assert found() == [("error", "hash", (0,))]
    assert "were altered" in refusal(CorruptFile)


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_swapped_episodes_are_named(stored, pair):
    """Also in the arrays alone, which are then made again."""
    with h5py.File(stored / "main_data.hdf5", "a") as file:
        for new, old in (("other", pair[0]), (f"episode_{pair[0]}", pair[1]), (f"episode_{pair[1]}", "other")):
            file.move(str(old) if old == "other" else f"episode_{old}", new)
    assert ("error", "hash", pair) in found()
    assert "in another order" in refusal(CorruptFile)
    with pytest.raises(CorruptFile, match="another order"):
        load_dataset(NAME)


def swap_rows(stored: Path, stamp: bool) -> None:
    """Swap the rewards of episodes 0 and 1 in the arrays beside Minari's file, and its stamp along if asked for."""
    file = stored / "agentgym/rewards.npy"
    rewards = np.load(file)
    np.save(file, np.concatenate([rewards[5:10], rewards[:5], rewards[10:]]))
    if stamp:
        arrays = {name: np.load(stored / f"agentgym/{name}.npy") for name in walk().__dict__ if name in ARRAYS}
        told = json.loads((stored / "agentgym/made-from.json").read_text())
        (stored / "agentgym/made-from.json").write_text(json.dumps({**told, "sha256": walk(**arrays).digest}))


def test_arrays_that_were_altered_are_made_again(stored):
    swap_rows(stored, stamp=False)
    with pytest.warns(UserWarning, match="made again"):
        np.testing.assert_array_equal(load_dataset(NAME).rewards, walk().rewards)


def test_the_linter_compares_the_arrays_that_learning_reads_with_the_files(stored):
    forget_hash(stored)
    swap_rows(stored, stamp=True)
    assert found() == [("warning", "arrays", ())]
    assert found() == []
    np.testing.assert_array_equal(load_dataset(NAME).rewards, walk().rewards)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("made-from.json", b"{"), ("made-from.json", b"[1]"), ("made-from.json", b"\xff\xfe"), ("rewards.npy", b""),
        ("rewards.npy", b"\x93NUMPY"), ("observations.npy", None), ("starts.npy", np.arange(4)),
        ("starts.npy", np.array([0, 5, 5, 15])), ("actions.npy", np.array([{}], object)), (".DS_Store", b"x"),
        ("notes.txt", b"mine"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*made again")
def test_damaged_side_files_are_made_again_and_strange_ones_left_alone(stored, name, content):
    file = stored / "agentgym" / name
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content)
    (stored / ".DS_Store").write_bytes(b"x")
    assert load_dataset(NAME).digest == walk().digest
    assert found() == []
    if name in (".DS_Store", "notes.txt"):
        assert file.read_bytes() == content


def test_a_truncated_file_of_data(stored):
    whole = (stored / "main_data.hdf5").read_bytes()
    for part in (0, 100, len(whole) // 2, len(whole) - 200):
        (stored / "main_data.hdf5").write_bytes(whole[:part])
        assert "error" in {level for level, *_ in found()}
        with pytest.raises(AskError):
            load_dataset(NAME)


def test_arrays_stay_in_memory_where_they_cannot_be_kept(stored):
    import shutil

    shutil.rmtree(stored / "agentgym")
    (stored / "agentgym").write_text("in the way")
    with pytest.warns(UserWarning, match="stay in memory"):
        assert load_dataset(NAME).digest == walk().digest


def test_two_that_make_the_same_data_at_once_leave_whole_ones(home):
    data = walk()
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: save_dataset(data), range(12)))
    assert found() == []
    assert [path.name for path in folders[0].iterdir()] == ["data"]


def test_saving_deletes_nothing_that_is_not_a_dataset_s(stored):
    (stored / "thesis.tex").write_text("mine")
    with pytest.raises(AskError, match=r"thesis\.tex"):
        save_dataset(walk(), overwrite=True)
    (stored / "thesis.tex").unlink()
    save_dataset(walk())
    describe(stored, agentgym=None)
    with pytest.raises(AskError, match="others made"):
        save_dataset(walk())
    save_dataset(walk(), overwrite=True)
    assert found() == []


def test_metadata_that_count_otherwise(stored):
    describe(stored, total_steps=99)
    assert found() == [("error", "lengths", ())]
    assert "metadata say 3 and 99" in refusal()


def test_an_empty_dataset(stored):
    with h5py.File(stored / "main_data.hdf5", "a") as file:
        for name in list(file):
            del file[name]
    describe(stored, total_episodes=0, total_steps=0)
    assert ("error", "empty", ()) in found()
    assert "it has no episode" in refusal()


def test_an_episode_without_steps(stored):
    alter(stored, 1, observations=np.zeros((1, 2), np.float32), actions=np.zeros((0, 1), np.float32),
          rewards=np.zeros(0), terminations=np.zeros(0, bool), truncations=np.zeros(0, bool))  # fmt: skip
    assert ("error", "lengths", (1,)) in found()
    assert "an episode has no step" in refusal()


def test_damaged_files(stored):
    with h5py.File(stored / "main_data.hdf5", "a") as file:
        del file["episode_1/rewards"]
    assert ("error", "files", (1,)) in found()
    assert "cannot be read" in refusal(CorruptFile)
    (stored / "main_data.hdf5").write_bytes(b"not a file of numbers")
    assert ("error", "files", (0,)) in found()
    (stored / "metadata.json").write_text("{")
    assert found() == [("error", "files", ())]
    with pytest.raises(CorruptFile, match="cannot be read"):
        load_dataset(NAME)


@pytest.mark.parametrize(
    "changes",
    [{"agentgym": 3}, {"agentgym": {"env": 3}}, {"ref_min_score": "low"}, {"agentgym": {"perturbations": ["x"]}},
     {"agentgym": {"perturbations": 3}}, {"ref_max_score": float("nan")}, {"ref_min_score": float("-inf")},
     {"env_spec": "{", "agentgym": None}, {"env_spec": "[]", "agentgym": None}, {"env_spec": 3, "agentgym": None},
     {"eval_env_spec": "{}", "agentgym": None}, {"total_steps": "many"}, {"total_episodes": -1},
     {"total_episodes": 10**13}, {"observation_space": None}, {"observation_space": "null"}, {"action_space": 3},
     {"action_space": '{"type": "Graph"}'}, {"data_format": "csv"}, {"data_format": None}, {"dataset_id": 3},
     {"minari_version": "9.9.9"}],
)  # fmt: skip
def test_damaged_metadata(stored, changes):
    describe(stored, **changes)
    assert found() == [("error", "files", ())]
    refusal(CorruptFile)


def test_metadata_that_are_no_metadata(stored):
    for text in ("", "[]", "3", "null", '"x"', "[" * 10_000):
        (stored / "metadata.json").write_text(text)
        assert found() == [("error", "files", ())]
        refusal(CorruptFile)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Minari asks for an author
def test_datasets_of_others(home):
    """Dictionaries of observations, written by Minari itself: checked in all parts, though nothing learns them."""
    space = spaces.Dict({"x": spaces.Box(-1.0, 1.0, (2,), np.float32), "mode": spaces.Discrete(3)})
    rng = np.random.default_rng(0)

    def episode(steps: int, mode: int = 0) -> EpisodeBuffer:
        return EpisodeBuffer(
            observations={"x": rng.uniform(-1, 1, (steps + 1, 2)).astype(np.float32), "mode": np.full(steps + 1, mode)},
            actions=np.zeros(steps, int), rewards=np.zeros(steps),
            terminations=np.arange(steps) == steps - 1, truncations=np.zeros(steps, bool),
        )  # fmt: skip

    minari.create_dataset_from_buffers(
        "theirs-v0", [episode(4), episode(7, mode=5)], observation_space=space, action_space=spaces.Discrete(2)
    )
    findings = check_dataset("theirs-v0")
    assert [(one.level, one.check) for one in findings] == [
        ("error", "spaces"), ("error", "spaces"), ("warning", "environment"), ("warning", "references")]  # fmt: skip
    assert "observations[mode] lie outside Discrete(3)" in findings[1].message
    assert findings[1].episodes == (1,)
    with pytest.raises(SpaceMismatch, match="FlattenObservation") as refused:
        load_dataset("theirs-v0")
    assert str(refused.value) == findings[0].message


@pytest.mark.parametrize(
    ("what", "space", "said"),
    [
        ("observations", spaces.Box(0, 255, (40, 40, 3), np.uint8), "supports no images"),
        ("actions", spaces.Box(-np.inf, np.inf, (1,), np.float32), "finite bounds"),
        ("actions", spaces.Box(0, 0, (1,), np.float32), "low and high are equal"),
        ("actions", spaces.MultiDiscrete([2, 2]), "supports Box or Discrete"),
    ],
)
def test_spaces_that_no_agent_takes_are_errors(home, what, space, said):
    rows = STEPS * EPISODES + (EPISODES if what == "observations" else 0)
    about = Description(NAME, random_return=0.0, expert_return=1.0)
    save_dataset(walk(**{what: np.zeros((rows, *space.shape), space.dtype), f"{what[:-1]}_space": space,
                         "description": about}))  # fmt: skip
    assert [one.message for one in check_dataset(NAME) if one.level == "error" and said in one.message]
    with pytest.raises(SpaceMismatch, match=said):
        BC(dataset=NAME)


@pytest.fixture
def trap(tmp_path, monkeypatch) -> Path:
    """A module that leaves a mark when it is imported."""
    mark = tmp_path / "sprung"
    (tmp_path / "trapmodule.py").write_text(f"open({str(mark)!r}, 'w')\ndef make(**_): open({str(mark)!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield mark
    sys.modules.pop("trapmodule", None)


@pytest.mark.parametrize("spaces_named", [True, False])
@pytest.mark.parametrize("env", ["Pendulum-v1", "Trap-v0", "trapmodule:Trap-v0"])
def test_what_a_file_names_is_not_executed(stored, trap, env, spaces_named):
    """An entry point or a module in the metadata is never called or imported, also where spaces are missing."""
    spec = {
        "id": env, "entry_point": "trapmodule:make", "reward_threshold": None, "nondeterministic": False,
        "max_episode_steps": 5, "order_enforce": True, "disable_env_checker": False, "kwargs": {},
        "additional_wrappers": [{"name": "trap", "entry_point": "trapmodule:make", "kwargs": {}}],
        "vector_entry_point": "trapmodule:make",
    }  # fmt: skip
    describe(stored, agentgym=None, env_spec=json.dumps(spec), eval_env_spec=json.dumps(spec),
             **({} if spaces_named else {"observation_space": None, "action_space": None}))  # fmt: skip
    findings = check_dataset(NAME)
    assert ("files" in {finding.check for finding in findings}) is not spaces_named
    if spaces_named:
        assert len(load_dataset(NAME)) == STEPS * EPISODES
    else:
        with pytest.raises(CorruptFile, match="names no spaces"):
            load_dataset(NAME)
    with pytest.raises(AskError):  # other spaces than Pendulum's, an unknown id, a module nobody asked for, no spaces
        build(RunConfig("bc", dataset=NAME))
    assert not trap.exists()
    assert "trapmodule" not in sys.modules
