"""The catalog of everything that has a name: environments, agents, suites, perturbations and so on.

Entries hold import paths; modules are imported on first use. Other packages add entries through the entry-point group
``agentgym``: each entry point is a callable that returns an iterable of :class:`Entry`. Scripts use :func:`add`.
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

__all__ = [
    "OVERVIEWS", "Entry", "Kind", "add", "card", "entries", "find", "load", "register_environments", "resolve",
]  # fmt: skip

# Texts about many entries at once, made from what is registered: names for ``agentgym show``, and functions.
OVERVIEWS = {"language-methods": "agentgym.agents.language.methods.overview:overview"}

Kind = Literal["env", "agent", "solver", "suite", "perturbation", "attack", "method", "estimator", "recipe"]


@dataclass(frozen=True)
class Entry:
    """An entry of the catalog.

    Attributes:
        kind: kind of the entry.
        id: its name.
        target: ``module:attribute`` of its class or function.
        summary: one line for ``agentgym list``.
        card: the package whose folder holds the card, README.md; if empty, the docstring serves as the card.
        vector_target: environments only, ``module:attribute`` of the natively batched version.
        parallel_target: environments only, ``module:attribute`` of the PettingZoo version.
        kwargs: environments and recipes only, keyword arguments for the target.
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
        parallel_target=f"agentgym.envs.robust.parallel:Robust{task}ParallelEnv",
        max_episode_steps=1000,
    )


def _particles(name: str, target: str, summary: str) -> Entry:
    target = f"agentgym.envs.particles.{target}"
    return Entry(
        "env", f"agentgym/{name}-v0", f"{target}Env", summary, "agentgym.envs.particles",
        vector_target=f"{target}VectorEnv", parallel_target=f"{target}ParallelEnv",
    )  # fmt: skip


def _text(name: str, summary: str) -> Entry:
    return Entry(
        "env",
        f"agentgym/{name}-v0",
        f"agentgym.envs.text.env:{name}Env",
        summary,
        "agentgym.envs.text",
        vector_target=f"agentgym.envs.text.vector:{name}VectorEnv",
    )


def _code(tier: str, summary: str) -> Entry:
    return Entry(
        "env",
        f"agentgym/CodeRepair{tier.title()}-v0",
        "agentgym.envs.code.env:CodeRepairTableEnv",
        summary,
        "agentgym.envs.code",
        vector_target="agentgym.envs.code.vector:CodeRepairTableVectorEnv",
        kwargs={"tier": tier},
    )


def _tabular(name: str, model: str, summary: str) -> Entry:
    return Entry(
        "env",
        f"agentgym/{name}-v0",
        "agentgym.envs.tabular.env:TabularEnv",
        summary,
        "agentgym.envs.tabular",
        vector_target="agentgym.envs.tabular.vector:TabularVectorEnv",
        kwargs={"model": model},
        max_episode_steps=200,
    )


def _atari(name: str, summary: str, **kwargs: str) -> Entry:
    return Entry(
        "env",
        f"agentgym/{name}-v0",
        "agentgym.envs.atari.env:AtariEnv",
        f"Atari: {summary} (extra: atari)",
        "agentgym.envs.atari",
        vector_target="agentgym.envs.atari.vector:AtariVectorEnv",
        kwargs=kwargs,
    )


def _stori() -> list[Entry]:
    kinds = {
        "0": "labelled RAM, deterministic", "1": "random actions", "2.1": "random events", "2.2": "concept drift",
        "3.1": "plain pictures", "3.2": "hidden state",
    }  # fmt: skip
    variants = {"Breakout": "ABC", "Boxing": "ABC", "Gopher": "", "BankHeist": ""}
    return [
        _atari(f"Stori-{game}-{kind}{letter}", f"{game}, {what}", game=game, setting=f"{kind}{letter}")
        for game, letters in variants.items()
        for kind, what in kinds.items()
        for letter in (letters if kind == "3.2" and letters else ("",))
    ]


def _solver(name: str, target: str, summary: str) -> Entry:
    return Entry("solver", name, f"agentgym.agents.robust.{target}", summary, "agentgym.agents.robust")


def _agent(name: str, target: str, summary: str) -> Entry:
    folder = target.partition(":")[0].rpartition(".")[0]
    return Entry("agent", name, f"agentgym.agents.{target}", summary, f"agentgym.agents.{folder}")


