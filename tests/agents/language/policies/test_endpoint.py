"""A language model behind an endpoint: a server in a thread that works, errs, hangs and talks rubbish."""

import json
import math
import pickle
import socket
import threading
import time
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gymnasium
import numpy as np
import pytest

from agentgym.agents.language.policies.endpoint import EndpointAgent, EndpointError
from agentgym.cli.main import main
from agentgym.errors import AskError, InvalidParameter, SpaceMismatch
from agentgym.evaluation.evaluate import evaluate

HOME = "agentgym/Household-v0"


class Server:
    """Answers with what ``answers`` gives for each request's body: (status, bytes, seconds to wait before)."""

    def __init__(self):
        self.asked, self.headers, self.sends = [], [], {}
        self.answer = lambda body: (200, said("look"), 0)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                outer.headers.append(dict(self.headers))
                status, data, wait = outer.answer(body)
                time.sleep(wait)
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                for name, value in outer.sends.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def said(text):
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


def agent(server, **settings):
    return EndpointAgent(server.url, HOME, "model", **{"pause": 0.01, "timeout": 5.0, **settings})


def test_a_server_that_knows_the_way_wins_and_hears_the_whole_chat(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    env = gymnasium.make(HOME, size="tiny")
    observation, info = env.reset(seed=0)
    plan = env.unwrapped.plan()
    server.answer = lambda body: (200, said(f"\n {plan[len(body['messages']) // 2 - 1]} \nas I said"), 0)
    asking, state, won, texts = agent(server), None, False, [observation]
    while not won:
        command, state = asking.predict(observation, state, commands=info["admissible_commands"])
        observation, _, _, truncated, info = env.step(command)
        texts.append(observation)
        won = info["won"]
        assert not truncated or won
    last = server.asked[-1]
    roles = [message["role"] for message in last["messages"]]
    assert roles == ["system", *["user", "assistant"] * (len(plan) - 1), "user"]
    assert "take THING from PLACE" in last["messages"][0]["content"]
    assert last["messages"][1]["content"].startswith(f"{texts[0]} Commands now: look; ")
    assert last["temperature"] == 0
    assert last["model"] == "model"
    assert server.headers[-1]["Authorization"] == "Bearer secret"


def test_several_episodes_do_not_mix(server):
    server.answer = lambda body: (200, said(f"go to {body['messages'][1]['content']}"), 0)
    asking = agent(server, list_commands=False)
    answers, state = asking.predict(["one", None, "three"], None, [True] * 3)
    assert answers == ["go to one", "", "go to three"]
    answers, state = asking.predict(["next", "two", None], state, [False, True, False])
    assert answers == ["go to one", "go to two", ""]
    assert [len(chat) for chat in state] == [5, 3, 3]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(server, status):
    server.answer = lambda body: (200, said("look"), 0) if len(server.asked) > 2 else (status, b"busy", 0)
    assert agent(server).predict("You see a mug.")[0] == "look"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("answer", "tries", "says"),
    [
        ((503, b"overloaded today", 0), 2, "HTTP 503.*overloaded today"),
        ((401, b"who are you", 0), 1, "HTTP 401.*who are you"),
        ((307, b"", 0), 1, "HTTP 307"),
        ((200, b"\xff\x00 rubbish", 0), 2, "not a chat completion"),
        ((200, b'{"choices": []}', 0), 2, "not a chat completion"),
        ((200, b'{"choices": [{"message": {"content": [1]}}]}', 0), 2, "no text"),
        ((200, b"", 0), 2, "not a chat completion"),
        ((200, b"", 1.0), 2, "no answer within 0.2 s"),
    ],
)
def test_what_does_not_pass_is_one_error_that_says_what_to_do(server, answer, tries, says):
    server.answer = lambda body: answer
    with pytest.raises(EndpointError, match=says) as raised:
        agent(server, retries=1, timeout=0.2 if answer[2] else 5.0).predict("You see a mug.")
    assert len(server.asked) == tries
    for part in (server.url, f"{tries} tries", "OPENAI_API_KEY", "'model'"):
        assert part in str(raised.value)
    assert isinstance(raised.value, AskError)


