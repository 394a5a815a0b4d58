"""Whatever is typed: an exit code, no traceback, and nothing written where it is refused."""

import contextlib
import json
import os
import shutil
import sys

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agentgym import catalog
from agentgym.cli.main import VERBS, main
from agentgym.contracts.settings import from_settings, parse_settings
from agentgym.errors import AskError
from agentgym.runs.run import RunConfig

EXAMPLES = {
    "train": 160,
    "resume": 120,
    "evaluate": 120,
    "play": 90,
    "forensics": 60,
    "list": 40,
    "show": 60,
    "report": 80,
    "data": 60,
    "study": 60,
    "tune": 30,
    "solve": 60,
}

BOUNDED = settings(deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                   suppress_health_check=list(HealthCheck))  # fmt: skip

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NUMBERS = ["1", "2", "32", "0", "-1", "-5", "4294967296", "1.5", "nan", "inf", "1e3", "", "x", "9" * 40, "0x10", "1_0"]
ENVS = ["CartPole-v1", "CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1", "agentgym/BernoulliBandit-v0", "",
        "CartPole", "CartPole-v99", "agentgym/RobustHoper-v0", "a:b", ":", "json:X-v0", ".x:Y-v0", "a b:X",
        "../x"]  # fmt: skip
PAIRS = ["g=9", "g=nan", "gravity=1e999", "sutton_barto_reward=true", "x=1", "=", "a", "max_episode_steps=5", "id=3",
         "max_episode_steps=-1", "max_episode_steps=x", "is_slippery=[1]", "map_name=9x9",
         "a=" + "[" * 3000]  # fmt: skip
EFFECTS = ["ObservationNoise:std=0.1", "ObservationNoise:std=-1", "ObservationNoise:std=nan", "ObservationNoise:sdt=1",
           "ObservationNoise", "Noise", "RewardNoise:std=0.1", ":", "ObservationNoise:",
           "ActionDelay:steps=x"]  # fmt: skip
SUITES = ["transfer", "attacks:kinds=foo", "attacks:epsilons=-1", "attacks:epsilons=", "perturbations:levels=x", "text",
          "perturbations:levels=0", "perturbations:axes=nope", "parameter-grid:points=1e9", "parameter-grid:point=3",
          "",
          "stochasticity:levels=nan", "convection", "nope", "transfer:x=1", "transfer:", ":"]  # fmt: skip
FOLDERS = ["runs/good", "runs/good", "runs/unfinished", "runs", "nowhere", "file", "", ".", "reports/good",
           "runs/good/final",
           "reports/damaged0", "reports/damaged1", "reports/damaged2", "/dev/null"]  # fmt: skip
NAMES = ["new", "good", "", ".", "..", "a/b", "/x", "n" * 300, "-x", "a\\b", "é"]
DAMAGED = ["", "{", "[]", "null", "3", "[" * 100_000, "{}", '{"agent": "ppo"}', "\udcff"]

STUDY = """
agents.ppo.config = { n_steps = 32, batch_size = 32 }
envs.CartPole-v1 = {}
steps = 32
seeds = [0]
protocol.episodes = 1
"""
TUNE = """
[tune]
agent = "ppo"
trials = 1
seeds = [0]
fresh_seeds = [1]
[tune.ranges]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
"""
STUDIES = ["good.toml", "good.toml", "tune.toml", "unknown.toml", "empty.toml", "nowhere.toml", "file", "runs", "", ".",
           "damaged0.toml", "damaged1.toml", "damaged2.toml", "/dev/null"]  # fmt: skip

