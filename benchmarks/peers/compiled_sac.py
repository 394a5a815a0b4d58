"""SAC as one compiled loop, in the manner of CleanRL and LeanRL: plain tensors, and a replay buffer on the device.

It has Stable-Baselines3's defaults (2 x 256 networks, batch 256, learned temperature) and its ``learn``, so that
benchmarks/sac.py can time it in turn with the others. ``torch.compile`` turns each update into one graph; on a GPU the
mode "reduce-overhead" replays it as a CUDA graph.
"""

import copy
import itertools
from typing import Any, Self

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

BATCH, GAMMA, TAU, RATE = 256, 0.99, 0.005, 3e-4


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class CompiledSAC:
    """A learner with ``learn(steps)``; actions are scaled to [-1, 1]."""

    def __init__(
        self, env_id: str, seed: int, learning_starts: int, buffer_size: int, device: str, compiled: bool = True
    ) -> None:
        torch.manual_seed(seed)
        self.env, self.device = gymnasium.make(env_id), torch.device(device)
        self.observation, _ = self.env.reset(seed=seed)
        self.env.action_space.seed(seed)
        seen, acted = len(self.observation), self.env.action_space.shape[0]  # type: ignore[index]
        self.span = torch.as_tensor(self.env.action_space.high, device=self.device)  # type: ignore[attr-defined]
        self.actor = _mlp(seen, 256, 256, 2 * acted).to(self.device)
        self.critics = nn.ModuleList(_mlp(seen + acted, 256, 256, 1) for _ in range(2)).to(self.device)
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = torch.zeros(1, device=self.device, requires_grad=True)
        graphed = {"capturable": self.device.type == "cuda"}
        self.optimizers = [
            torch.optim.Adam(parameters, RATE, **graphed)
            for parameters in (self.critics.parameters(), self.actor.parameters(), [self.log_alpha])
        ]
        widths = {"s": seen, "a": acted, "r": 1, "t": seen, "d": 1}
        self.buffer = {name: torch.zeros(buffer_size, width, device=self.device) for name, width in widths.items()}
        self.starts, self.size, self.stored, self.entropy = learning_starts, buffer_size, 0, -float(acted)
        mode = "reduce-overhead" if self.device.type == "cuda" else "default"
        self.update = torch.compile(self._update, mode=mode) if compiled else self._update

    def _act(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Sampled actions and their log-probabilities [B, 1]."""
        mean, log_std = self.actor(states).chunk(2, dim=-1)
        log_std = log_std.clamp(-20, 2)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        action = torch.tanh(raw)
        density = -0.5 * noise**2 - log_std - 0.9189385332046727
        squash = 2 * (0.6931471805599453 - raw - nn.functional.softplus(-2 * raw))
        return action, (density - squash).sum(-1, keepdim=True)

    def _update(self, s: Tensor, a: Tensor, r: Tensor, t: Tensor, d: Tensor) -> None:
        critic_step, actor_step, alpha_step = self.optimizers
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            following, density = self._act(t)
            value = torch.min(*(target(torch.cat([t, following], 1)) for target in self.targets))
            wanted = r + GAMMA * (1 - d) * (value - alpha * density)
        both = torch.cat([s, a], 1)
        critic_loss = sum(nn.functional.mse_loss(critic(both), wanted) for critic in self.critics) * 0.5
        critic_step.zero_grad()
        critic_loss.backward()  # type: ignore[union-attr]
        critic_step.step()
        action, density = self._act(s)
        value = torch.min(*(critic(torch.cat([s, action], 1)) for critic in self.critics))
        actor_step.zero_grad()
        (alpha * density - value).mean().backward()
        actor_step.step()
        alpha_step.zero_grad()
        (-self.log_alpha * (density.detach() + self.entropy).mean()).sum().backward()
        alpha_step.step()
        with torch.no_grad():
            for target, critic in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                target.lerp_(critic, TAU)

    def learn(self, steps: int, **_: Any) -> Self:
        """Act, step, store, sample and update, ``steps`` times."""
        for _ in range(steps):
            if self.stored < self.starts:
                chosen = self.env.action_space.sample()
            else:
                state = torch.as_tensor(self.observation, dtype=torch.float32, device=self.device)
                with torch.no_grad():
                    chosen = (self._act(state)[0] * self.span).cpu().numpy()
            observation, reward, terminated, truncated, _ = self.env.step(chosen)
            self._store(chosen, float(reward), observation, terminated)
            self.observation = self.env.reset()[0] if terminated or truncated else observation
            if self.stored > self.starts:
                rows = torch.randint(min(self.stored, self.size), (BATCH,), device=self.device)
                self.update(*(self.buffer[name][rows] for name in ("s", "a", "r", "t", "d")))
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self

    def _store(self, chosen: np.ndarray, reward: float, observation: np.ndarray, terminated: bool) -> None:
        row = self.stored % self.size
        values = {"s": self.observation, "r": [reward], "t": observation, "d": [float(terminated)]}
        for name, value in values.items():
            self.buffer[name][row] = torch.as_tensor(np.asarray(value, np.float32), device=self.device)
        self.buffer["a"][row] = torch.as_tensor(chosen, device=self.device) / self.span
        self.stored += 1