@pytest.mark.parametrize("date", [False, True], ids=["seconds", "date"])
def test_the_server_says_when_to_come_back(server, date):
    after = formatdate(time.time() + 2.5, usegmt=True) if date else "1"  # dates have whole seconds
    server.sends = {"Retry-After": after}
    server.answer = lambda body: (200, said("look"), 0) if len(server.asked) > 1 else (429, b"busy", 0)
    began = time.monotonic()
    assert agent(server).predict("You see a mug.")[0] == "look"
    assert time.monotonic() - began >= 1.0
    assert len(server.asked) == 2


@pytest.mark.parametrize("after", ["3600", "soon", "-5", ""])
def test_times_that_are_not_waited_for(server, after):
    server.sends = {"Retry-After": after}
    server.answer = lambda body: (429, b"busy", 0)
    with pytest.raises(EndpointError, match="asks to wait 3600 s" if after == "3600" else "in 2 tries"):
        agent(server, retries=1).predict("You see a mug.")
    assert len(server.asked) == (1 if after == "3600" else 2)


def test_a_server_that_sends_crumbs_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def crumbs():
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.05)

        threading.Thread(target=crumbs, daemon=True).start()
        found = EndpointAgent(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", HOME, "m", retries=0, timeout=0.5)
        began = time.monotonic()
        with pytest.raises(EndpointError, match=r"no answer within 0.5 s"):
            found.predict("You see a mug.")
        assert time.monotonic() - began < 5.0


def test_no_message_shows_the_key(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server.answer = lambda body: (401, b"no such key: sk-secret", 0)
    with pytest.raises(EndpointError, match=r"no such key: \[the key\]") as raised:
        agent(server).predict("You see a mug.")
    assert "sk-secret" not in str(raised.value)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    with pytest.raises(EndpointError, match="OPENAI_API_KEY has characters") as raised:
        agent(server).predict("You see a mug.")
    assert "sk-secret" not in str(raised.value)
    with pytest.raises(InvalidParameter, match="must not hold a user or password") as raised:
        EndpointAgent("http://me:sk-secret@127.0.0.1:9/v1", HOME, "model")
    assert "sk-secret" not in str(raised.value)


def test_an_agent_travels_to_another_process(server):
    found = pickle.loads(pickle.dumps(agent(server)))
    assert found.predict("You see a mug.")[0] == "look"


def test_nobody_there():
    with pytest.raises(EndpointError, match="no connection"):
        EndpointAgent("http://127.0.0.1:9/v1", HOME, "model", retries=0).predict("You see a mug.")


@pytest.mark.parametrize("content", ["", None, " \n \n"])
def test_an_answer_without_a_word_is_an_empty_command(server, content):
    server.answer = lambda body: (200, said(content), 0)
    command, _ = agent(server).predict("You see a mug.")
    assert command == ""
    env = gymnasium.make(HOME)
    env.reset(seed=0)
    assert env.step(command)[4]["problem"] == "empty"


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidParameter, match="http"):
        EndpointAgent("ftp://somewhere/v1", HOME, "model")
    with pytest.raises(InvalidParameter, match="timeout"):
        EndpointAgent("http://127.0.0.1:9/v1", HOME, "model", timeout=0)
    with pytest.raises(SpaceMismatch):
        EndpointAgent("http://127.0.0.1:9/v1", "Pendulum-v1", "model")
    for address in (None, 5, b"http://127.0.0.1:9/v1", "", "http://127.0.0.1:port/v1"):
        with pytest.raises(InvalidParameter, match="address"):
            EndpointAgent(address, HOME, "model")


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, "3", None, True, np.float32("nan"), [1]], ids=repr)
@pytest.mark.parametrize("name", ["timeout", "retries", "pause", "max_tokens", "parallel"])
def test_numbers_that_cannot_be_are_refused(name, value):
    with pytest.raises(AskError, match=name):
        EndpointAgent("http://127.0.0.1:9/v1", HOME, "model", **{name: value})


