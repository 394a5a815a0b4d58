"""Environments by name."""

import pytest

from agentgym.making import make_env


def test_mujoco_warns_of_one_thing_once(capfd: pytest.CaptureFixture[str]) -> None:
    """HalfCheetah's model file makes MuJoCo warn with every world; the first one's warning is MuJoCo's own."""
    make_env("HalfCheetah-v5").close()
    capfd.readouterr()
    for _ in range(4):
        make_env("HalfCheetah-v5").close()
    captured = capfd.readouterr()
    assert (captured.out + captured.err).count("settotalmass") <= 1
