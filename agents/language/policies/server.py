"""Rollouts from a server of language models, SGLang or vLLM: token ids in and out, and new weights by a folder.

The calls are those that the servers document:

- SGLang: ``/generate`` with ``input_ids`` and ``return_logprob``; ``/update_weights_from_disk`` with a folder.
- vLLM: ``/v1/completions`` with token ids as ``prompt``, ``return_token_ids`` and ``logprobs``; adapters
  (``lora_rank``) by ``/v1/load_lora_adapter`` and ``/v1/unload_lora_adapter``. Its calls for full weights need a group
  of processes with the server, which is not built here. Start it with ``--logprobs-mode processed_logprobs``:
  otherwise its log-probabilities ignore the temperature.
"""

import json
import math
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.http_client import EndpointError, JsonClient, shown
from agentgym.agents.language.policies.lora import merged, write_adapter
from agentgym.agents.language.policies.policy import Decision, Sampler, ServerProtocol, Session
from agentgym.agents.language.policies.pretrained import PretrainedPolicy
from agentgym.errors import InvalidParameter

__all__ = ["RolloutServer", "ServerSession"]

ADVICE = "Check that the server runs, serves this model, and sees the folder of the weights. The run can be resumed."


class Said(NamedTuple):
    """A completion: its tokens, their log-probabilities with which they were drawn, and whether it ended by itself."""

    ids: list[int]
    logps: list[float]
    stopped: bool


