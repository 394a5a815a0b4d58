"""Faults of one agent that need the team's networks: gradient attacks, the worst of K actions, wrong weights.

:class:`FaultyTeam` plays in place of the team. Who, since when, for how long and how much is drawn from the seeds of
the episodes and stands in its ``truth``. A clean twin of an episode is the team itself with the same seed. Faults that
do not need networks are perturbations: ``AgentObservationFault`` and ``AgentActionFault``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.func import functional_call, vmap

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import stream

__all__ = ["KINDS", "FaultyTeam", "Truth", "draw_truth"]

KINDS = ("fgsm", "pgd", "worst", "weights")
FOREVER = 2**31


@dataclass(frozen=True, eq=False)
class Truth:
    """The faults of B episodes.

    Attributes:
        victim: index of the agent, int64 [B].
        onset: the first step with the fault, int64 [B].
        duration: steps, int64 [B].
        size: the budget, float64 [B].
    """

    victim: np.ndarray
    onset: np.ndarray
    duration: np.ndarray
    size: np.ndarray

    def now(self, step: int) -> np.ndarray:
        """In which episodes the fault is there at a step, bool [B]."""
        return (self.onset <= step) & (step < self.onset + self.duration)


def draw_truth(
    seeds: Sequence[int], agents: int, size: float, earliest: int = 5, latest: int = 15, duration: int | None = None,
    victim: int | None = None,
) -> Truth:  # fmt: skip
    """Victims and onsets, uniform and fixed by the seeds of the episodes.

    Args:
        seeds: of the B episodes.
        agents: how many there are.
        size: the budget.
        earliest, latest: the onset is one of these steps, both included.
        duration: steps; None until the end.
        victim: the agent's index; None draws one for each episode.

    Raises:
        InvalidParameter: a value is out of range.
    """
    whole_number("earliest", earliest, 0)
    whole_number("latest", latest, earliest)
    if victim is not None:
        whole_number("victim", victim, 0, agents - 1)
    count, finite = len(seeds), finite_number("size", size, 0.0)
    lasts = FOREVER if duration is None else whole_number("duration", duration, 1)
    drawn = [stream(seed, "team fault") for seed in seeds]
    onset = np.array([each.integers(earliest, latest + 1) for each in drawn], np.int64)
    victims = np.array([each.integers(agents) for each in drawn], np.int64)
    if victim is not None:
        victims[:] = victim
    return Truth(victims, onset, np.full(count, lasts, np.int64), np.full(count, finite))


class FaultyTeam:
    """A team, one of whose agents has a fault, as a player of B episodes side by side that start together.

    Kinds, with m the size: "fgsm" moves what the victim sees by m sign(grad J), J = -log pi(its own choice | o); "pgd"
    starts at random in that box and takes 10 steps of m / 4; "worst" lets the victim do what the team's critic values
    least, of ``candidates`` uniform actions or of all its choices; "weights" multiplies each weight of the victim's
    network by 1 + m N(0, 1), drawn for each episode.

    Args:
        agent: a team with choices (``policy.network``, windows [B, A, F] to logits; for "worst" also ``critic``).
        kind: see above.
        truth: the faults, :func:`draw_truth`.
        seeds: of the episodes, for what is random in the fault itself.
        columns: gradient attacks touch only the first so many entries of a window; None for all.
        candidates: of "worst", with Box actions.

    Attributes:
        seen: the windows that the team received in the last step, float32 [B, A, F].

    Raises:
        UnknownId: there is no such kind.
        InvalidParameter: the agent lacks what the kind needs, or truth and seeds differ in number.
    """

    STEPS = 10

    def __init__(
        self, agent: Any, kind: Literal["fgsm", "pgd", "worst", "weights"], truth: Truth, seeds: Sequence[int],
        columns: int | None = None, candidates: int = 16,
    ) -> None:  # fmt: skip
        if kind not in KINDS:
            raise UnknownId("fault of a team's networks", str(kind), KINDS)
        if not hasattr(getattr(agent, "policy", None), "network") or not hasattr(agent, "layout"):
            raise InvalidParameter(f"{type(agent).__name__} is no team with networks (maddpg, hatrpo, hatrpo-q).")
        if kind == "worst" and not hasattr(agent, "critic"):
            raise InvalidParameter(f"The fault 'worst' needs a critic of actions, which {agent.catalog_name} lacks.")
        if kind != "worst" and not agent.layout.discrete:
            raise InvalidParameter(f"The fault {kind!r} needs a team with choices, not {agent.action_space}.")
        if len(truth.victim) != len(seeds):
            raise InvalidParameter(f"There are {len(truth.victim)} faults for {len(seeds)} seeds.")
        self.agent, self.kind, self.truth, self.columns = agent, kind, truth, columns
        self.candidates = whole_number("candidates", candidates, 1)
        self.observation_space: spaces.Space[Any] = agent.observation_space
        self.action_space: spaces.Space[Any] = agent.action_space
        self._generators = [stream(seed, "team fault", kind) for seed in seeds]
        self._weights = self._wrong_weights() if kind == "weights" else {}
        self.step = 0
        self.seen = np.zeros((0, *agent.layout.windows.shape), np.float32)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[np.ndarray, Any]:
        """Joint actions [B, ...] for joint observations [B, ...]; deterministic. The first call is step 0.

        Raises:
            InvalidParameter: there are other episodes than faults.
        """
        if len(observation) != len(self.truth.victim):
            raise InvalidParameter(f"There are {len(self.truth.victim)} faults for {len(observation)} episodes.")
        now, victim = self.truth.now(self.step), self.truth.victim
        self.step += 1
        rows = np.arange(len(victim))
        windows = self.agent.policy.windows(torch.as_tensor(np.asarray(observation, np.float32)))
        seen = windows.clone()
        if self.kind in ("fgsm", "pgd"):
            attacked = self._attacked(windows)
            seen[rows[now], victim[now]] = attacked[rows[now], victim[now]]
        self.seen = seen.numpy()
        with torch.no_grad():
            chosen = self.agent._choose(seen, True)
            if self.kind == "weights":
                wrong = self._scores_of_wrong(seen)
                choice = torch.nn.functional.one_hot(wrong.argmax(-1), wrong.shape[-1]).to(chosen)
                chosen[rows[now], victim[now]] = choice[rows[now], victim[now]]
            if self.kind == "worst":
                chosen = self._worst(windows, chosen, now)
        joint: np.ndarray = self.agent.layout.to_environment(chosen)
        return joint, state

    def _attacked(self, windows: Tensor) -> Tensor:
        """What each agent would see as the victim, [B, A, F], within size of the truth."""
        network, size = self.agent.policy.network, torch.as_tensor(self.truth.size, dtype=windows.dtype)[:, None, None]
        live = torch.ones(windows.shape[-1], dtype=windows.dtype)
        live[self.columns :] = 0 if self.columns is not None else 1
        with torch.no_grad():
            own = network(windows).argmax(-1, keepdim=True)

        def uphill(seen: Tensor) -> Tensor:
            seen = seen.detach().requires_grad_()
            cost = -torch.log_softmax(network(seen), -1).gather(-1, own).sum()
            (slope,) = torch.autograd.grad(cost, seen)
            return slope.sign() * live

        if self.kind == "fgsm":
            return windows + size * uphill(windows)
        start = np.stack([each.uniform(-1, 1, windows.shape[1:]) for each in self._generators])
        seen = windows + size * torch.as_tensor(start, dtype=windows.dtype) * live
        for _ in range(self.STEPS):
            seen = torch.maximum(torch.minimum(seen + size / 4 * uphill(seen), windows + size), windows - size)
        return seen

    def _worst(self, windows: Tensor, chosen: Tensor, now: np.ndarray) -> Tensor:
        """The joint actions with the victims' least valued ones."""
        layout, victim, rows = self.agent.layout, self.truth.victim, np.arange(len(chosen))
        if layout.discrete:
            options = torch.eye(layout.width).expand(len(chosen), -1, -1)
        else:
            drawn = np.stack([each.uniform(-1, 1, (self.candidates, layout.width)) for each in self._generators])
            options = torch.as_tensor(drawn, dtype=chosen.dtype)
        alive = torch.ones(windows.shape[:2], dtype=torch.bool)
        values = []
        for option in options.unbind(1):
            asked = chosen.clone()
            asked[rows, victim] = option.to(chosen)
            values.append(self.agent.policy.q(windows, asked, alive).mean(1))
        scores = torch.stack(values, 1)
        if layout.impossible is not None:
            scores = scores.masked_fill(layout.impossible[victim], torch.inf)
        worst = scores.argmin(1)
        found = chosen.clone()
        found[rows[now], victim[now]] = options[rows, worst][now].to(chosen)
        return found

    def _wrong_weights(self) -> dict[str, Tensor]:
        """Every weight of the network times 1 + size N(0, 1), [B, ...]."""
        wrong = {}
        for name, weight in self.agent.policy.network.named_parameters():
            noise = np.stack([each.standard_normal(weight.shape) for each in self._generators])
            size = torch.as_tensor(self.truth.size, dtype=weight.dtype).reshape(-1, *[1] * weight.dim())
            wrong[name] = weight.detach() * (1 + size * torch.as_tensor(noise, dtype=weight.dtype))
        return wrong

    def _scores_of_wrong(self, windows: Tensor) -> Tensor:
        network = self.agent.policy.network

        def one(weights: dict[str, Tensor], seen: Tensor) -> Tensor:
            scores: Tensor = functional_call(network, weights, (seen[None],))[0]
            return scores

        found: Tensor = vmap(one)(self._weights, windows)
        return found
