"""Small studies that train in a second or two."""

import pytest

SMALL = """
title = "Two agents on a pendulum"
seeds = "0-1"
steps = 128
checkpoint_every = 32
baseline = "ppo"

[agents.ppo]
config = { n_steps = 32, batch_size = 32, n_epochs = 2 }

[agents.mdpo-onpolicy]
name = "MDPO"
config = { n_steps = 32 }

[envs."Pendulum-v1"]

[protocol]
episodes = 2
seed = 7
"""


@pytest.fixture
def small_file(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return file


@pytest.fixture
def study_file(tmp_path):
    """Writes a study of another text."""

    def write(text, name="odd"):
        file = tmp_path / f"{name}.toml"
        file.write_text(text)
        return file

    return write
