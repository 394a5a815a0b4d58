"""The one list of what can be asked for by name: environments, agents, suites, perturbations and so on.

The list holds strings; nothing is imported before it is asked for. Another package adds to it through the
entry-point group ``agentgym``: each entry point names a callable that returns an iterable of :class:`Entry`. A script
adds to it by :func:`add`.
"""

import importlib
import inspect
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any, Literal

import gymnasium

from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["Entry", "Kind", "add", "card", "entries", "find", "load", "register_environments", "resolve"]

Kind = Literal["env", "agent", "suite", "perturbation", "attack", "method", "recipe"]


@dataclass(frozen=True)
class Entry:
    """One thing that a user can name.

    Attributes:
        kind: which list it stands in.
        id: the name by which it is asked for.
        target: ``module:attribute`` of the class or function behind it.
        summary: one line for ``agentgym list``.
        card: the module whose folder holds its card, README.md; without one the docstring is the card.
        vector_target: environments only, ``module:attribute`` of the natively batched form.
        parallel_target: environments only, ``module:attribute`` of the PettingZoo form.
        kwargs: environments and recipes only, what the id passes to its class.
        max_episode_steps: environments only, the time limit in steps.
    """

    kind: Kind
    id: str
    target: str
    summary: str
    card: str = ""
    vector_target: str | None = None
    parallel_target: str | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    max_episode_steps: int | None = None


def _robust(task: str, parameters: str) -> Entry:
    return Entry(
        "env",
        f"agentgym/Robust{task}-v0",
        f"agentgym.envs.robust.env:Robust{task}Env",
        f"Gymnasium's {task}-v5 with uncertain {parameters}",
        "agentgym.envs.robust",
        vector_target=f"agentgym.envs.robust.vector:Robust{task}VectorEnv",
        max_episode_steps=1000,
    )


def _text(name: str, summary: str) -> Entry:
    return Entry(
        "env",
        f"agentgym/{name}-v0",
        f"agentgym.envs.text.env:{name}Env",
        summary,
        "agentgym.envs.text",
        vector_target=f"agentgym.envs.text.vector:{name}VectorEnv",
    )


def _agent(name: str, target: str, summary: str) -> Entry:
    folder = target.partition(":")[0].rpartition(".")[0]
    return Entry("agent", name, f"agentgym.agents.{target}", summary, f"agentgym.agents.{folder}")


def _language(name: str, target: str, summary: str) -> Entry:
    target = f"agentgym.agents.language.methods.agents:{target}"
    return Entry("agent", name, target, f"language agent: {summary}", "agentgym.agents.language")


def _suite(name: str, target: str, summary: str) -> Entry:
    return Entry("suite", name, f"agentgym.evaluation.suites.{target}", summary, "agentgym.evaluation.suites")


def _perturbation(target: str, summary: str) -> Entry:
    """Perturbations go by the name of their class."""
    name = target.partition(":")[2]
    return Entry("perturbation", name, f"agentgym.envs.perturb.{target}", summary, "agentgym.envs.perturb")


def _attack(name: str, target: str, summary: str) -> Entry:
    return Entry("attack", name, f"agentgym.evaluation.attacks.{target}", summary, "agentgym.evaluation.attacks")


def _method(name: str, target: str, summary: str) -> Entry:
    return Entry("method", name, f"agentgym.agents.language.methods.{target}", summary, "agentgym.agents.language")


def _recipe(name: str, target: str, summary: str, **kwargs: str) -> Entry:
    return Entry("recipe", name, f"agentgym.recipes.{target}", summary, "agentgym.data", kwargs=kwargs)


def _control(task: str, env: str) -> list[Entry]:
    kinds = {
        "random": "uniformly random actions",
        "medium": "SAC a third of the way to its end",
        "medium-replay": "the replay buffer of SAC until then",
        "expert": "SAC at its end",
        "medium-expert": "half of each",
    }
    return [
        _recipe(f"{task}-{quality}", "control:Control", f"{env}, {what}", task=task, quality=quality)
        for quality, what in kinds.items()
    ]