class RolloutServer:
    """A server that samples commands for the policy that is trained.

    Args:
        url: base address, without ``/v1``.
        protocol: which server it is.
        folder: where weights are written for the server, which must see the same path. Older ones are deleted.
        policy: what is trained.
        **client: arguments of :class:`JsonClient`.

    Raises:
        InvalidParameter: the address is not valid, or vLLM is to get full weights.
    """

    def __init__(
        self, url: str, protocol: ServerProtocol, folder: Path | str, policy: PretrainedPolicy, **client: Any
    ) -> None:
        if protocol == "vllm" and not policy.base:
            raise InvalidParameter(
                "vLLM takes new weights over HTTP as adapters only: set lora_rank, or use a server of SGLang."
            )
        self.client = JsonClient(url, **{"timeout": 600.0, **client})
        self.protocol, self.folder, self.policy = protocol, Path(folder).expanduser().absolute(), policy
        self.version = ""

    def update(self, version: str) -> None:
        """Give the server the policy's weights as they are.

        Args:
            version: a name for them, such as the iteration's number.

        Raises:
            EndpointError: the server did not take them.
            OSError: they cannot be written.
        """
        name, before = f"agentgym-weights-{version}", self.version
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        if self.protocol == "vllm":
            write_adapter(self.policy.model, path)
            self._tell("/v1/unload_lora_adapter", {"lora_name": name}, required=False)  # of a run before this one
            self._tell("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path)})
            if before and before != name:
                self._tell("/v1/unload_lora_adapter", {"lora_name": before})
        else:
            self.policy.model.save_pretrained(path, state_dict=merged(self.policy.model))
            self._tell("/update_weights_from_disk", {"model_path": str(path), "flush_cache": True})
        self.version = name
        if before and before != name:
            shutil.rmtree(self.folder / before)

    def _tell(self, path: str, body: dict[str, Any], required: bool = True) -> None:
        def read(answer: bytes) -> None:
            if self.protocol == "sglang" and json.loads(answer).get("success") is not True:
                raise ValueError(f"it says {shown(answer)}")

        try:
            self.client.post(path, body, read, "did not take the new weights", ADVICE)
        except EndpointError:
            if required:
                raise

    def complete(self, ids: Sequence[int], limit: int, temperature: float, seed: int) -> Said:
        """Sample the continuation of ``ids``, up to the policy's closing token or ``limit`` tokens.

        Raises:
            EndpointError: there was no answer, or one that cannot be: other tokens than there are, log-probabilities
                that are none, too many tokens, tokens after the end, or another prompt than was sent.
        """
        closing = self.policy.closing
        if self.protocol == "sglang":
            sampling = {
                "temperature": temperature, "max_new_tokens": limit, "stop_token_ids": [closing], "sampling_seed": seed,
                "skip_special_tokens": False, "no_stop_trim": True,
            }  # fmt: skip
            path = "/generate"
            body: dict[str, Any] = {"input_ids": list(ids), "sampling_params": sampling, "return_logprob": True}
        else:
            path = "/v1/completions"
            body = {
                "model": self.version, "prompt": list(ids), "max_tokens": limit, "temperature": temperature,
                "seed": seed, "stop_token_ids": [closing], "logprobs": 0, "return_token_ids": True,
                "skip_special_tokens": False,
            }  # fmt: skip

        def read(answer: bytes) -> Said:
            try:
                found = json.loads(answer)
                said = _sglang(found, len(ids)) if self.protocol == "sglang" else _vllm(found, list(ids))
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise ValueError(f"not a completion of {self.protocol} ({error!r}): {shown(answer)}") from None
            self._check(said, limit)
            return said

        return self.client.post(path, body, read, "gave no tokens", ADVICE)

    def _check(self, said: Said, limit: int) -> None:
        """Refuse what no server of this model can say.

        Raises:
            ValueError: says what is wrong.
        """
        words, closing = self.policy.model.config.vocab_size, self.policy.closing
        if not all(type(token) is int and 0 <= token < words for token in said.ids):
            raise ValueError(f"tokens that the model does not have: {said.ids[:8]}")
        if len(said.logps) != len(said.ids):
            raise ValueError(f"{len(said.ids)} tokens with {len(said.logps)} log-probabilities")
        if not all(isinstance(logp, int | float) and math.isfinite(logp) and logp <= 1e-3 for logp in said.logps):
            raise ValueError(f"log-probabilities that are none: {said.logps[:8]}")
        if not 1 <= len(said.ids) <= limit:
            raise ValueError(f"{len(said.ids)} tokens where 1 to {limit} were asked for")
        if closing in said.ids[:-1]:
            raise ValueError("tokens after the one that ends a command")
        if said.stopped != (said.ids[-1] == closing) or (not said.stopped and len(said.ids) < limit):
            raise ValueError("a command that neither ends with its closing token nor is as long as it may be")

    def compare(self, batch: Batch, limit: float) -> dict[str, float]:
        """By how much the log-probabilities of the server differ from the policy's own, for the log.

        Raises:
            EndpointError: by more than ``limit`` nats in the mean.
        """
        gaps = (batch.rollout_logp - batch.old_logp).abs()[batch.at >= 0]
        mean = float(gaps.mean())
        if mean > limit:
            raise EndpointError(
                f"The log-probabilities of {self.client.url} differ from the policy's own by {mean:.3g} nats in the "
                f"mean, more than server_gap ({limit:g}): it serves another model, did not take the newest weights, or "
                "computes them before the temperature. Nothing was learned from its episodes. The run can be resumed."
            )
        return {"server/gap_mean": mean, "server/gap_max": float(gaps.max())}

    def session(self, count: int) -> "ServerSession":
        """Start ``count`` episodes."""
        return ServerSession(self, count)


class ServerSession(Session):
    """Running episodes whose commands a server samples. What it has read of an episode is in the server's own cache.

    The decisions' ``logps`` and ``entropies`` are not known: they are to be computed by the policy itself before
    anything is learned. ``acted`` is what the server says.
    """

    def __init__(self, server: RolloutServer, count: int) -> None:
        self.server = server
        self.ids: list[list[int]] = [[] for _ in range(count)]

    def read(self, episode: int, ids: Sequence[int]) -> None:
        """Add tokens to an episode."""
        self.ids[episode] += ids

    def generate(self, episodes: Sequence[int], limit: int, sampler: Sampler) -> list[Decision]:
        """Sample commands, all at a time; each request has a seed of its own."""
        temperature = 0.0 if sampler.deterministic else self.server.policy.temperature * sampler.temperature
        seeds = torch.randint(2**31, (len(episodes),), generator=sampler.generator).tolist()

        def complete(job: tuple[int, int]) -> Said:
            return self.server.complete(self.ids[job[0]], limit, temperature, job[1])

        with ThreadPoolExecutor(self.server.client.parallel) as pool:
            found = list(pool.map(complete, zip(episodes, seeds, strict=True)))
        for episode, said in zip(episodes, found, strict=True):
            self.ids[episode] += said.ids
        return [Decision(said.ids, said.logps, [0.0] * len(said.ids), said.logps) for said in found]

    def choose(
        self, episodes: Sequence[int], options: Sequence[Sequence[Sequence[int]]], sampler: Sampler
    ) -> list[Decision]:
        """Not possible: scores of every command would be needed.

        Raises:
            InvalidParameter: always.
        """
        raise InvalidParameter('A server writes commands: set actions="write".')


def _sglang(found: Any, count: int) -> Said:
    about = found["meta_info"]
    if about["prompt_tokens"] != count:
        raise ValueError(f"it read {about['prompt_tokens']} tokens where {count} were sent")
    pairs = about["output_token_logprobs"]
    ids = [pair[1] for pair in pairs]
    if found["output_ids"] != ids:
        raise ValueError("its tokens and those of its log-probabilities differ")
    return Said(ids, [pair[0] for pair in pairs], _stopped(about["finish_reason"]["type"]))


def _vllm(found: Any, sent: list[int]) -> Said:
    choice = found["choices"][0]
    if choice.get("prompt_token_ids", sent) != sent:
        raise ValueError("it read other tokens than were sent")
    return Said(choice["token_ids"], choice["logprobs"]["token_logprobs"], _stopped(choice["finish_reason"]))


def _stopped(reason: Any) -> bool:
    if reason not in ("stop", "length"):
        raise ValueError(f"it ended for the reason {reason!r}")
    return bool(reason == "stop")
