"""The driver of the GPU check, with cases that pass, fail, hang and print half a line; the GPU's own are elsewhere."""

import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest
import torch

FILE = Path(__file__).parents[1] / "benchmarks" / "gpu_check.py"


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("gpu_check", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_check"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["gpu_check"]


GOOD = (
    "import json; print('words'); print(json.dumps({'case': 'a|b', 'ours': 4, 'peer': 2, 'unit': 'x/s', 'ratio': 2}))"
)


def lines(folder):
    return [json.loads(line) for line in (folder / "gpu.jsonl").read_text(encoding="utf-8").splitlines()]


def test_one_hang_and_one_failure_do_not_take_the_rest(check, tmp_path):
    late = tmp_path / "late"
    child = f"import time, pathlib; time.sleep(4); pathlib.Path({str(late)!r}).touch()"
    hangs = "import subprocess, sys, time; print('{\"case\": \"half', end=''); sys.stdout.flush(); "
    hangs += f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    cases = [
        check.Case("hangs", ("-c", hangs), 2),
        check.Case("breaks", ("-c", f"{GOOD}; raise ValueError('no such thing')"), 30),
        check.Case("good", ("-c", GOOD), 30),
        check.Case("words", ("-c", "import sys; print('3 passed on', sys.argv[1])", "DEVICE"), 30),
        check.Case("gpu only", ("-c", GOOD), 30, on_cpu=False),
    ]
    started = time.monotonic()
    assert check.main(["--device", "cpu", "--out", str(tmp_path)], cases) == 1
    assert time.monotonic() - started < 40
    about, hung, measured, broken, good, words = lines(tmp_path)
    assert about["machine"]["device"] == "cpu"
    assert (hung["name"], hung["error"]) == ("hangs", "cut off after 2 s")
    assert measured["ratio"] == 2  # what it had printed before it broke
    assert broken["error"] == "exit code 1: ValueError: no such thing"
    assert (good["name"], good["ours"]) == ("good", 4)
    assert words["passed"] == "3 passed on cpu"
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "| hangs | FAILED: cut off after 2 s |" in page
    assert page.count("| 4 | 2 | x/s | 2 |") == 2
    again = tmp_path / "again.md"
    assert check.main(["--table", str(tmp_path / "gpu.jsonl"), str(again)]) == 0
    assert again.read_text(encoding="utf-8") == page
    time.sleep(max(0.0, 5.5 - (time.monotonic() - started)))
    assert not late.exists()  # the hanging case's child ended with it


def test_the_time_in_all_is_kept(check, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "LEAST", 0.5)
    cases = [check.Case("first", ("-c", "import time; time.sleep(30)"), 30), check.Case("second", ("-c", GOOD), 30)]
    assert check.main(["--device", "cpu", "--limit", "1", "--out", str(tmp_path)], cases) == 1
    _, first, second = lines(tmp_path)
    assert first["error"] == "cut off after 1 s"
    assert "used up" in second["error"]


def test_only_known_cases(check, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        check.main(["--device", "cpu", "--only", "sack", "--out", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert "there is no case 'sack'; there are tests, sac" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_nothing_is_run(check, tmp_path, capsys):
    assert check.main(["--out", str(tmp_path / "none")]) == 2
    assert "PyTorch finds no CUDA device, so nothing was run" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_every_case_is_there(check):
    for case in check.CASES:
        assert case.seconds <= 120
        if case.arguments[0] != "-m":
            assert Path(case.arguments[0]).is_file()
    assert sum(case.seconds for case in check.CASES) <= 660  # limits, not what they take; the sum is cut at 450 s