def _language(name: str, target: str, summary: str) -> Entry:
    target = f"agentgym.agents.language.methods.{target}"
    return Entry("agent", name, target, f"language agent: {summary}", "agentgym.agents.language")


def _suite(name: str, target: str, summary: str) -> Entry:
    return Entry("suite", name, f"agentgym.evaluation.suites.{target}", summary, "agentgym.evaluation.suites")


def _perturbation(target: str, summary: str) -> Entry:
    """An entry for a perturbation, named after its class."""
    name = target.partition(":")[2]
    return Entry("perturbation", name, f"agentgym.envs.perturb.{target}", summary, "agentgym.envs.perturb")


def _attack(name: str, target: str, summary: str) -> Entry:
    return Entry("attack", name, f"agentgym.evaluation.attacks.{target}", summary, "agentgym.evaluation.attacks")


def _method(name: str, target: str, summary: str) -> Entry:
    return Entry("method", name, f"agentgym.agents.language.methods.{target}", summary, "agentgym.agents.language")


def _estimator(name: str, target: str, summary: str) -> Entry:
    return Entry("estimator", name, f"agentgym.agents.language.methods.{target}", summary, "agentgym.agents.language")


def _recipe(name: str, target: str, summary: str, **kwargs: str) -> Entry:
    return Entry("recipe", name, f"agentgym.recipes.{target}", summary, "agentgym.data", kwargs=kwargs)


