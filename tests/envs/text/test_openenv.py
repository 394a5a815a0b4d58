"""An OpenEnv server of text environments, spoken to on loopback by OpenEnv's own client."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import gymnasium
import pytest

import agentgym  # noqa: F401  (registers the environments)
from agentgym.envs.text.tool import ToolEnvironment
from agentgym.errors import InvalidParameter, UnknownId

pytest.importorskip("openenv", reason='needs the extra openenv: pip install "agentgym[openenv]"')
uvicorn = pytest.importorskip("uvicorn")

from openenv.core.generic_client import GenericEnvClient  # noqa: E402

from agentgym.envs.text.openenv_server import openenv_app  # noqa: E402

HOMES = {"env": "agentgym/Household-v0", "size": "tiny", "tasks": ["place"]}
ARCHIVES = {"env": "agentgym/Archive-v0"}
SESSIONS = 5


@pytest.fixture(scope="module", params=[HOMES, ARCHIVES], ids=["homes", "archives"])
def served(request):
    """The address of a server with room for five sessions, and the arguments of its environment."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    app = openenv_app(max_sessions=SESSIONS, **request.param)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", request.param
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def client(served):
    return GenericEnvClient(base_url=served[0]).sync()


def transcript(served, seed):
    """What a session of that seed says to the commands of a shortest plan."""
    with client(served) as session:
        result = session.reset(seed=seed, episode_id=f"episode {seed}")
        said = [(result.observation["text"], result.observation["commands"], result.reward, result.done)]
        for command in plan(served, seed):
            result = session.step({"command": command})
            said.append((result.observation["text"], result.observation["commands"], result.reward, result.done))
        return said, session.state()


def plan(served, seed):
    env = made(served)
    env.reset(seed=seed)
    return env.plan()


def made(served):
    env_id, *_ = served[1].values()
    return gymnasium.make(env_id, **{key: value for key, value in served[1].items() if key != "env"}).unwrapped


def test_equal_seeds_are_equal_worlds_through_all_doors(served):
    for seed in (3, 4):
        said, state = transcript(served, seed)
        env, tool = made(served), ToolEnvironment(**served[1])
        text, info = env.reset(seed=seed)
        assert said[0] == (text, info["admissible_commands"], None, False)
        assert tool.reset(seed=seed) == f"{text} Commands now: {'; '.join(said[0][1])}."
        for command, (heard, commands, reward, done) in zip(env.plan(), said[1:], strict=True):
            text, gained, terminated, truncated, info = env.step(command)
            assert (heard, reward, done) == (text, gained, terminated or truncated)
            assert commands == ([] if done else info["admissible_commands"])
            assert tool.act(command).startswith(heard)
        assert done
        assert tool.get_reward() == state["total_reward"] == 1
        assert (state["seed"], state["episode_id"], state["step_count"]) == (seed, f"episode {seed}", len(said) - 1)
        assert state["task"] == info["task"]


def test_sessions_at_a_time_do_not_meet(served):
    alone = [transcript(served, seed)[0] for seed in range(3, 3 + SESSIONS)]
    assert len({said[0][0] for said in alone}) == SESSIONS
    with ThreadPoolExecutor(SESSIONS) as pool:
        together = list(pool.map(lambda seed: transcript(served, seed)[0], range(3, 3 + SESSIONS)))
    assert together == alone


def test_a_seed_that_nobody_gave_is_told(served):
    with client(served) as session:
        first = session.reset().observation["text"]
        assert session.reset(seed=session.state()["seed"]).observation["text"] == first


def test_what_cannot_be_is_said_and_the_session_goes_on(served):
    with client(served) as session:
        with pytest.raises(RuntimeError, match="reset"):
            session.step({"command": "look"})
        with pytest.raises(RuntimeError, match="seed"):
            session.reset(seed=-1)
        session.reset(seed=3)
        for wrong in ({"text": "look"}, {"command": 3}, {"command": "look", "and": "more"}):
            with pytest.raises(RuntimeError, match="VALIDATION_ERROR"):
                session.step(wrong)
        refused = session.step({"command": "sing a song"})
        assert refused.observation["problem"] == "unparsable"
        assert refused.observation["turn"] == 1
        assert (refused.reward, refused.done) == (0, False)
        for command in plan(served, 3):
            over = session.step({"command": command}).done
        assert over
        with pytest.raises(RuntimeError, match="reset"):
            session.step({"command": "look"})


def test_one_session_too_many_is_refused(served):
    sessions = [client(served) for _ in range(SESSIONS)]
    try:
        for session in sessions:
            session.connect()
            session.reset(seed=1)
        refused = pytest.raises((RuntimeError, ConnectionError), match=r"(?i)capacity|session")
        with refused, client(served) as further:
            further.reset(seed=1)
    finally:
        for session in sessions:
            session.close()


def test_the_action_has_one_field(served):
    httpx = pytest.importorskip("httpx")
    schema = httpx.get(f"{served[0]}/schema").json()
    assert schema["action"]["required"] == ["command"]
    assert {"text", "commands", "reward", "done"} <= set(schema["observation"]["properties"])


def test_what_cannot_be_served_is_refused_before_it_is():
    with pytest.raises(UnknownId, match="Household"):
        openenv_app("agentgym/Houshold-v0")
    with pytest.raises(InvalidParameter, match="no text environment"):
        openenv_app("CartPole-v1")
    with pytest.raises(UnknownId, match="size"):
        openenv_app("agentgym/Household-v0", size="huge")
    with pytest.raises(InvalidParameter, match="max_sessions"):
        openenv_app("agentgym/Household-v0", max_sessions=0)
