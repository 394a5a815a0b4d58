"""Networks of teams: actors and critics of all agents at once, shared by them or one for each.

Arrays have the axes [B, A, ...]. Agents that are not alive have zeros as observations and actions; the learner puts
them there, so a network never sees what stands in their slots.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from agentgym.agents.common.activations import ACTIVATIONS, Activation
from agentgym.agents.marl.teams.layout import TeamLayout

__all__ = [
    "Actor",
    "Critic",
    "JointCritic",
    "OwnActors",
    "SetActor",
    "SetCritic",
    "Stack",
    "TeamValue",
    "only",
    "others_of",
]


class Stack(nn.Module):
    """n multilayer perceptrons of equal shape: one for each agent, or (n = 1) one for all. [B, A, in] -> [B, A, out].

    Args:
        count: n.
        sizes: units of every layer, the inputs' and outputs' included.
        activation: between layers.
        last_gain: factor of the last layer's initial weights.
    """

    def __init__(self, count: int, sizes: Sequence[int], activation: Activation, last_gain: float = 1.0) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            bound = 1.0 / math.sqrt(max(fan_in, 1))  # as torch.nn.Linear draws them
            gain = last_gain if number == len(sizes) - 2 else 1.0
            self.weights.append(nn.Parameter(torch.empty(count, fan_in, fan_out).uniform_(-bound, bound) * gain))
            self.biases.append(nn.Parameter(torch.empty(count, 1, fan_out).uniform_(-bound, bound) * gain))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map [B, A, in] to [B, A, out]."""
        weights, biases = list(self.weights), list(self.biases)
        if len(weights[0]) == 1:
            hidden = inputs.flatten(0, -2)  # one product for all agents
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                hidden = self.activation(torch.addmm(bias.view(-1), hidden, weight.squeeze(0)))
            hidden = torch.addmm(biases[-1].view(-1), hidden, weights[-1].squeeze(0))
            return hidden.view(*inputs.shape[:-1], hidden.shape[-1])
        hidden = inputs.transpose(0, 1)
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            hidden = self.activation(torch.baddbmm(bias, hidden, weight))
        return torch.baddbmm(biases[-1], hidden, weights[-1]).transpose(0, 1)