OPTIONS = {
    "train": {
        "--env": ENVS, "--steps": NUMBERS, "--seed": NUMBERS, "--num-envs": ["1", "2", "0", "-1", "x"], "--name": NAMES,
        "--env-kwargs": PAIRS, "--perturb": EFFECTS, "--device": ["cpu", "auto", "cuda", "gpu", "cuda:x", "meta", ""],
        "--threads": ["1", "0", "-1", "x", "999999999"], "--checkpoint-every": NUMBERS, "--keep-checkpoints": NUMBERS,
        "--root": ["runs", "file", "file/x", "", "/proc/none", "deep/er"], "--dataset": ["", "nope", "hopper-medum",
        "a:b"],
        "--config.gamma": ["0.9", "nan", "x", "inf"], "--config.n-steps": ["32", "x", "1.5"], "--config.nope": ["1"],
        "--config.activation": ["relu", "sine"], "--config.learning-rate": ["1e-3", "nan", "fast"],
    },
    "resume": {"--steps": NUMBERS},
    "evaluate": {
        "--suite": SUITES, "--env": ENVS, "--env-kwargs": PAIRS, "--episodes": ["1", "0", "-1", "x"], "--seed": NUMBERS,
        "--workers": ["1", "0", "-3", "x"], "--ray": ["127.0.0.1:1", "nope.invalid:1"], "--out": ["new", "file",
        "file/x"],
        "--controllers": ["zero", ""], "--max-steps": ["500", "0", "-1", "x"],
    },
    "play": {
        "--video": ["x.gif", "x.png", "x", "", "x.docx", "runs", "file/x.gif", "/proc/x.png"], "--env": ENVS,
        "--env-kwargs": PAIRS, "--perturb": EFFECTS, "--controllers": ["zero", ""], "--steps": NUMBERS,
        "--seed": NUMBERS, "--record": ["x.npz", "x", "runs", "file/x.npz"],
    },
    "forensics": {
        "--faults": ["gauss:0.5", "gaus:1", "freeze", "freeze:1", "gauss:nan", "gauss:-1", "benchmark", ":", ""],
        "--episode": ["file", "nowhere.npz", "runs", "", "/dev/null"], "--detectors": ["combined", "combind", ""],
        "--stage2": ["walk critic", "walk", ""], "--episodes": ["1", "0", "x"], "--alpha": ["0.1", "0", "2", "nan"],
        "--noise": ["0", "-1", "nan"], "--seed": NUMBERS, "--fresh": ["40", "1", "-1"], "--clean": ["40", "0", "x"],
        "--env": ENVS, "--env-kwargs": PAIRS, "--out": ["new", "file", "file/x"],
    },
    "list": {}, "show": {}, "report": {"--out": ["new.html", "file/x", ""]}, "data": {},
    "study": {
        "--workers": ["1", "0", "-3", "x"], "--ray": ["127.0.0.1:1", "nope.invalid:1"],
        "--root": ["runs", "file", "file/x"], "--seeds": ["0", "0-", "1-0", "x", "-1", "0,0"],
        "--only": ["ppo", "CartPole-v1", "sac", ""], "--docs": ["new", "file"], "--out": ["new.html", "file/x"],
    },
    "tune": {"--workers": ["1", "0", "-3", "x"], "--ray": ["127.0.0.1:1"], "--root": ["runs", "file", "file/x"]},
    "solve": {
        "--endpoint": ["http://", "localhost", "ftp://x", "http://a:b@c"],
        "--env": [*ENVS, "agentgym/CodeRepairEasy-v0"],
        "--env-kwargs": PAIRS, "--tasks": ["1", "0", "-1", "x"], "--seed": NUMBERS, "--out": ["new", "file", "file/x"],
        "--control": ["unrestricted", "fixed", "fixed:limit=0", "fixed:of=runs", "fixed:limit=nan",
        "learned:policy=runs", "dynamic:start=1,step=1,cap=1,rule=x", "dynamic:of=nowhere", "nope", "", ":"],
        "--prices": ["file", "nowhere.json", "runs", "damaged3.toml"], "--cost-limit": ["1", "0", "nan", "x"],
        "--time-limit": ["1", "0", "inf"], "--max-tokens": NUMBERS, "--temperature": ["0", "-1", "nan"],
    },
}  # fmt: skip
PLACES = {
    "train": ["ppo", "ppo", "ppo", "sac", "bc", "shared-ppo", "doc-tabular", "pp", ""],
    "resume": FOLDERS, "evaluate": FOLDERS, "play": FOLDERS, "report": FOLDERS,
    "forensics": FOLDERS,
    "list": ["envs", "agents", "suites", "recipes", "agent", ""],
    "show": ["sac", "agentgym/Convection-v0", "text", "hopper-medium", "", "SAC"],
    "data": ["list", "show", "check", "make", "nope", "hopper-medum", "frozenlake:slip=3",
    "frozenlake:trajectories=0", ""],
    "study": STUDIES, "tune": STUDIES, "solve": ["--model=nowhere", "--model=nowhere", "--model=runs", "--model="],
}  # fmt: skip
COMMANDS = {"study": ["run", "run", "status", "table", "report", "nope", ""]}