OURS: tuple[Entry, ...] = (
    _robust("Ant", "torso and front-leg masses"),
    _robust("HalfCheetah", "friction, torso and back-thigh masses"),
    _robust("Hopper", "friction, torso and thigh masses"),
    _robust("HumanoidStandup", "torso, right-foot and left-thigh masses"),
    _robust("InvertedPendulum", "pole and cart masses"),
    _robust("Walker2d", "friction, torso and thigh masses"),
    Entry(
        "env",
        "agentgym/Convection-v0",
        "agentgym.envs.convection.env:ConvectionEnv",
        "Rayleigh-Benard convection: reduce the heat that the flow carries",
        "agentgym.envs.convection",
        vector_target="agentgym.envs.convection.vector:ConvectionVectorEnv",
        parallel_target="agentgym.envs.convection.parallel:ConvectionParallelEnv",
    ),
    Entry(
        "env",
        "agentgym/BernoulliBandit-v0",
        "agentgym.envs.bandit.env:BernoulliBanditEnv",
        "two arms that pay 1 with probability 1 - p and p",
        "agentgym.envs.bandit",
    ),
    _text("Household", "errands in generated homes, by text, with the shortest way known"),
    _text("Archive", "questions answered with search, articles and sums, by text (extra: text)"),
    _text("TextWorld", "TextWorld's generated games and challenges (extra: text)"),
    _text("ScienceWorld", "ScienceWorld's experiments (extra: scienceworld, and Java)"),
    _agent("sac", "sac.sac:SAC", "Soft Actor-Critic, fast on CPU"),
    _agent("mdpo", "mdpo.off_policy:MDPO", "Mirror Descent Policy Optimization, off-policy, continuous actions"),
    _agent("mdpo-onpolicy", "mdpo.on_policy:OnPolicyMDPO", "Mirror Descent Policy Optimization, on-policy"),
    _agent("ppo", "baselines.ppo:PPO", "Proximal Policy Optimization, Stable-Baselines3's"),
    _agent("trpo", "baselines.trpo:TRPO", "Trust Region Policy Optimization, sb3-contrib's (extra: contrib)"),
    _agent("shared-ppo", "marl.ppo:SharedPPO", "PPO, one policy for all agents of a joint environment"),
    _agent("shared-mdpo", "marl.mdpo:SharedMDPO", "on-policy MDPO, one policy for all agents of a joint environment"),
    _agent("bc", "offline.bc.bc:BC", "offline: behaviour cloning"),
    _agent("percent-bc", "offline.bc.bc:PercentBC", "offline: cloning of the episodes with the greatest returns"),
    _agent("iql", "offline.iql.iql:IQL", "offline: Implicit Q-Learning"),
    _agent("odice", "offline.odice.odice:ODICE", "offline: ODICE, state values with orthogonal gradients"),
    _agent("rcbc", "offline.rcbc.rcbc:RCBC", "offline: cloning given the return, counted in tables"),
    _agent("doc-tabular", "offline.doc.tabular:TabularDoC", "offline: Dichotomy of Control with tables, one decision"),
    _agent("td3bc", "offline.td3bc.td3bc:TD3BC", "offline: TD3 held to the logged actions"),
    _agent("prdc", "offline.prdc.prdc:PRDC", "offline: TD3 held to the nearest logged state and action"),
    _agent("dt", "offline.dt.dt:DecisionTransformer", "offline: Decision Transformer, actions given a return to go"),
    _agent("doc", "offline.doc.doc:DoC", "offline: Dichotomy of Control, sequence form; also future-VAE"),
    _language("grpo", "GRPO", "group-relative policy optimisation"),
    _language("dr-grpo", "DrGRPO", "GRPO without its two biases"),
    _language("rloo", "RLOO", "leave-one-out baselines"),
    _language("gigpo", "GiGPO", "groups of episodes and of turns in equal states"),
    _language("spear", "SPEAR", "GRPO with self-imitation that fades in"),
    _language("epo", "EPO", "GRPO with a band around earlier entropies"),
    _suite("parameter-grid", "parameter_grid:ParameterGrid", "every cell of a grid over the uncertainty set"),
    _suite("perturbations", "perturbations:Perturbations", "observation, action, reward and dynamics, at intensities"),
    _suite("stochasticity", "stochasticity:StochasticitySuite", "how random actions, moves and rewards are"),
    _suite("attacks", "attacks:Attacks", "observations moved by an adversary"),
    _suite("convection", "convection:Convection", "other fluids, sensors, heaters, starts and boxes of convection"),
    _suite("text", "text:TextSuite", "other words, commands, tools, instructions, lengths and worlds of texts"),
    _suite("transfer", "transfer:Transfer", "train x test matrix over agents"),
    _perturbation("observation:ObservationNoise", "Gaussian noise on observations"),
    _perturbation("observation:ObservationBias", "a constant offset of observations"),
    _perturbation("observation:ObservationDropout", "entries of the observation are lost"),
    _perturbation("observation:ObservationFreeze", "a sensor repeats its last reading for some steps"),
    _perturbation("observation:ObservationDelay", "observations arrive late"),
    _perturbation("observation:ObservationQuantization", "a coarse sensor rounds its readings"),
    _perturbation("action:ActionNoise", "Gaussian noise on actions"),
    _perturbation("action:TimeCorrelatedActionNoise", "noise on actions that rises and falls over time"),
    _perturbation("action:ActionDelay", "actions are executed late"),
    _perturbation("action:StickyAction", "the last action is executed again"),
    _perturbation("action:ActionGainDrift", "an actuator whose gain drifts"),
    _perturbation("action:ActionMixture", "actions mixed with those of another policy"),
    _perturbation("reward:RewardNoise", "Gaussian noise on rewards"),
    _perturbation("reward:RewardDelay", "rewards arrive late"),
    _perturbation("reward:RewardSignFlip", "rewards with the wrong sign"),
    _perturbation("dynamics:Gravity", "MuJoCo: scaled gravity"),
    _perturbation("dynamics:BodyMass", "MuJoCo: scaled masses"),
    _perturbation("dynamics:JointDamping", "MuJoCo: scaled damping of joints"),
    _perturbation("dynamics:ContactFriction", "MuJoCo: scaled sliding friction"),
    _perturbation("dynamics:ActuatorGain", "MuJoCo: scaled strength of actuators"),
    _perturbation("text.words:Paraphrase", "texts: sentences in other words with the same meaning"),
    _perturbation("text.words:Typos", "texts: typing mistakes"),
    _perturbation("text.commands:RenamedVerbs", "texts: commands with other verbs"),
    _perturbation("text.commands:PermutedCommands", "texts: admissible commands in another order"),
    _perturbation("text.tools:ToolFailure", "texts: a command fails and says so"),
    _perturbation("text.tools:ToolTimeout", "texts: a command gets no answer for some turns"),
    _perturbation("text.injection:InjectedInstruction", "texts: an instruction to do what does not help"),
    _attack("random", "attack:RandomAttack", "uniform noise in the ball around the observation"),
    _attack("maximal_action_difference", "gradient:MaximalActionDifference", "the policy moves as far as it can"),
    _attack("critic", "gradient:CriticAttack", "the action that the critic values least"),
    _method("spear", "spear:Spear", "self-imitation of good episodes that fades in (SPEAR)"),
    _method("epo", "epo:EPO", "a band around earlier entropies (EPO)"),
    _method("entropy", "entropy:EntropyBonus", "entropy bonus"),
    _method("kl", "reference:KLToReference", "KL penalty to the initial policy"),
    _method("llds", "llds:LLDS", "keeps the likelihood of good responses (LLDS)"),
    _method("empg", "modulators:EMPG", "advantages scaled by entropy (EMPG)"),
    _method("aem", "modulators:AEM", "advantages scaled by entropy within the group (AEM)"),
    _method("simpletir", "filters:SimpleTIR", "drops episodes with a turn that holds no command (SimpleTIR)"),
    _method("dr-bot", "filters:DrBoT", "the filters of Dr.BoT, SPEAR's baseline"),
    _method("invalid", "filters:InvalidPenalty", "a penalty on commands that cannot be carried out"),
    _method("clip-cov", "covariance:ClipCov", "drops the loss of decisions with large covariance (Clip-Cov)"),
    _method("kl-cov", "covariance:KLCov", "KL penalty on the decisions with the largest covariance (KL-Cov)"),
    _recipe("bernoulli-bandit", "bandit:BernoulliBandit", "pulls by who prefers the arm that pays less"),
    _recipe("frozenlake", "frozenlake:FrozenLake", "walks over ice of any slipperiness, mixed with random steps"),
    *_control("pendulum", "Pendulum-v1"),
    *_control("inverted-pendulum", "InvertedPendulum-v5"),
    *_control("hopper", "Hopper-v5"),
    *_control("halfcheetah", "HalfCheetah-v5"),
)