@pytest.mark.parametrize(("name", "value"), [("model", None), ("key_variable", 3), ("list_commands", "no")])
def test_other_settings_that_cannot_be_are_refused(name, value):
    with pytest.raises(InvalidParameter, match=name):
        EndpointAgent("http://127.0.0.1:9/v1", HOME, **{"model": "model", name: value})


def test_numpy_scalars_are_settings(server):
    settings = {"timeout": np.float32(5), "retries": np.int64(0), "max_tokens": np.uint8(7), "parallel": np.int32(2)}
    assert agent(server, **settings).predict("You see a mug.")[0] == "look"
    assert server.asked[0]["max_tokens"] == 7


@pytest.mark.parametrize("observation", [3, b"look", ["look", 3], [math.nan, None]], ids=repr)
def test_an_observation_is_a_string(server, observation):
    with pytest.raises(InvalidParameter, match="An observation is a string"):
        agent(server).predict(observation)
    assert not server.asked


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "null"])
def test_probabilities_that_a_server_sends_along_are_not_read(server, number):
    content = f'{{"choices": [{{"logprobs": {{"token_logprobs": [{number}]}}, "message": {{"content": "look"}}}}]}}'
    server.answer = lambda body: (200, content.encode(), 0)
    assert agent(server).predict("You see a mug.")[0] == "look"


@pytest.mark.parametrize("content", ["\x1b[2Jlook", "\ud83d", "look\x00", "mug " * 5000, "\u202elook"], ids=ascii)
def test_any_answer_is_a_command_that_a_world_can_judge(server, content):
    server.answer = lambda body: (200, said(content), 0)
    found = agent(server)
    env = gymnasium.make(HOME)
    observation, _ = env.reset(seed=0)
    state = None
    for _ in range(2):  # what was said is sent back as part of the chat
        command, state = found.predict(observation, state)
        observation, _, _, _, info = env.step(command)
        assert info["problem"] in ("unparsable", "overlong")


def test_an_endpoint_that_fails_costs_its_own_episodes_only(server):
    """Half of the tasks bring an error: each is a row with it, the others are played."""

    def answer(body):
        if len(body["messages"][1]["content"].partition(". ")[0]) % 2:
            return 500, b"out of memory", 0
        return 200, said("look"), 0

    server.answer = answer
    failing = agent(server, retries=0)
    kwargs = {"size": "tiny", "max_turns": 2}
    found = evaluate({"endpoint": failing}, [], HOME, kwargs, episodes=6, progress=False)
    failed = [bool(row.error) for row in found.rows]
    assert len(failed) == 6
    assert any(failed)
    assert not all(failed)
    for row in found.rows:
        if row.error:
            assert "EndpointError" in row.error
            assert "HTTP 500" in row.error
            assert server.url in row.error
        else:
            assert row.length == 2


def test_the_command_line_evaluates_a_model_behind_a_server(server, tmp_path, capsys):
    asked = ["evaluate", "--endpoint", server.url, "--model", "some/model", "--suite", "text:parts=objects"]
    asked += ["--env", HOME, "--env-kwargs", "size=tiny", "max_turns=2", "--episodes", "1"]
    main([*asked, "--controllers", "random", "--no-report", "--out", str(tmp_path / "out")])
    rows = (tmp_path / "out" / "rows.csv").read_text()
    assert "some-model" in rows
    assert "random" in rows
    assert {body["model"] for body in server.asked} == {"some/model"}
    assert all(len(body["messages"]) >= 2 for body in server.asked)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--endpoint", "http://localhost:1/v1"], "belong together"),
        (["--model", "name", "--env", HOME], "belong together"),
        (["--endpoint", "http://localhost:1/v1", "--model", "name"], "belong together"),
        (["--endpoint", "localhost", "--model", "name", "--env", HOME], "http://"),
        (["--endpoint", "http://localhost:1/v1", "--model", "name", "--env", "CartPole-v1"], "texts"),
    ],
)
def test_the_command_line_refuses_half_a_server(given, says, tmp_path, capsys):
    with pytest.raises(SystemExit) as ending:
        main(["evaluate", *given, "--suite", "text", "--no-report", "--out", str(tmp_path / "out")])
    assert ending.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