@st.composite
def words(draw, verb):
    """One or more places and up to six options, each with a value of its pool or, now and then, any text."""

    def value(pool):
        return draw(TEXT) if draw(st.integers(0, 9)) == 0 else draw(st.sampled_from(pool))

    places = [value(COMMANDS[verb])] if verb in COMMANDS else []
    places += [value(PLACES[verb]) for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2])))]
    chosen = draw(st.lists(st.sampled_from(sorted(OPTIONS[verb])), max_size=6, unique=True)) if OPTIONS[verb] else []
    pairs = [word for name in chosen for word in (name, value(OPTIONS[verb][name]))]
    if draw(st.integers(0, 19)) == 0:
        pairs.append(draw(st.sampled_from(["--help", "--nope", "--", "-", "--steps", "--seed=3=4"])))
    return [*places, *pairs]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a trained run, one that was not trained to its end, and damaged ones."""
    root = tmp_path_factory.mktemp("fuzz")
    before = os.getcwd()
    os.chdir(root)
    try:
        main(["train", "ppo", "--env", "CartPole-v1", "--name", "good", "--threads", "1", *QUICK])
        main(["evaluate", "runs/good", "--suite", "transfer", "--episodes", "1", "--out", "reports/good"])
    finally:
        os.chdir(before)
    shutil.copytree(root / "runs/good", root / "runs/unfinished")
    shutil.rmtree(root / "runs/unfinished/final")
    for n, text in enumerate(DAMAGED):
        for name in ("config.json", "record.json"):
            folder = root / f"runs/{name[:6]}{n}"
            shutil.copytree(root / "runs/good", folder)
            (folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")
            FOLDERS.append(str(folder.relative_to(root)))
        name = ("evaluation.json", "rows.csv")[n % 2]
        shutil.copytree(root / "reports/good", root / f"reports/damaged{n}")
        (root / f"reports/damaged{n}" / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    (root / "file").write_text("no folder")
    for name, text in {"good": STUDY, "tune": STUDY + TUNE, "unknown": STUDY + "step = 3", "empty": ""}.items():
        (root / f"{name}.toml").write_text(text)
    for n, text in enumerate(DAMAGED):
        (root / f"damaged{n}.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    (root / "datasets").mkdir()  # Minari makes it when it looks for datasets
    return root


QUICK = ("--steps", "32", "--config.n-steps", "32", "--config.batch-size", "32")
QUICK_OPTIONS = {
    "train": (*QUICK, "--threads", "1"),
    "evaluate": ("--suite", "transfer", "--episodes", "1"),
    "play": ("--steps", "5"),
}


def snapshot(folder):
    """Every folder, and every file with the time of its last change."""
    found = [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    return {path: None if path.is_dir() else path.stat().st_mtime_ns for path in found}


@pytest.mark.parametrize("share", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("verb", VERBS)
def test_no_words_make_a_traceback(verb, share, root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root / "datasets"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    before, counts = snapshot(root), {}

    @settings(BOUNDED, max_examples=EXAMPLES[verb] // share)
    @given(words(verb))
    def run(arguments):
        code = 0
        quick = QUICK_OPTIONS.get(verb, ())
        given_twice = {word for word in arguments if word.startswith("--")}
        pairs = [pair for pair in zip(quick[::2], quick[1::2], strict=True) if pair[0] not in given_twice]
        try:
            main([verb, *arguments, *(word for pair in pairs for word in pair)])
        except SystemExit as end:
            code = end.code
        counts[code] = counts.get(code, 0) + 1
        said = capsys.readouterr()
        assert code in (0, 1, 2), (arguments, said.err)
        assert "Traceback" not in said.err, (arguments, said.err[-3000:])
        assert code == 0 or said.err.strip() or said.out.strip(), arguments
        after = snapshot(root)
        if code == 2:
            assert after.keys() == before.keys(), (arguments, said.err)
            assert after == before, arguments
        for path in after.keys() - before.keys():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        before.clear()
        before.update(snapshot(root))

    run()
    print(f"{verb}: exit codes {counts}")


@settings(BOUNDED, max_examples=300)
@given(st.sampled_from(["env", "agent", "suite", "recipe"]), TEXT)
def test_ids_of_the_catalog(kind, text):
    with contextlib.suppress(AskError):
        assert catalog.find(kind, text).id == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@settings(BOUNDED, max_examples=400)
@given(st.data())
def test_settings_of_suites_agents_and_recipes(data):
    kind = data.draw(st.sampled_from(["suite", "agent"]))
    entry = data.draw(st.sampled_from(catalog.entries(kind)))
    target = catalog.load(entry)
    target = getattr(target, "Config", target)
    names = [*target.__dataclass_fields__, "nope"]
    with contextlib.suppress(AskError):
        from_settings(target, data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=2)), entry.id)


@settings(BOUNDED, max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_texts_of_settings(text):
    with contextlib.suppress(AskError):
        name, values = parse_settings(text)
        assert isinstance(name, str)
        json.dumps(values, allow_nan=False)


@settings(BOUNDED, max_examples=400)
@given(st.dictionaries(st.sampled_from([*RunConfig.__dataclass_fields__]), VALUES, max_size=3))
def test_values_of_a_run(values):
    with contextlib.suppress(AskError):
        config = RunConfig(**{"agent": "sac", **values}).check()
        json.dumps(config.__dict__, allow_nan=False)
