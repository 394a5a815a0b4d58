"""Rollouts from a server: a small one on loopback speaks the calls of SGLang and vLLM, and can die or lie."""

import functools
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from agentgym.agents.language.methods.tis import TIS
from agentgym.agents.language.policies import server as server_module
from agentgym.agents.language.policies.http_client import EndpointError, JsonClient
from agentgym.agents.language.policies.policy import Sampler
from agentgym.errors import InvalidParameter
from agentgym.runs.checkpoints import Checkpoints
from agentgym.runs.run import RunConfig
from agentgym.runs.train import resume, train
from tests.agents.language.batches import close
from tests.agents.language.policies.test_pretrained import agent, model_folder
from tests.agents.language.worlds import small

pytest.importorskip("peft", reason='needs the extra lora: pip install "agentgym[lora]"')


class FakeServer:
    """Samples from a real model and takes real weights.

    Attributes:
        asked: paths and bodies of all requests.
        stale: whether new weights are accepted and forgotten.
        lie: changes an answer, given as JSON values.
        lives: requests until every further one fails.
    """

    def __init__(self, folder, protocol, port=0):
        from transformers import AutoModelForCausalLM

        self.folder, self.protocol, self.models = folder, protocol, {}
        self.load = functools.partial(AutoModelForCausalLM.from_pretrained, dtype=torch.float32)
        self.models[""] = self.load(folder).eval()
        self.asked, self.stale, self.lie, self.lives = [], False, lambda answer: answer, 10**9
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.asked.append((self.path, body))
                    outer.lives -= 1
                    status, answer = (503, {}) if outer.lives < 0 else outer.answer(self.path, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path, body):
        if path == "/update_weights_from_disk" and self.protocol == "sglang":
            if not self.stale:
                self.models[""] = self.load(body["model_path"]).eval()
            return 200, {"success": True, "message": "Succeeded to update model weights."}
        if path == "/v1/load_lora_adapter" and self.protocol == "vllm":
            from peft import PeftModel

            base = self.load(self.folder)
            self.models[body["lora_name"]] = (
                base if self.stale else PeftModel.from_pretrained(base, body["lora_path"])
            ).eval()
            return 200, "Success"
        if path == "/v1/unload_lora_adapter" and self.protocol == "vllm":
            return (200, "Success") if self.models.pop(body["lora_name"], None) else (404, "no such adapter")
        if path == "/generate" and self.protocol == "sglang":
            how = body["sampling_params"]
            ids, logps, reason = self.sample(
                "", body["input_ids"], how["max_new_tokens"], how["temperature"], how["sampling_seed"],
                how["stop_token_ids"],
            )  # fmt: skip
            return 200, self.lie({
                "output_ids": ids,
                "meta_info": {
                    "prompt_tokens": len(body["input_ids"]), "finish_reason": {"type": reason},
                    "output_token_logprobs": [[logp, token, None] for logp, token in zip(logps, ids, strict=True)],
                },
            })  # fmt: skip
        if path == "/v1/completions" and self.protocol == "vllm":
            assert body["return_token_ids"] is True
            ids, logps, reason = self.sample(
                body["model"], body["prompt"], body["max_tokens"], body["temperature"], body["seed"],
                body["stop_token_ids"],
            )  # fmt: skip
            choice = {"token_ids": ids, "prompt_token_ids": body["prompt"], "finish_reason": reason,
                      "logprobs": {"token_logprobs": logps}}  # fmt: skip
            return 200, self.lie({"choices": [choice]})
        return 404, {"path": path}

    @torch.no_grad()
    def sample(self, name, prompt, limit, temperature, seed, stops):
        generator, ids, logps = torch.Generator().manual_seed(seed), [], []
        while len(ids) < limit and ids[-1:] != stops:
            logits = self.models[name](input_ids=torch.tensor([[*prompt, *ids]])).logits[0, -1]
            logs = (logits / (temperature or 1e-6)).log_softmax(-1)
            ids.append(int(torch.multinomial(logs.exp(), 1, generator=generator)))
            logps.append(float(logs[ids[-1]]))
        return ids, logps, "stop" if ids[-1:] == stops else "length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("plain"))


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(server_module, "JsonClient", functools.partial(JsonClient, pause=0.01, retries=2))


@pytest.fixture(params=["sglang", "vllm"])
def served(request, folder):
    made = FakeServer(folder, request.param)
    yield made
    made.close()


