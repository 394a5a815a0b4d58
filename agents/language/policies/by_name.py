"""Policies by name, made for an environment or read back from a saved agent."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from agentgym.agents.common.saving import load_agent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.policies.chat import Frame
from agentgym.agents.language.policies.policy import Policy
from agentgym.agents.language.policies.tiny import TinyPolicy
from agentgym.agents.language.policies.vocabulary import Vocabulary
from agentgym.errors import CorruptFile, InvalidParameter

if TYPE_CHECKING:
    from agentgym.agents.language.policies.pretrained import Options, PretrainedPolicy
    from agentgym.agents.language.policies.server import RolloutServer

__all__ = ["OTHER_BASE", "asked", "begin_like", "make_policy", "rollout_server", "saved_policy"]

OTHER_BASE = (
    "The adapters were trained on another model than the one that is there now (its SHA-256 differs): put back the "
    "model that they belong to."
)


def make_policy(settings: LanguageConfig, env: VectorEnv) -> Policy:
    """A policy with initial weights.

    Raises:
        InvalidParameter: a tiny policy, and the environment cannot list its words.
        MissingExtra: a pretrained one, and transformers or the model's package is not installed.
        FileNotFoundError: there is nothing at that path.
    """
    if settings.policy != "tiny":
        return _pretrained(settings, str(asked(env, "instructions") or ""))
    words: Sequence[str] | None = asked(env, "vocabulary")
    if words is None:
        raise InvalidParameter(
            "The environment cannot list its words (vocabulary), by which a tiny policy reads: take a pretrained one."
        )
    return _tiny(settings, tuple(words))


def asked(env: VectorEnv, name: str) -> Any:
    """What the worlds have by that name; None where they have nothing."""
    base = env.unwrapped
    try:
        if isinstance(base, SyncVectorEnv | AsyncVectorEnv):
            return base.get_attr(name)[0]
        return getattr(base, name)
    except AttributeError:
        return None


def _pretrained(settings: LanguageConfig, instructions: str) -> "PretrainedPolicy":
    from agentgym.agents.language.policies.pretrained import PretrainedPolicy

    if settings.policy == "smollm2":
        from agentgym.agents.language.policies.smollm2 import smollm2

        return smollm2(_options(settings), instructions)
    return PretrainedPolicy.read(settings.policy, _options(settings), instructions)


def _options(settings: LanguageConfig) -> "Options":
    from agentgym.agents.language.policies.pretrained import Options

    return Options(**{item.name: getattr(settings, item.name) for item in fields(Options)})


def saved_policy(settings: LanguageConfig, description: dict[str, Any]) -> Policy:
    """A policy whose weights are still to be put back.

    Args:
        settings: of the saved agent.
        description: what the policy's ``description()`` gave.

    Raises:
        CorruptFile: the description is damaged.
        FileNotFoundError, InvalidParameter: adapters were saved, and their model is not where it was, or is another.
    """
    try:
        if settings.policy == "tiny":
            return _tiny(settings, tuple(description["words"]))
        from agentgym.agents.language.policies.pretrained import PretrainedPolicy

        if settings.lora_rank:
            return _around(settings, description)
        return PretrainedPolicy.described(description, _options(settings))
    except InvalidParameter:  # which is a ValueError
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"the saved agent does not describe its policy ({error!r})") from error


def _around(settings: LanguageConfig, description: dict[str, Any]) -> "PretrainedPolicy":
    """The model that saved adapters belong to, read from where it was."""
    policy = _pretrained(settings, "")
    if policy.base != description["base"]:
        raise InvalidParameter(OTHER_BASE)
    policy.use_frame(Frame.of(description["frame"]))
    return policy


def begin_like(policy: Policy, folder: Path | str) -> None:
    """Give a policy the weights of a saved agent's, trained by whichever method.

    Raises:
        FileNotFoundError, CorruptFile: there is no agent in that folder, or it is damaged.
        InvalidParameter: its policy is another one.
    """
    donor = load_agent(folder, device="cpu").policy
    if not isinstance(donor, Policy) or donor.description() != policy.description():
        raise InvalidParameter(f"start={folder}: the agent there has another policy, or reads other words.")
    try:
        policy.load_state_dict(donor.state_dict())
    except RuntimeError as error:
        raise InvalidParameter(
            f"start={folder}: the policy there has another width, layers, heads or adapters."
        ) from error


def rollout_server(settings: LanguageConfig, policy: Policy) -> "RolloutServer":
    """The server that samples commands for a pretrained policy.

    Raises:
        InvalidParameter: its address is not valid, or it cannot take such weights.
        MissingExtra: httpx is not installed.
    """
    from agentgym.agents.language.policies.pretrained import PretrainedPolicy
    from agentgym.agents.language.policies.server import RolloutServer

    assert isinstance(policy, PretrainedPolicy)
    return RolloutServer(settings.server, settings.server_protocol, settings.server_folder, policy)


def _tiny(settings: LanguageConfig, words: tuple[str, ...]) -> TinyPolicy:
    return TinyPolicy(
        Vocabulary(words), settings.width, settings.layers, settings.heads, settings.context, settings.temperature
    )