class Actor(nn.Module):
    """Logits [B, A, C] of each agent's choices, or actions [B, A, a] before their bounds, from its window [B, A, F].

    Args:
        layout: windows and actions.
        count: networks: A, or 1 shared by all.
        layers: units of hidden layers.
        activation: between them.
        last_gain: of the last layer, so that the untrained policy is near uniform.
        agent: the only one that it acts for; None for all.
    """

    def __init__(
        self, layout: TeamLayout, count: int, layers: Sequence[int], activation: Activation, last_gain: float = 0.1,
        agent: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        width, impossible = int(layout.windows.shape[1]), layout.impossible
        self.stack = Stack(count, (width, *layers, layout.width), activation, last_gain)
        self.impossible: Tensor | None
        if impossible is not None and agent is not None:
            impossible = impossible[agent : agent + 1]
        self.register_buffer("impossible", impossible, persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Logits or unbounded actions."""
        found = self.stack(windows)
        return found if self.impossible is None else found.masked_fill(self.impossible, -1e9)

    def of_any(self, windows: Tensor) -> Tensor:
        """The same for windows [B, F] of agents that share this network, or of the one that owns it."""
        found = self.stack(windows)
        return found if self.impossible is None else found.masked_fill(self.impossible[0], -1e9)


class OwnActors(nn.Module):
    """An actor for each agent; arguments as for :class:`Actor`."""

    def __init__(self, layout: TeamLayout, layers: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.actors = nn.ModuleList(Actor(layout, 1, layers, activation, agent=k) for k in range(layout.agents))

    def of(self, agent: int) -> Any:
        """The actor of one agent."""
        return self.actors[agent]

    def forward(self, windows: Tensor) -> Tensor:
        """Logits or unbounded actions [B, A, ...] from windows [B, A, F]."""
        return torch.stack([self.of(k).of_any(windows[:, k]) for k in range(len(self.actors))], dim=1)


class SetActor(nn.Module):
    """One actor for all agents that does not depend on the order of things and other agents.

    A thing is described by its offset and by how near the other agents are to it; the agent's choice depends on a
    smooth maximum over things and a sum over other agents. Needs ``agent_sets``.
    """

    def __init__(self, layout: TeamLayout, units: int, activation: Activation, last_gain: float = 0.1) -> None:
        super().__init__()
        assert layout.sets is not None
        own, things, others = (torch.as_tensor(layout.sets[name]) for name in ("own", "things", "others"))
        self.register_buffer("own", own, persistent=False)
        self.register_buffer("things", things, persistent=False)
        self.register_buffer("others", others, persistent=False)
        size, offset = len(own), int(things.shape[-1])
        few = max(units // 3, 1)  # of the most frequent part: A - 1 times as many rows as the others
        self.near = Stack(1, (offset, few, few), activation)
        self.thing = Stack(1, (offset + size + few, units, units), activation)
        self.other = Stack(1, (offset + size, units, units), activation)
        self.head = Stack(1, (size + 2 * units, units, layout.width), activation, last_gain)
        self.impossible = None

    def forward(self, windows: Tensor) -> Tensor:
        """Logits or unbounded actions [B, A, ...] from windows [B, A, F]."""
        buffers: Any = self
        own, things, others = (windows[..., columns] for columns in (buffers.own, buffers.things, buffers.others))
        _batch, agents, count, _ = things.shape
        state = own.unsqueeze(2)
        apart = things.unsqueeze(3) - others.unsqueeze(
            2
        )  # a thing's offset from every other agent, [B, A, L, A - 1, d]
        near = torch.logsumexp(self.near(apart.flatten(1, 3)).unflatten(1, apart.shape[1:4]), dim=3)
        each = torch.cat([things, state.expand(-1, -1, count, -1), near], dim=-1)
        of_things = torch.logsumexp(self.thing(each.flatten(1, 2)).unflatten(1, (agents, count)), dim=2)
        pairs = torch.cat([others, state.expand(-1, -1, others.shape[2], -1)], dim=-1)
        of_others = self.other(pairs.flatten(1, 2)).unflatten(1, (agents, others.shape[2])).sum(2)
        return self.head(torch.cat([own, of_things, of_others], dim=-1))


def others_of(agents: int) -> Tensor:
    """The other agents of each, int64 [A, A - 1]."""
    return torch.tensor([[j for j in range(agents) if j != i] for i in range(agents)], dtype=torch.int64).view(
        agents, -1
    )


class Critic(nn.Module):
    """Q_i(x, a_1, ..., a_A) of every agent i, from all windows and actions; its own come first.

    Args:
        layout: windows and actions.
        count: networks: A, or 1 shared by all.
        layers: units of hidden layers.
        activation: between them; a smooth one has curvature in its inputs.
    """

    def __init__(self, layout: TeamLayout, count: int, layers: Sequence[int], activation: Activation) -> None:
        super().__init__()
        agents, width = layout.windows.shape
        self.stack = Stack(count, (agents * (width + layout.width), *layers, 1), activation)
        others = others_of(agents)
        self.register_buffer("others", others.flatten(), persistent=False)
        rows = others + agents * torch.arange(agents).unsqueeze(1)
        self.register_buffer("others_in_rows", rows.flatten(), persistent=False)  # of A x A joint actions

    def forward(self, windows: Tensor, actions: Tensor, alive: Tensor) -> Tensor:
        """Q [B, A].

        Args:
            windows: [B, A, F].
            actions: [B, A, a]; or [B, A, A, a], where row i holds the joint action that Q_i is asked about.
            alive: bool [B, A].
        """
        buffers: Any = self
        if actions.dim() == 4:
            own = actions.diagonal(dim1=1, dim2=2).transpose(1, 2)
            done = actions.flatten(1, 2).index_select(1, buffers.others_in_rows)
        else:
            own, done = actions, actions.index_select(1, buffers.others)
        batch, agents = windows.shape[:2]
        seen = windows.index_select(1, buffers.others)
        others = [part.view(batch, agents, (agents - 1) * part.shape[2]) for part in (seen, done)]  # also of 0 rows
        parts = [windows, own, *others]
        return self.stack(torch.cat(parts, dim=-1)).squeeze(-1)


class SetCritic(nn.Module):
    """Q_i as a sum over things and over the agent's pairs with others; it does not depend on their order.

    Q_i = sum_l rho(logsumexp_j phi(p_l - p_j, v_j, a_j)) + sum_{j != i} psi(p_j - p_i, v_i, v_j, a_i, a_j),

    where l are things, j agents that are alive, and v an agent's own state. Without ``agent_sets``, the window is the
    agent's state and there is one thing without an offset:
    Q_i = rho(logsumexp_j phi(o_j, a_j)) + sum psi(o_i, o_j, a_i, a_j).
    """

    def __init__(self, layout: TeamLayout, units: int, activation: Activation) -> None:
        super().__init__()
        agents, width = layout.windows.shape
        sets = dict(layout.sets or {"own": list(range(width)), "things": [], "others": [[]] * (agents - 1)})
        sets["things"] = sets["things"] or [[]]
        for name in ("own", "things", "others"):
            self.register_buffer(name, torch.as_tensor(sets[name], dtype=torch.int64), persistent=False)
        self.register_buffer("partners", others_of(agents), persistent=False)
        size, offset = len(sets["own"]), len(sets["things"][0])
        apart = len(sets["others"][0]) if agents > 1 else 0
        self.phi = Stack(1, (offset + size + layout.width, units, units), activation)
        self.rho = Stack(1, (units, units, 1), activation)
        self.psi = Stack(1, (apart + 2 * (size + layout.width), units, 1), activation)

    def forward(self, windows: Tensor, actions: Tensor, alive: Tensor) -> Tensor:
        """Q [B, A]; arguments as for :class:`Critic`."""
        if actions.dim() == 4:  # each critic is asked about its own joint action
            return torch.stack([self._values(windows, actions[:, i], alive)[:, i] for i in range(actions.shape[1])], 1)
        return self._values(windows, actions, alive)

    def _values(self, windows: Tensor, actions: Tensor, alive: Tensor) -> Tensor:
        buffers: Any = self
        things, offsets = windows[..., buffers.things], windows[..., buffers.others]  # [B, A, L, d], [B, A, A - 1, d]
        state = torch.cat([windows[..., buffers.own], actions], dim=-1)  # [B, A, s + a]
        count = things.shape[2]
        each = torch.cat([things, state.unsqueeze(2).expand(-1, -1, count, -1)], dim=-1)
        embedded = self.phi(each.flatten(1, 2)).unflatten(1, each.shape[1:3])  # [B, A, L, u]
        whole = bool(alive.all())  # the usual case, without copies of the largest tensors
        if not whole:
            embedded = embedded.masked_fill(~alive[:, :, None, None], -1e9)
        shared = self.rho(torch.logsumexp(embedded, dim=1)).sum((1, 2))  # [B]
        partners = buffers.partners
        if not partners.numel():
            return shared.unsqueeze(1)
        mine = state.unsqueeze(2).expand(-1, -1, partners.shape[1], -1)
        pairs = torch.cat([offsets, mine, state[:, partners]], dim=-1)
        met = self.psi(pairs.flatten(1, 2)).unflatten(1, pairs.shape[1:3]).squeeze(-1)  # [B, A, A - 1]
        if not whole:
            met = met.masked_fill(~(alive[:, partners] & alive.unsqueeze(2)), 0.0)
        return shared.unsqueeze(1) + met.sum(2)


class TeamValue(nn.Module):
    """V of all windows, in standard units of the returns: [B, A, F] -> [B]. Who is alive is an input too.

    Args:
        layout: windows.
        layers: units of hidden layers.
        activation: between them.
    """

    MEMORY = 0.9  # of the running moments of returns

    def __init__(self, layout: TeamLayout, layers: Sequence[int], activation: Activation) -> None:
        super().__init__()
        agents, width = layout.windows.shape
        self.stack = Stack(1, (agents * (width + 1), *layers, 1), activation)
        self.register_buffer(
            "moments", torch.zeros(3)
        )  # of returns: mean, mean square, and the weight of what was seen

    def forward(self, windows: Tensor, alive: Tensor) -> Tensor:
        """Values [B] of windows [B, A, F] with zeros where nobody is alive [B, A]; more axes in front are kept."""
        return self.stack(torch.cat([windows.flatten(-2), alive.to(windows.dtype)], dim=-1)).squeeze(-1)

    def learn_scale(self, returns: Tensor) -> None:
        """Follow mean and variance of the returns."""
        moments: Any = self.moments
        seen = torch.stack([returns.mean(), returns.square().mean(), torch.ones_like(returns.mean())])
        moments.lerp_(seen, 1 - self.MEMORY)

    def _scale(self) -> tuple[Tensor, Tensor]:
        moments: Any = self.moments
        weight = moments[2].clamp_min(1e-8)
        mean = moments[0] / weight
        return mean, (moments[1] / weight - mean.square()).clamp_min(1e-4).sqrt()

    def normalised(self, values: Tensor) -> Tensor:
        """Values in standard units."""
        mean, std = self._scale()
        return (values - mean) / std

    def denormalised(self, values: Tensor) -> Tensor:
        """Values in units of the return."""
        mean, std = self._scale()
        return values * std + mean


def only(mask: Tensor, values: Tensor) -> Tensor:
    """``values`` [..., A, *rest] where ``mask`` [..., A] holds; zeros elsewhere, whatever stands there, even NaN."""
    return torch.where(mask.reshape(*mask.shape, *(1,) * (values.dim() - mask.dim())), values, 0)


class JointCritic:
    """The mean of all agents' Q, of joint observations [N, ...] and joint actions [N, A * a], for attacks."""

    def __init__(self, layout: TeamLayout, critic: Any) -> None:
        self.layout, self.critic = layout, critic

    def __call__(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """One column of values [N, 1]."""
        windows = observations.flatten(1)[:, torch.as_tensor(self.layout.windows, device=observations.device)].float()
        alive = torch.ones(windows.shape[:2], dtype=torch.bool, device=windows.device)
        values: Tensor = self.critic(windows, actions.reshape(len(windows), self.layout.agents, -1), alive)
        return (values.mean(1, keepdim=True),)
