"""Rows as columns: what goes in comes out, from memory, CSV and Parquet."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from agentgym.errors import CorruptFile, MissingExtra
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
    rows = [replace(ODD[1], episode=n, seed=n, episode_return=n / 7, measures={"m": 1.0 * n} if n % 3 else {})
            for n in range(BLOCK + 5)]  # fmt: skip
    folder = made(rows).write(tmp_path)
    assert Evaluation.read(folder).rows == rows
    with (folder / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(rows)
    assert json.loads(lines[-2]["measures"]) == rows[-2].measures


def test_the_order_of_arrival_does_not_matter():
    rows = [Row(agent, condition, e, e, 1.0 * e, 1) for agent in "ba" for condition in "zxy" for e in range(12)]
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert Rows.of(shuffled).ordered("ba", "zxy") == rows
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
