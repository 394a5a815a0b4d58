"""Low-rank adapters (LoRA, Hu et al., arXiv 2106.09685) of Hugging Face models, by PEFT. Needs the extra ``lora``."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from agentgym.errors import InvalidParameter, MissingExtra

__all__ = ["ALL_LINEAR", "adapt", "digest", "merged", "without_adapters", "write_adapter"]

ALL_LINEAR = "all-linear"  # PEFT's name for every linear layer but the output embeddings
MARK = "lora_"  # in the name of every parameter of an adapter, and of no other


def adapt(model: Any, rank: int, alpha: float, targets: Sequence[str]) -> None:
    """Give linear layers adapters, W x + alpha / rank B A x, and freeze the rest. B starts at 0: nothing changes yet.

    From then on the model's ``state_dict`` holds the adapters alone, and ``load_state_dict`` asks for no more.

    Args:
        model: a transformers causal language model; it keeps its class.
        rank: rows of A.
        alpha: scale.
        targets: the layers' names, or the last parts of them, such as "q_proj"; or :data:`ALL_LINEAR` alone.

    Raises:
        MissingExtra: peft is not installed.
        InvalidParameter: the model has no linear layer of such a name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtra("peft", "lora") from None
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for target in () if list(targets) == [ALL_LINEAR] else targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            names = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise InvalidParameter(
                f"lora_targets has {target!r}, but the model has no linear layer of that name. It has: "
                f"{', '.join(names)}; {ALL_LINEAR!r} alone means all but the output embeddings."
            )
    # Dropout would make learning see other probabilities than acting had.
    settings: dict[str, Any] = {
        "r": rank, "lora_alpha": alpha, "lora_dropout": 0.0,
        "target_modules": ALL_LINEAR if list(targets) == [ALL_LINEAR] else list(targets),
    }  # fmt: skip
    config = LoraConfig(**settings)
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(MARK in name)
    model.register_state_dict_post_hook(_keep_adapters)
    model.register_load_state_dict_post_hook(_miss_adapters_only)


def _keep_adapters(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in [name for name in state if name.startswith(prefix) and MARK not in name]:
        del state[name]


def _miss_adapters_only(module: nn.Module, found: Any) -> None:
    frozen = tuple(name for name, _ in module.named_parameters(remove_duplicate=False) if MARK not in name)
    found.missing_keys[:] = [name for name in found.missing_keys if not name.endswith(frozen)]


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """Within it the model is what it was before :func:`adapt`, bit for bit."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for parameter, before in trained:
            parameter.requires_grad_(before)


def digest(model: nn.Module) -> str:
    """SHA-256 of a model's parameters with their names, by which adapters know their model again."""
    total = hashlib.sha256()
    for name, parameter in model.named_parameters():
        values = parameter.detach().cpu().contiguous()
        total.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        total.update(values.view(torch.uint8).numpy().data)
    return total.hexdigest()


def merged(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters by the names that they have without adapters, with the adapters added to them."""
    named = dict(model.named_parameters())
    if not any(MARK in name for name in named):
        return {name: parameter.detach() for name, parameter in named.items()}
    from peft.tuners.lora import Linear as LoraLayer

    with torch.no_grad():
        added = {
            f"{name}.base_layer.weight": module.get_delta_weight("default")
            for name, module in model.named_modules() if isinstance(module, LoraLayer)
        }  # fmt: skip
        return {
            name.replace(".base_layer.", "."): parameter.detach() + added[name] if name in added else parameter.detach()
            for name, parameter in named.items() if MARK not in name
        }  # fmt: skip


def write_adapter(model: Any, folder: Path) -> None:
    """Write a model's adapters as PEFT does: ``adapter_config.json`` and ``adapter_model.safetensors``."""
    folder.mkdir(parents=True)
    model.peft_config["default"].save_pretrained(folder)
    named = {
        f"base_model.model.{name.replace('.default.', '.')}": parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters() if MARK in name
    }  # fmt: skip
    save_file(named, folder / "adapter_model.safetensors", {"format": "pt"})
