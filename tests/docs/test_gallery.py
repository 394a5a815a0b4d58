"""Films and pages of the gallery and of the command line are made from what is there."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agentgym import catalog
from agentgym.errors import AskError, UnknownId
from agentgym.make import make_env

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_extensions"))
import films
from commands import command
from gallery import FILMS, manual


@pytest.mark.parametrize("entry", [e for e in catalog.OURS if e.kind == "env"], ids=lambda entry: entry.id)
def test_every_environment_has_a_small_film_or_a_transcript(entry):
    stem = entry.id.rpartition("/")[2]
    if (FILMS / f"{stem}.txt").exists():
        told = (FILMS / f"{stem}.txt").read_text(encoding="utf-8")
        assert told.startswith("=== random")
        assert "\n> " in told
        return
    if not (FILMS / f"{stem}-random.webp").exists():
        with pytest.raises(AskError, match="Name a file"):  # tasks that only a user has
            make_env(entry.id, {})
        return
    with Image.open(FILMS / f"{stem}-random.webp") as film:
        assert film.width == films.WIDTH
    assert all(path.stat().st_size <= films.LARGEST for path in FILMS.glob(f"{stem}-*.webp"))


def test_a_film_of_noise_is_made_small_enough():
    noise = np.random.default_rng(0).integers(0, 256, (films.FRAMES, 180, films.WIDTH, 3), dtype=np.uint8)
    data = films.encoded(list(noise))
    assert len(data) <= films.LARGEST
    with Image.open(io.BytesIO(data)) as film:
        assert 2 <= film.n_frames < films.FRAMES


def test_an_environment_that_cannot_be_drawn_becomes_a_chart(tmp_path):
    films.film("agentgym/Fishery-v0", "chart", "escapement", tmp_path)
    with Image.open(tmp_path / "chart.webp") as film:
        first = np.asarray(film.convert("RGB"))
        film.seek(film.n_frames - 1)
        assert (np.asarray(film.convert("RGB")) != first).mean() > 0.005


def test_the_manual_of_a_class_comes_with_its_bases_where_that_holds_it():
    from agentgym.envs.robust.env import RobustHopperEnv

    text = "\n".join(manual(RobustHopperEnv))
    assert text.index("Hopper-v5") < text.index("## Description") < text.index("## Arguments")
    assert "{py:class}`~agentgym.envs.robust.env.RobustEnv`" in text
    assert ":class:`" not in text.replace("{py:class}`", "")


def test_options_are_those_of_the_parser():
    found = command("play")
    options = {option.flags: option for option in found.options}
    assert options["`--steps`"].values == "INT"
    assert options["`--steps`"].default == "500"
    assert options["`--steps`"].help == "maximum number of steps, at least 1."
    with pytest.raises(UnknownId):
        command("train", ["no-such-agent"])
