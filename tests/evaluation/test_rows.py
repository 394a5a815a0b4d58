"""Rows as columns: what goes in comes out, from memory, CSV and Parquet."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from agentgym.errors import CorruptFile, MissingExtra
from agentgym.evaluation import rows
from agentgym.evaluation.rows import BLOCK, Row, Rows
from agentgym.evaluation.table import AgentRecord, Evaluation, Scene

ODD = [
    Row("a", "nominal", 0, 2**62, 1 / 3, 10, measures={"x": 0.1, "y": math.nan}),
    Row("a", 'with "quotes", commas\nand lines', 1, 4, -0.0, 0, note="a worker died", measures={"y": 2.0}),
    Row("b é", "nominal", 0, 3, math.nan, 3, error="ValueError: broken"),
    Row("b é", "nominal", 1, 4, 1e-300, 3),
]


def made(rows):
    scenes = {row.condition: Scene("Overview", "nominal", "nominal") for row in ODD}
    return Evaluation("s", [AgentRecord("a", "", "", ""), AgentRecord("b é", "", "", "")], scenes, rows)


@pytest.fixture(params=["pyarrow", "python"])
def reader(request, monkeypatch):
    """CSV files are read by pyarrow where it is installed, else by Python's csv."""
    if request.param == "python":
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    else:
        pytest.importorskip("pyarrow")
        monkeypatch.setattr(rows.csv, "reader", None)


def test_both_readers_of_csv_give_the_same_columns(tmp_path, reader):
    written = Rows.of(ODD)
    written.write_csv(tmp_path / "rows.csv")
    read = Rows.read_csv(tmp_path / "rows.csv")
    assert list(map(repr, read)) == list(map(repr, ODD))
    for name, column in written.texts.items():
        assert read.texts[name].names == column.names
        assert read.texts[name].codes.tolist() == column.codes.tolist()
    assert {name: column.dtype for name, column in read.numbers.items()} == {
        name: column.dtype for name, column in written.numbers.items()
    }
    Rows.of([]).write_csv(tmp_path / "rows.csv")
    assert len(Rows.read_csv(tmp_path / "rows.csv")) == 0


def test_what_other_programs_write_is_the_same_to_both_readers(tmp_path, reader):
    """Columns in another order and more of them, Windows' line ends, blank lines, returns that are not finite."""
    text = 'note,agent,"condition",episode,seed,mine,return,length,error,measures\r\n\r\n'
    text += ',a,"x, ""y""\r\nz",0,1,?,NaN,5,,"{""m"": 1}"\r\n,a,w,1,2,?,-inf,5,late,\r\n\r\n,b,w,2,3,?,1e3,5,,\r\n'
    (tmp_path / "rows.csv").write_bytes(text.encode())
    assert list(map(repr, Rows.read_csv(tmp_path / "rows.csv"))) == list(map(repr, [
        Row("a", 'x, "y"\r\nz', 0, 1, math.nan, 5, "NonFinite: the return is nan.", measures={"m": 1.0}),
        Row("a", "w", 1, 2, -math.inf, 5, "late"), Row("b", "w", 2, 3, 1000.0, 5),
    ]))  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_rows_are_read_as_they_were_written(tmp_path, form):
    written = made(ODD)
    assert list(map(repr, written.rows)) == list(map(repr, ODD))
    assert written.rows == ODD != ODD[::-1]
    read = Evaluation.read(written.write(tmp_path, form))
    assert list(map(repr, read.rows)) == list(map(repr, ODD))
    assert (read.rows.finished == [row.finished for row in ODD]).all()
    assert read.returns("b é", "nominal") == [1e-300]
    assert [row.error for row in read.failures()] == ["ValueError: broken"]
    assert len(Evaluation.read(made([]).write(tmp_path, form)).rows) == 0
    assert [path.suffix for path in tmp_path.glob("rows.*")] == [f".{form}"]  # one form at a time


def test_more_rows_than_a_block(tmp_path):
    many = [replace(ODD[1], episode=n, seed=n, episode_return=n / 7, measures={"m": 1.0 * n} if n % 3 else {})
            for n in range(BLOCK + 5)]  # fmt: skip
    folder = made(many).write(tmp_path)
    assert Evaluation.read(folder).rows == many
    with (folder / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(many)
    assert json.loads(lines[-2]["measures"]) == many[-2].measures


def test_the_order_of_arrival_does_not_matter():
    many = [Row(agent, condition, e, e, 1.0 * e, 1) for agent in "ba" for condition in "zxy" for e in range(12)]
    shuffled = [many[i] for i in np.random.default_rng(0).permutation(len(many))]
    assert Rows.of(shuffled).ordered("ba", "zxy") == many
    groups = Rows.of(shuffled).groups()
    assert {key: sorted(shuffled[i].episode for i in places) for key, places in groups.items()} == {
        (agent, condition): list(range(12)) for agent in "ba" for condition in "zxy"
    }


@pytest.mark.parametrize(
    ("form", "damage"),
    [
        ("csv", lambda raw: raw[:-4]),  # the last line ends early
        ("csv", lambda raw: raw.replace(b",seed,", b",sed,")),
        ("csv", lambda raw: raw.replace(b",10,", b",ten,")),
        ("csv", lambda raw: raw.replace(str(2**62).encode(), str(2**64).encode())),
        ("csv", lambda raw: raw.replace(b"nominal", b"\xff\xfe")),
        ("csv", lambda raw: b""),
        ("csv", lambda raw: raw.replace(b",3,,,", b",3,,")),  # a cell is missing
        ("csv", lambda raw: raw.replace(b",3,,,", b",,,,")),
        ("parquet", lambda raw: raw[:-4]),
        ("parquet", lambda raw: raw[:8] + bytes(60) + raw[68:]),
        ("parquet", lambda raw: b""),
    ],
)
def test_damaged_rows_are_refused(tmp_path, form, damage):
    file = made(ODD).write(tmp_path, form) / f"rows.{form}"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CorruptFile, match="damaged evaluation"):
        Evaluation.read(tmp_path)


def test_parquet_without_its_extra_is_said_before_anything_is_written(tmp_path, monkeypatch):
    made(ODD).write(tmp_path / "there", "parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"agentgym\[parquet\]"):
        Evaluation.read(tmp_path / "there")
    with pytest.raises(MissingExtra):
        made(ODD).write(tmp_path / "new", "parquet")
    assert not (tmp_path / "new").exists()
