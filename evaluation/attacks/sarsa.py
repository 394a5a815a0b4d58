"""Robust SARSA: an attack with a critic of its own, fitted to the agent's policy and kept smooth in the action."""

import copy
import itertools
from dataclasses import dataclass, field
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agentgym.errors import InvalidParameter
from agentgym.evaluation.attacks.gradient import GradientAttack, Objective
from agentgym.evaluation.attacks.surface import Surface, surface
from agentgym.make import make_env
from agentgym.seeding import episode_seed

__all__ = ["RobustSARSA"]

MOST_STEPS = 10_000  # of an episode in environments without a limit
_FITTED: "WeakKeyDictionary[Any, dict[Any, Critic]]" = WeakKeyDictionary()  # policies -> critics by settings


class Critic(nn.Module):
    """Q(s, a), an MLP on observations in units of their standard deviation.

    Args:
        observations: [T, ...], from which centre and scale are taken.
        actions: width of an action.
        layers: units of the hidden layers.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, observations: Tensor, actions: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        flat = observations.flatten(1)
        deviation = flat.std(0)
        self.register_buffer("centre", flat.mean(0))
        self.register_buffer("scale", torch.where(deviation > 0, deviation, 1.0))
        widths = [flat.shape[1] + actions, *layers]
        hidden = [part for pair in itertools.pairwise(widths) for part in (nn.Linear(*pair), nn.ReLU())]
        self.network = nn.Sequential(*hidden, nn.Linear(widths[-1], 1))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Values [N]."""
        seen = (observations.flatten(1).float() - self.centre) / self.scale
        values: Tensor = self.network(torch.cat([seen, actions.float()], 1))
        return values.squeeze(1)


@dataclass
class RobustSARSA(GradientAttack):
    """The observation whose action has the lowest value by a critic of the attacker's own (Zhang et al. 2020, RS).

    Before its first use on an agent, the attack plays the policy's mode in the environment and fits Q to it:
    Q(s, a) -> r + gamma Q(s', a'), with a penalty on how much Q changes within ``action_radius`` of the action. It
    needs no critic of the agent. Then it searches like the critic attack.

    Args:
        env, env_kwargs: the environment in which the policy is played.
        transitions: steps that are played.
        updates: gradient steps of the fit.
        gamma: discount per step.
        action_radius: half the width of the box around an action, in which a critic must be smooth; actions are in
            [-1, 1].
        penalty: weight of the penalty.
        layers: units of the critic's hidden layers.
        fit_seed: of episodes, batches and initial weights.
    """

    kind: ClassVar[str] = "robust_sarsa"
    centred_start: ClassVar[bool] = True

    env: str = ""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    transitions: int = 10_000
    updates: int = 3_000
    gamma: float = 0.99
    action_radius: float = 0.05
    penalty: float = 1.0
    layers: tuple[int, ...] = (64, 64)
    fit_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.transitions < 2 or self.updates < 1 or not self.layers or min(self.layers) < 1:
            raise InvalidParameter("transitions must be at least 2, updates, and every entry of layers, at least 1.")
        if not (0.0 <= self.gamma < 1.0 and self.action_radius >= 0.0 and self.penalty >= 0.0):
            raise InvalidParameter("gamma must be from 0 to below 1, action_radius and penalty at least 0.")

    def _objective(self, touched: Surface, true: Tensor) -> Objective:
        raise NotImplementedError  # needs the agent: see _search

    def _search(self, agent: Any, ball: Any, generators: Any) -> np.ndarray:
        critic = self.critic(agent)
        bound = copy.copy(self)
        bound._objective = lambda touched, true: lambda seen: -critic(true, touched.mode(seen))  # type: ignore[method-assign]
        return GradientAttack._search(bound, agent, ball, generators)

    def critic(self, agent: Any) -> Critic:
        """The critic of the agent's policy, fitted at the first call.

        Raises:
            InvalidParameter: no environment is given, or the policy has no torch actor.
        """
        if not self.env:
            raise InvalidParameter("robust_sarsa plays the policy to fit its critic: give env, an environment's id.")
        key = repr([(name, value) for name, value in sorted(vars(self).items()) if name not in OF_SEARCH])
        touched = surface(agent)
        fitted = _FITTED.setdefault(touched.policy, {})
        if key not in fitted:
            played = [torch.as_tensor(part, device=agent.device) for part in self._play(agent)]
            with torch.random.fork_rng():
                torch.manual_seed(self.fit_seed)
                fitted[key] = self._fit(touched, *played)
        return fitted[key]

    def _play(self, agent: Any) -> tuple[np.ndarray, ...]:
        """s, r, s' and whether s' is terminal, of the policy's mode."""
        env = make_env(self.env, self.env_kwargs)
        states, rewards, following, ends = [], [], [], []
        over, state, episode, steps = True, None, 0, 0
        for _ in range(self.transitions):
            if over:
                observation, _ = env.reset(seed=episode_seed(self.fit_seed, episode))
                state, episode, steps = None, episode + 1, 0
            begins = np.array([steps == 0])
            actions, state = agent.predict(observation[None], state, begins, deterministic=True)
            states.append(observation)
            observation, reward, terminated, truncated, _ = env.step(actions[0])
            steps += 1
            over = terminated or truncated or steps >= MOST_STEPS
            rewards.append(reward)
            following.append(observation)
            ends.append(terminated)
        env.close()
        as_seen = [np.asarray(part, np.float32) for part in (states, rewards, following, ends)]
        return tuple(as_seen)

    def _fit(self, touched: Surface, states: Tensor, rewards: Tensor, following: Tensor, ends: Tensor) -> Critic:
        with torch.no_grad():
            actions, next_actions = touched.mode(states), touched.mode(following)
        critic = Critic(states, actions.shape[1], self.layers).to(states.device)
        target = copy.deepcopy(critic)
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
        for _ in range(self.updates):
            rows = torch.randint(len(states), (256,), device=states.device)
            s, a = states[rows], actions[rows]
            with torch.no_grad():
                wanted = rewards[rows] + self.gamma * (1 - ends[rows]) * target(following[rows], next_actions[rows])
            values = critic(s, a)
            loss = F.mse_loss(values, wanted) + self.penalty * self._roughness(critic, s, a, values)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(target.parameters()), list(critic.parameters()), 0.05)
        return critic.requires_grad_(False)

    def _roughness(self, critic: Critic, states: Tensor, actions: Tensor, values: Tensor) -> Tensor:
        """The largest square change of Q towards either end of its slope within the box around the action."""
        touched = actions.clone().requires_grad_()
        (slope,) = torch.autograd.grad(critic(states, touched).sum(), touched)
        changes = [critic(states, actions + sign * self.action_radius * slope.sign()) - values for sign in (-1, 1)]
        return torch.maximum(changes[0].square(), changes[1].square()).mean()


OF_SEARCH = ("epsilon", "scale", "steps", "step_size", "restarts")
