"""A sandbox for the tests, or the reason why there is none."""

import pytest

from agentgym.envs.code.sandbox import Limits, SandboxUnavailable, Session, level_of

LIMITS = Limits(wall=6.0, cpu=1, memory=128, processes=24, file_size=2, disk=8, output=2000)


@pytest.fixture(scope="session")
def level():
    try:
        return level_of("auto")
    except SandboxUnavailable as refusal:
        pytest.skip(str(refusal))


@pytest.fixture(scope="module")
def sandbox(level):
    with Session({}, LIMITS, level) as session:
        yield session