def _control(task: str, env: str) -> list[Entry]:
    kinds = {
        "random": "uniformly random actions",
        "medium": "SAC a third of the way from random to expert",
        "medium-replay": "replay buffer of SAC up to the medium policy",
        "expert": "SAC after training",
        "medium-expert": "half medium, half expert",
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
        "Rayleigh-Benard convection: reduce convective heat transport",
        "agentgym.envs.convection",
        vector_target="agentgym.envs.convection.vector:ConvectionVectorEnv",
        parallel_target="agentgym.envs.convection.parallel:ConvectionParallelEnv",
    ),
    Entry(
        "env",
        "agentgym/Swarm-v0",
        "agentgym.envs.swarm.env:SwarmEnv",
        "a swarm that flows through a nozzle like a gas, scored against the exact flow",
        "agentgym.envs.swarm",
        vector_target="agentgym.envs.swarm.vector:SwarmVectorEnv",
        parallel_target="agentgym.envs.swarm.parallel:SwarmParallelEnv",
    ),
    _particles(
        "SimpleSpread", "spread:SimpleSpread", "N agents cover N landmarks: mpe2's simple_spread_v3, bit for bit"
    ),
    _particles("Skirmish", "skirmish:Skirmish", "a team fights another; agents fall before the end"),
    _particles("PlantedGame", "planted:PlantedGame", "a linear-quadratic game whose action values are known"),
    Entry(
        "env",
        "agentgym/MPE2-v0",
        "agentgym.envs.particles.original:MPE2Env",
        "mpe2's own scenarios with joint spaces (extra: particles)",
        "agentgym.envs.particles",
        parallel_target="agentgym.envs.particles.original:mpe2_parallel_env",
    ),
    Entry(
        "env",
        "agentgym/BernoulliBandit-v0",
        "agentgym.envs.bandit.env:BernoulliBanditEnv",
        "two-armed bandit with success probabilities 1 - p and p",
        "agentgym.envs.bandit",
    ),
    Entry(
        "env",
        "agentgym/Fishery-v0",
        "agentgym.envs.fisheries.env:FisheryEnv",
        "a fish stock and its yearly harvest: seven growth models, noise, uncertain growth",
        "agentgym.envs.fisheries",
        vector_target="agentgym.envs.fisheries.vector:FisheryVectorEnv",
        max_episode_steps=101,
    ),
    _tabular("RiverSwim", "river-swim", "6 states: a small reward at the bank or a large one upstream; known kernel"),
    _tabular("MachineReplacement", "machine-replacement", "8 levels of wear: operate or repair; known kernel"),
    _tabular("Garnet", "garnet", "random transitions and rewards, 20 states, 4 actions; known kernel"),
    _tabular("WindyWalk", "windy-walk", "three corridors with wind of uncertain strength; known kernel"),
    _tabular("Inventory", "inventory", "orders under uncertain demand; known kernel"),
    _tabular("TabularFrozenLake", "frozen-lake", "Gymnasium's FrozenLake with its kernel, uncertain slipperiness"),
    _text("Household", "text: household tasks in generated homes, with known optimal solutions"),
    _text("Archive", "text: question answering with search, articles and a calculator (extra: text)"),
    _text("TextWorld", "text: TextWorld's generated games and challenges (extra: text)"),
    _text("ScienceWorld", "text: ScienceWorld's science experiments (extra: scienceworld, and Java)"),
    _atari("Atari", "any game of ale-py with any effects of STORI"),
    *_stori(),
    Entry(
        "env",
        "agentgym/TurnControl-v0",
        "agentgym.envs.code.turns:TurnControlEnv",
        "when to stop a coding agent: go on or submit, from features of its transcript",
        "agentgym.envs.code",
    ),
    Entry(
        "env",
        "agentgym/CodeRepair-v0",
        "agentgym.envs.code.env:CodeRepairEnv",
        "text: repair small programs by shell commands in a sandbox, graded by hidden tests",
        "agentgym.envs.code",
        vector_target="agentgym.envs.code.vector:CodeRepairVectorEnv",
    ),
    Entry(
        "env",
        "agentgym/CodeTasks-v0",
        "agentgym.envs.code.env:CodeTasksEnv",
        "text: tasks in the formats of SWE-bench and SWE-smith, from folders of repositories",
        "agentgym.envs.code",
        vector_target="agentgym.envs.code.vector:CodeTasksVectorEnv",
    ),
    _code("easy", "text: repair one fault of a program, from a table of test results; 330 words"),
    _code("medium", "text: the same with more edits on offer, of which sometimes none is right"),
    _code("hard", "text: the same with two faults"),
    _agent("sac", "sac.sac:SAC", "Soft Actor-Critic, fast on CPU"),
    _agent("mdpo", "mdpo.off_policy:MDPO", "Mirror Descent Policy Optimization, off-policy, continuous actions"),
    _agent("m2td3", "robust.adversarial.m2td3:M2TD3", "robust: max-min TD3 with candidates for the worst parameters"),
    _agent("soft-m2td3", "robust.adversarial.m2td3:SoftM2TD3", "robust: M2TD3 on the average over its candidates"),
    _agent("rarl", "robust.adversarial.rarl:RARL", "robust: an adversary chooses forces or parameters in every step"),
    _agent("tc-rmdp", "robust.adversarial.rarl:TimeConstrained", "robust: an adversary who moves by small steps"),
    _agent("iwocs", "robust.deep.iwocs:DeepIWOCS", "robust: SAC in a sequence of models, each the worst so far"),
    _agent("mdpo-onpolicy", "mdpo.on_policy:OnPolicyMDPO", "Mirror Descent Policy Optimization, on-policy"),
    _agent("ppo", "baselines.ppo:PPO", "Proximal Policy Optimization of Stable-Baselines3"),
    _agent("dqn", "baselines.dqn:DQN", "Deep Q-Network of Stable-Baselines3, discrete actions"),
    _agent("qrdqn", "baselines.qrdqn:QRDQN", "Quantile Regression DQN of sb3-contrib (extra: contrib)"),
    _agent("trpo", "baselines.trpo:TRPO", "Trust Region Policy Optimization of sb3-contrib (extra: contrib)"),
    _agent("shared-ppo", "marl.shared.ppo:SharedPPO", "PPO, one policy for all agents of a team"),
    _agent("shared-mdpo", "marl.shared.mdpo:SharedMDPO", "on-policy MDPO, one policy for all agents of a team"),
    _agent("shared-gradient", "marl.shared.gradient:SharedGradient", "a shared policy, by gradients through the world"),
    _agent(
        "maddpg",
        "marl.teams.maddpg:MADDPG",
        "actors of single agents, critics of the whole team",
    ),
    _agent("hatrpo", "marl.teams.hatrpo:HATRPO", "trust-region steps, one agent after another"),
    _agent(
        "hatrpo-q",
        "marl.teams.hatrpo_q:HATRPOQ",
        "variant of hatrpo with action values from replay",
    ),
    _agent("bc", "offline.bc.bc:BC", "offline: behaviour cloning"),
    _agent("percent-bc", "offline.bc.bc:PercentBC", "offline: behaviour cloning of the best episodes by return"),
    _agent("iql", "offline.iql.iql:IQL", "offline: Implicit Q-Learning"),
    _agent("odice", "offline.odice.odice:ODICE", "offline: ODICE, state values with orthogonal gradients"),
    _agent("rcbc", "offline.rcbc.rcbc:RCBC", "offline: return-conditioned behaviour cloning, tabular"),
    _agent("doc-tabular", "offline.doc.tabular:TabularDoC", "offline: Dichotomy of Control, tabular, one-step"),
    _agent("td3bc", "offline.td3bc.td3bc:TD3BC", "offline: TD3+BC, TD3 with a behaviour cloning term"),
    _agent("prdc", "offline.prdc.prdc:PRDC", "offline: PRDC, TD3 kept near the closest state-action pair"),
    _agent("dt", "offline.dt.dt:DecisionTransformer", "offline: Decision Transformer"),
    _agent("doc", "offline.doc.doc:DoC", "offline: Dichotomy of Control for sequences; also future-VAE"),
    _language("grpo", "grpo:GRPO", "group-relative policy optimisation"),
    _language("dr-grpo", "dr_grpo:DrGRPO", "GRPO without its two biases"),
    _language("rloo", "rloo:RLOO", "leave-one-out baselines"),
    _language("gigpo", "gigpo:GiGPO", "group-in-group advantages over episodes and over turns in equal states"),
    _language("spear", "spear:SPEAR", "GRPO with scheduled self-imitation"),
    _language("epo", "epo:EPO", "GRPO with entropy kept near its running average"),
    _language("oreo", "oreo:OREO", "offline, from recorded episodes: squared errors of the soft Bellman equation"),
    _solver("robust-value-iteration", "solvers:RobustValueIteration", "finite robust processes, with proved bounds"),
    _solver("robust-policy-iteration", "solvers:RobustPolicyIteration", "the same by policies, fewer inner problems"),
    _solver("iwocs", "iwocs:IWOCS", "a family of processes as a sequence of ordinary ones, with the remaining gap"),
    _solver("point-based-planner", "pomdp:PointBasedPlanner", "finite processes whose state is measured with error"),
    _suite("parameter-grid", "parameter_grid:ParameterGrid", "every cell of a grid over the uncertainty set"),
    _suite("robust-mdp", "robust_mdp:RobustMDP", "worst case over an uncertainty set by both grids, fixed adversaries"),
    _suite("perturbations", "perturbations:Perturbations", "perturbed observations, actions, rewards and dynamics"),
    _suite("stochasticity", "stochasticity:StochasticitySuite", "levels of noise in actions, transitions and rewards"),
    _suite("attacks", "attacks:Attacks", "adversarial attacks on observations"),
    _suite("convection", "convection:Convection", "convection with other fluids, sensors, heaters, starts and boxes"),
    _suite("stori", "stori:Stori", "types of stochasticity, for Atari and others: intensities, train x test"),
    _suite("swarm", "swarm:SwarmSuite", "swarms with worse sensors, vehicles, members, air and ducts"),
    _suite("text", "text:TextSuite", "text environments with other words, commands, tools, instructions and worlds"),
    _suite(
        "turn-control", "turn_control:TurnControlSuite", "limits, extensions and reminders of turns: solved and cost"
    ),
    _suite("transfer", "transfer:Transfer", "train x test matrix over agents"),
    _perturbation("observation:ObservationNoise", "Gaussian noise on observations"),
    _perturbation("observation:ObservationBias", "constant offset of observations"),
    _perturbation("observation:ObservationDropout", "missing entries of observations"),
    _perturbation("observation:ObservationHidden", "entries of observations that are hidden"),
    _perturbation("observation:ObservationFreeze", "sensors that repeat their last reading for some steps"),
    _perturbation("observation:ObservationDelay", "delayed observations"),
    _perturbation("observation:ObservationQuantization", "observations rounded to a coarse resolution"),
    _perturbation("action:ActionNoise", "Gaussian noise on actions"),
    _perturbation("action:TimeCorrelatedActionNoise", "time-correlated noise on actions"),
    _perturbation("action:ActionDelay", "delayed actions"),
    _perturbation("action:StickyAction", "actions that repeat with some probability"),
    _perturbation("action:ActionGainDrift", "actuators whose gain drifts"),
    _perturbation("action:ActionMixture", "actions mixed with those of another policy"),
    _perturbation("agents:AgentObservationFault", "one agent of a team receives wrong observations, from an onset on"),
    _perturbation("agents:AgentActionFault", "one agent of a team does not do what it commands, from an onset on"),
    _perturbation("reward:RewardNoise", "Gaussian noise on rewards"),
    _perturbation("reward:RewardDelay", "delayed rewards"),
    _perturbation("reward:RewardSignFlip", "rewards with the wrong sign"),
    _perturbation("dynamics:Gravity", "MuJoCo: scaled gravity"),
    _perturbation("dynamics:BodyMass", "MuJoCo: scaled masses"),
    _perturbation("dynamics:JointDamping", "MuJoCo: scaled joint damping"),
    _perturbation("dynamics:ContactFriction", "MuJoCo: scaled sliding friction"),
    _perturbation("dynamics:ActuatorGain", "MuJoCo: scaled actuator gains"),
    _perturbation("physics:StateKick", "MuJoCo and classic control: kicks of the velocities"),
    _perturbation("physics:ParameterDrift", "MuJoCo and classic control: a parameter that drifts within the episode"),
    _perturbation("text.words:Paraphrase", "text: paraphrased sentences"),
    _perturbation("text.words:Typos", "text: typos"),
    _perturbation("text.commands:RenamedVerbs", "text: commands with other verbs"),
    _perturbation("text.commands:PermutedCommands", "text: admissible commands in another order"),
    _perturbation("text.tools:ToolFailure", "text: commands that fail with a message"),
    _perturbation("text.tools:ToolTimeout", "text: commands that time out for some turns"),
    _perturbation("text.turns:TurnControl", "text: limits, extensions and reminders of turns"),
    _perturbation("text.reports:WrongReports", "code repair: tests, traces or counts that are reported wrongly"),
    _perturbation("text.injection:InjectedInstruction", "text: injected instructions that distract from the task"),
    _attack("random", "attack:RandomAttack", "uniform noise in the ball around the observation"),
    _attack("maximal_action_difference", "gradient:MaximalActionDifference", "largest change of the policy's action"),
    _attack("critic", "gradient:CriticAttack", "lowest value of the critic for the policy's action"),
    _attack("robust_sarsa", "sarsa:RobustSARSA", "the same by a smooth critic of the attack's own"),
    _method("spear", "spear:SPEARPlugin", "scheduled self-imitation of good episodes (SPEAR)"),
    _method("epo", "epo:EPOPlugin", "entropy kept near its running average (EPO)"),
    _method("entropy", "entropy_bonus:EntropyBonus", "entropy bonus"),
    _method("kl", "kl_to_reference:KLToReference", "KL penalty to the initial policy"),
    _method("llds", "llds:LLDS", "keeps the likelihood of good responses (LLDS)"),
    _method("empg", "empg:EMPG", "advantages scaled by entropy (EMPG)"),
    _method("aem", "aem:AEM", "advantages scaled by entropy within the group (AEM)"),
    _method("simpletir", "simpletir:SimpleTIR", "drops episodes that have a turn without a command (SimpleTIR)"),
    _method("dr-bot", "dr_bot:DrBoT", "the filters of Dr.BoT, SPEAR's baseline"),
    _method("invalid", "invalid_penalty:InvalidPenalty", "penalty on invalid commands"),
    _method("clip-cov", "clip_cov:ClipCov", "drops the loss of decisions with large covariance (Clip-Cov)"),
    _method("kl-cov", "kl_cov:KLCov", "KL penalty on the decisions with the largest covariance (KL-Cov)"),
    _method("rec", "rec:REC", "REINFORCE with masked ranges, detached weights and regularisers (REC, REP)"),
    _method("mini-rl", "mini_rl:MiniRL", "REINFORCE with truncated weights against the rollout's policy (MiniRL)"),
    _method("tis", "tis:TIS", "truncated importance sampling or rejection against the rollout's policy (TIS)"),
    _method("steer", "steer:STEER", "decisions weigh less, the more they change the entropy (STEER)"),
    _method("high-entropy", "high_entropy:HighEntropy", "a loss only where entropy is high (80/20)"),
    _method("red-weight", "red:REDWeight", "advantages weighted by their exponential (RED-Weight)"),
    _method("aepo", "aepo:AEPO", "entropy steered by episodes at another temperature (AEPO, arbitrary entropy)"),
    _method("dynamic-sampling", "dapo:DynamicSampling", "tasks until enough have success and failure (DAPO)"),
    _method("overlong", "dapo:Overlong", "a soft penalty on long episodes (DAPO)"),
    _method("laser", "laser:LASER", "a bonus for short successes (LASER, LASER-D, LASER-DE)"),
    _method("b-star", "b_star:BStar", "a score of exploration against exploitation, and temperatures by it (B-STaR)"),
    _method("control", "control:RewardControl", "random, inverted or constant rewards, as a control"),
    _method("pessimism", "pessimism:Pessimism", "pessimistic returns of noisy judges (WCO, UWO)"),
    _estimator("grpo", "grpo:GroupRelative", "return minus the group's mean, divided by its standard deviation"),
    _estimator("dr-grpo", "dr_grpo:GroupCentred", "return minus the group's mean"),
    _estimator("rloo", "rloo:LeaveOneOut", "return minus the mean of the group's other episodes"),
    _estimator("gigpo", "gigpo:TwoLevels", "grpo, plus the same over turns in equal states"),
    _estimator("gigpo-mean", "gigpo:TwoLevelsCentred", "gigpo without division by standard deviations"),
    _estimator("opmd", "opmd:OPMD", "return minus the group's mean or log-mean-exp (OPMD of Trinity-RFT)"),
    _estimator("asymre", "asymre:AsymRE", "return minus a baseline below the group's mean (AsymRE)"),
    _estimator("red-drop", "red:REDDrop", "random losers dropped, return minus the mean of the rest (RED-Drop)"),
    _estimator(
        "w-reinforce", "w_reinforce:WeightedReinforce", "weights of success and failure (PSR, NSR, W-REINFORCE)"
    ),
    _estimator("bnpo", "bnpo:BNPO", "success normalised by a Beta distribution of the groups' rates (BNPO)"),
    _estimator("copo", "copo:COPO", "grpo mixed with a comparison between tasks (COPO)"),
    _estimator("canon", "canon:CANON", "a group's halves by entropy or length, compared with each other (CANON)"),
    _estimator("pure", "pure:PURE", "credit by the worst process reward (PURE)"),
    _estimator("gae", "gae:GAE", "from a critic, over decisions, turns or both (PPO)"),
    _estimator("r3l", "r3l:R3L", "retries from where episodes went wrong (R3L)"),
    _estimator("oreo", "oreo:OREOLoss", "none: squared errors of the soft Bellman equation as the loss (OREO)"),
    _recipe("bernoulli-bandit", "bandit:BernoulliBandit", "a two-armed bandit whose worse arm is pulled more often"),
    _recipe("frozenlake", "frozenlake:FrozenLake", "FrozenLake with any slip, an expert mixed with random steps"),
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
    """Add entries in this process only. A package should use the entry-point group ``agentgym`` instead.

    Raises:
        InvalidParameter: a different entry has the same kind and id.
    """
    for entry in new:
        if _all().setdefault((entry.kind, entry.id), entry) != entry:
            raise InvalidParameter(f"There is another {_what(entry.kind)} {entry.id!r}: choose another id.")
    register_environments()