def settings(served, tmp_path):
    return {
        "server": served.url, "server_protocol": served.protocol, "server_folder": str(tmp_path / "weights"),
        "lora_rank": 2 if served.protocol == "vllm" else 0, "context": 1500, "max_command_tokens": 4,
        "temperature": 3.0, "actions": "write", "tasks": 2, "group_size": 4, "learning_rate": 1e-2,
        "methods": ("tis", "entropy:weight=0.1"), "skip_dead": False,
    }  # fmt: skip


def learner(served, tmp_path, **others):
    return agent(served.folder, **{**settings(served, tmp_path), **others})


@pytest.mark.parametrize("rank", [0, 2])
def test_the_servers_tokens_and_weights_are_the_policys_own(served, tmp_path, rank):
    if served.protocol == "vllm" and not rank:
        pytest.skip("vLLM takes adapters alone")
    trained, seen = learner(served, tmp_path, lora_rank=rank), []
    update = trained.learner.update

    def look(batch, *others):
        weights = torch.cat([p.detach().flatten() for p in trained.policy.parameters() if p.requires_grad]).clone()
        seen.append((batch.rows(torch.arange(len(batch))), weights))
        return update(batch, *others)

    trained.learner.update = look
    trained.learn(33)  # three iterations
    assert len(seen) == 3
    assert (seen[2][1] - seen[0][1]).abs().max() > 1e-3  # it learns, and the server gets what it has learned
    for batch, _ in seen:
        there = batch.at >= 0
        close(batch.rollout_logp[there], batch.old_logp[there], 1e-3)
        assert batch.old_logp[there].std() > 0.1
        assert (batch.old_entropy[there] > 0).all()
    assert len(list((tmp_path / "weights").iterdir())) == 1  # older ones are deleted
    assert len(served.models) == 1 + (served.protocol == "vllm")
    paths = {path for path, _ in served.asked}
    assert paths == (
        {"/generate", "/update_weights_from_disk"} if served.protocol == "sglang"
        else {"/v1/completions", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"}
    )  # fmt: skip


def test_tis_corrects_for_older_weights(served, tmp_path):
    if served.protocol == "vllm":
        pytest.skip("the correction does not know where the tokens came from")
    trained, weights = learner(served, tmp_path, server_gap=5.0), []
    surrogate = TIS.surrogate
    tis = trained.learner.methods["tis"]
    tis.surrogate = lambda terms: weights.append(tis.weights(terms)[terms.mask]) or surrogate(tis, terms)
    trained.learn(8)
    close(weights[0], torch.ones_like(weights[0]), 1e-3)
    served.stale = True
    trained.learn(17, reset_num_timesteps=False)
    last = weights[-1]
    assert (last - 1).abs().max() > 0.01
    assert last.max() <= 2


def test_a_server_with_other_weights_is_found_out(served, tmp_path):
    trained = learner(served, tmp_path, server_gap=0.01, learning_rate=0.1)
    served.stale = True
    with pytest.raises(EndpointError, match=r"nats.*server_gap.*newest weights"):
        trained.learn(100)


def change(answer, protocol, ids=None, logps=None, reason=None, prompt=None):
    """An answer of either server with some of it changed."""
    if protocol == "sglang":
        about = answer["meta_info"]
        pairs = about["output_token_logprobs"]
        new_ids = [pair[1] for pair in pairs] if ids is None else ids([pair[1] for pair in pairs])
        new_logps = [pair[0] for pair in pairs] if logps is None else logps([pair[0] for pair in pairs])
        about["output_token_logprobs"] = [[b, a, None] for a, b in zip(new_ids, new_logps, strict=False)]
        answer["output_ids"] = new_ids
        about["finish_reason"]["type"] = reason or about["finish_reason"]["type"]
        about["prompt_tokens"] += 1 if prompt else 0
    else:
        choice = answer["choices"][0]
        choice["token_ids"] = choice["token_ids"] if ids is None else ids(choice["token_ids"])
        told = choice["logprobs"]["token_logprobs"]
        choice["logprobs"]["token_logprobs"] = told if logps is None else logps(told)
        choice["finish_reason"] = reason or choice["finish_reason"]
        choice["prompt_token_ids"] = choice["prompt_token_ids"] + [1] if prompt else choice["prompt_token_ids"]
    return answer


LIES = {
    "does not have": {"ids": lambda ids: [10**6, *ids[1:]]},
    "log-probabilities that are none": {"logps": lambda logps: [0.5, *logps[1:]]},
    "log-probabilities that are  none": {"logps": lambda logps: [None, *logps[1:]]},
    "differ|log-prob": {"logps": lambda logps: logps[:-1]},
    "reason 'abort'": {"reason": "abort"},
    "neither ends": {"ids": lambda ids: [5, *ids[1:-1], 6], "reason": "stop"},
    "other tokens|it read": {"prompt": True},
}


def test_lies_are_one_clear_error(served, tmp_path):
    trained = learner(served, tmp_path)
    server = trained.server
    server.update("0")
    prompt = trained.policy.observed("You see a mug.", None, True)
    assert server.complete(prompt, 4, 1.0, 7) == server.complete(prompt, 4, 1.0, 7)
    for says, lie in LIES.items():
        served.lie = lambda answer, lie=lie: change(answer, served.protocol, **lie)
        with pytest.raises(EndpointError, match=says.replace("  ", " ")) as refused:
            server.complete(prompt, 4, 1.0, 7)
        assert "in 3 tries" in str(refused.value)
        assert len(str(refused.value)) < 700
    for answer in ([], {}, {"choices": []}, {"meta_info": {}}, "no"):
        served.lie = lambda _, answer=answer: answer
        with pytest.raises(EndpointError, match="not a completion"):
            server.complete(prompt, 4, 1.0, 7)
    served.lie = lambda answer: answer
    served.protocol = "another"
    for act in (lambda: server.complete(prompt, 4, 1.0, 7), lambda: server.update("1")):
        with pytest.raises(EndpointError, match="404"):
            act()


@pytest.mark.slow
def test_a_run_outlives_its_server(folder, tmp_path):
    """A server dies in the third iteration; the run says so, and resumed it ends as if nothing had been."""

    def config(served, weights):
        own = settings(served, tmp_path) | {"server_folder": str(tmp_path / weights)}
        return RunConfig(
            "grpo", "agentgym/Household-v0", {"size": "tiny", "max_turns": 2}, steps=64, seed=3, threads=1,
            device="cpu", checkpoint_every=16, config={**own, "policy": folder},
        )  # fmt: skip

    served = FakeServer(folder, "sglang")
    port = served.server.server_port
    whole = train(config(served, "whole-weights"), "whole", tmp_path, progress=False)
    served.lives = 2 * 17 + 10
    with pytest.raises(EndpointError, match=r"503.*resumed"):
        train(config(served, "whole-weights"), "half", tmp_path, progress=False)
    served.close()
    assert 0 < Checkpoints(tmp_path / "half/checkpoints").steps()[-1] < 64
    files = {path: path.read_bytes() for path in (tmp_path / "half/checkpoints").rglob("*") if path.is_file()}
    with pytest.raises(EndpointError, match="no connection"):  # still dead: the run stays as it is
        resume(tmp_path / "half", progress=False)
    assert files == {path: path.read_bytes() for path in (tmp_path / "half/checkpoints").rglob("*") if path.is_file()}
    served = FakeServer(folder, "sglang", port)
    try:
        resume(tmp_path / "half", progress=False)
    finally:
        served.close()
    for name in ("final/tensors.safetensors", "metrics.csv"):
        assert (tmp_path / "half" / name).read_bytes() == (whole.path / name).read_bytes()
    assert "server/gap_mean" in (whole.path / "metrics.csv").read_text().splitlines()[0]


def test_what_cannot_be_is_refused(folder, tmp_path):
    with pytest.raises(InvalidParameter, match='actions="write"'):
        agent(folder, actions="choose", server="http://127.0.0.1:1", server_folder=str(tmp_path))
    with pytest.raises(InvalidParameter, match="server_folder"):
        agent(folder, server="http://127.0.0.1:1")
    with pytest.raises(InvalidParameter, match="http"):
        agent(folder, server="127.0.0.1:1", server_folder=str(tmp_path))
    with pytest.raises(InvalidParameter, match="lora_rank"):
        agent(folder, server="http://127.0.0.1:1", server_protocol="vllm", server_folder=str(tmp_path))
    with pytest.raises(InvalidParameter, match=r"server.*pretrained"):
        small(server="http://127.0.0.1:1", actions="write")
    dead = agent(folder, server="http://127.0.0.1:1", server_folder=str(tmp_path / "weights"))
    with pytest.raises(EndpointError, match="no connection"):
        dead.learn(8)
    session = dead.server.session(1)
    with pytest.raises(InvalidParameter, match='actions="write"'):
        session.choose([0], [[[1]]], Sampler(None))
    assert Path(tmp_path / "weights").is_dir()
    shutil.rmtree(tmp_path / "weights")
    assert isinstance(dead.predict("You see a mug.")[0], str)