@cache
def _all() -> dict[tuple[Kind, str], Entry]:
    listed = list(OURS)
    for point in entry_points(group="agentgym"):
        listed.extend(point.load()())
    return {(entry.kind, entry.id): entry for entry in listed}


def add(*new: Entry) -> None:
    """Add to the list, in this process only; a package of its own uses the entry-point group ``agentgym`` instead.

    Raises:
        InvalidParameter: something else has that name.
    """
    for entry in new:
        if _all().setdefault((entry.kind, entry.id), entry) != entry:
            raise InvalidParameter(f"There is another {_what(entry.kind)} {entry.id!r}: choose another id.")
    register_environments()


def entries(kind: Kind) -> list[Entry]:
    """Everything of one kind, in the order it is listed."""
    return [entry for entry in _all().values() if entry.kind == kind]


def find(kind: Kind, name: str) -> Entry:
    """The entry of that name.

    Raises:
        UnknownId: there is none; the message gives the nearest names.
    """
    try:
        return _all()[kind, name]
    except KeyError:
        known = [entry.id for entry in entries(kind)]
        raise UnknownId(_what(kind), name, known, f"See: agentgym list {kind}s") from None


def _what(kind: Kind) -> str:
    return {"env": "environment", "attack": "observation attack"}.get(kind, kind)


def load(entry: Entry) -> Any:
    """Import what an entry names."""
    return resolve(entry.target)


def resolve(target: str) -> Any:
    """Import ``module:attribute``."""
    module, attribute = target.split(":")
    return getattr(importlib.import_module(module), attribute)


def card(entry: Entry) -> str:
    """The text of the entry's README.md, or where it has none its docstring."""
    if not entry.card:
        return inspect.getdoc(load(entry)) or entry.summary
    return files(entry.card).joinpath("README.md").read_text(encoding="utf-8")


def register_environments() -> None:
    """Put our environments into Gymnasium's registry, by name only."""
    for entry in entries("env"):
        if entry.id not in gymnasium.registry:
            gymnasium.register(
                entry.id,
                entry_point=entry.target,
                vector_entry_point=entry.vector_target,
                kwargs=entry.kwargs,
                max_episode_steps=entry.max_episode_steps,
            )