def entries(kind: Kind) -> list[Entry]:
    """All entries of one kind, in catalog order."""
    return [entry for entry in _all().values() if entry.kind == kind]


def find(kind: Kind, name: str) -> Entry:
    """The entry with the given kind and name.

    Raises:
        UnknownId: there is none; the message suggests the nearest names.
    """
    try:
        return _all()[kind, name]
    except KeyError:
        known = [entry.id for entry in entries(kind)]
        raise UnknownId(_what(kind), name, known, f"See: agentgym list {kind}s") from None


def _what(kind: Kind) -> str:
    names = {"env": "environment", "attack": "observation attack", "estimator": "advantage estimator"}
    return names.get(kind, kind)


def load(entry: Entry) -> Any:
    """Import the target of an entry."""
    return resolve(entry.target)


def resolve(target: str) -> Any:
    """Import ``module:attribute``."""
    module, attribute = target.split(":")
    return getattr(importlib.import_module(module), attribute)


def card(entry: Entry) -> str:
    """The text of the entry's README.md, or its docstring if it has none."""
    if not entry.card:
        return inspect.getdoc(load(entry)) or entry.summary
    return files(entry.card).joinpath("README.md").read_text(encoding="utf-8")


def register_environments() -> None:
    """Register the catalog's environments with Gymnasium without importing them."""
    for entry in entries("env"):
        if entry.id not in gymnasium.registry:
            gymnasium.register(
                entry.id,
                entry_point=entry.target,
                vector_entry_point=entry.vector_target,
                kwargs=entry.kwargs,
                max_episode_steps=entry.max_episode_steps,
            )
