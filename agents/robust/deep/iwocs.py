"""Deep IWOCS (Zouitine, Geist and Rachelson 2024, arXiv:2410.06212, section 5): the loop on SAC."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.type_aliases import RolloutReturn
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.inventory import Part, attributes
from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.common.replay import replay_rows
from agentgym.agents.robust.adversarial.nature import Nature, ranges_of
from agentgym.agents.robust.deep.arena import Arena, Scores
from agentgym.agents.robust.deep.buffer import PhaseReplayBuffer
from agentgym.agents.robust.deep.config import IWOCSConfig
from agentgym.agents.robust.deep.ensemble import Ensemble, Model
from agentgym.agents.robust.search import CMAES, Grid, Search, next_point
from agentgym.agents.sac.sac import SAC
from agentgym.contracts.agent import Traits
from agentgym.contracts.settings import number_of_steps
from agentgym.errors import InvalidParameter
from agentgym.runs.state import Inventory
from agentgym.seeding import episode_seed, stream

__all__ = ["DeepIWOCS"]

LOOP = (
    "_phase", "_phase_start", "_phase_end", "_searching", "_ended", "_points", "_radii", "_trace", "_memo", "_acting",
)  # fmt: skip
"""What the loop depends on. Phase -1 trains the fallback, phase i >= 0 model T_i; the search after it belongs to it."""


class _Pause(Exception):
    """The search needs the returns of these points, [M, K] positions, before it can go on."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        super().__init__()
        self.points = points


class DeepIWOCS(SAC):
    """Incremental worst-case search with SAC.

    First a fallback policy is trained with parameters drawn uniformly in each episode. Then, for i = 0, 1, ...: SAC
    is trained in the model T_i, with two more networks, a critic of the plain return and a predictor of the next state;
    the ensemble of all models so far acts by the valid model of least value; the uncertainty set is searched for the
    model T_{i+1} in which the ensemble gets least, once for every radius of the new predictor, and the radius with the
    best worst return is kept. It ends when the worst return is what was promised, when the worst model was solved
    before, or with the budget. The ensemble of the iteration with the best worst return is what acts in the end.

    Environment steps of the searches count like all others. Checkpoints hold the loop, so a run that was stopped goes
    on within the model, or within the search, that it was in.

    Args:
        policy, env, *arguments, **keywords: as for :class:`~agentgym.agents.sac.sac.SAC`, and the fields of
            :class:`~agentgym.agents.robust.deep.config.IWOCSConfig`. The environment must have parameters that can be
            changed within an episode, and an id: a batch of it is made for the search.
        ranges: the uncertainty set; read from the environment. Saved agents keep it.

    Attributes:
        ensemble: the models that were solved.
        trace: for each of them the parameters, the radius, what was promised, and the worst parameters with what they
            gave, discounted (``worst``) and not (``worst_return``).
        ending: why the loop ended: "met", "repeated", "iterations", or "" if the budget ended it.

    Raises:
        as SAC, and InvalidParameter: the environment has no parameters, or VecNormalize; the budget is too small for
            one model (in ``learn``).
    """

    Config = IWOCSConfig
    catalog_name: ClassVar[str] = "iwocs"
    traits: ClassVar[Traits] = Traits(suite="robust-mdp")

    fallback_share: float
    model_share: float
    uncertain: tuple[str, ...]
    first: tuple[float, ...]
    max_iterations: int
    tolerance: float
    on_repeat: Any
    warm_start: bool
    search: str
    search_points: int
    search_endpoint: bool
    generations: int
    population: int
    search_envs: int
    radii: tuple[float, ...]
    predictor_layers: tuple[int, ...]
    ranges: Any
    replay_buffer: PhaseReplayBuffer

    def _setup_model(self) -> None:
        found = self.ranges if self.env is None else ranges_of(self.catalog_name, self.env, self.uncertain)
        if found is None:
            raise InvalidParameter(f"{self.catalog_name} needs an environment, or the ranges of its parameters")
        if self._vec_normalize_env is not None:
            raise InvalidParameter("iwocs searches in environments of its own, without VecNormalize: leave it out.")
        self.nature = Nature(self.ranges or found)
        self.nature.require_same(found)
        self.ranges = {name: (float(low), float(high)) for name, (low, high) in found.items()}
        self._points: list[list[float]] = [self._first_point()]  # positions of T_0, T_1, ...
        if self.env is not None:
            self._how()  # says now if its package is missing
        self.replay_buffer_class = PhaseReplayBuffer
        super()._setup_model()
        layers = list(self.predictor_layers)
        self.ensemble = Ensemble(self.policy, layers, self.max_iterations).to(self.device)
        self.learner = Model(self.policy, layers).to(self.device)  # its values and predictor; its actor is not used
        self.target_values = Model(self.policy, layers).values.to(self.device)
        self._of_values, self._of_predictor = (
            list(each.parameters()) for each in (self.learner.values, self.learner.predictor)
        )
        rate = self.lr_schedule(1)
        self._values_optimizer, self._predictor_optimizer = (
            FusedAdam(each, lr=rate) for each in (self._of_values, self._of_predictor)
        )
        self.target_values.load_state_dict(self.learner.values.state_dict())
        self._phase, self._phase_start, self._phase_end = -1, 0, -1  # the end is set when the budget is known
        self._searching, self._ended = False, ""
        self._radii: list[float] = []  # of the models solved so far
        self._trace: list[dict[str, Any]] = []
        self._memo: list[list[dict[str, Any]]] = []  # what the present search has measured, for each radius
        self._acting = 0  # models that act
        self._arena: Arena | None = None

    def _first_point(self) -> list[float]:
        if not self.first:
            return [0.0] * len(self.nature)
        if len(self.first) != len(self.nature):
            raise InvalidParameter(f"first has {len(self.first)} values; the parameters are {self.nature.names}.")
        for (name, (low, high)), value in zip(self.ranges.items(), self.first, strict=True):
            if not low <= value <= high:
                raise InvalidParameter(f"first: {name} is {value:g}; it must be from {low:g} to {high:g}.")
        span = self.nature.high - self.nature.low
        return (2 * (np.array(self.first) - self.nature.low) / span - 1).tolist()

    @property
    def trace(self) -> list[Mapping[str, Any]]:
        """What each iteration found."""
        return list(self._trace)

    @property
    def ending(self) -> str:
        """Why the loop ended; empty if it did not, or if the budget was used up."""
        return self._ended

    # Acting

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Actions of the ensemble; as :meth:`agentgym.contracts.agent.Player.predict`, with a memory.

        Args:
            observation: an element of the environment's observation space, or a batch of them, ``[n, ...]``.
            state: the state from the last call: observations and actions, by which models are judged; None at first.
            episode_start: where an episode begins, bool ``[n]``; the memory is not used there.
            deterministic: take the modes of the policies.
        """
        if self._phase < 0:  # the fallback is being trained, and there is nothing else
            return super().predict(observation, state, episode_start, deterministic)
        seen, single = self.observations.read(observation)
        seen = seen.reshape(-1, *(self.observations.own.shape or ()))
        actions, following, _, _ = self._of_ensemble(self._acting, seen, state, episode_start, deterministic)
        scaled = self.policy.unscale_action(actions.reshape(-1, *(self.actions.own.shape or ())))
        played = self.actions.to_environment(scaled)
        return (played.squeeze(axis=0) if single else played), following

    def _of_ensemble(
        self,
        count: int,
        seen: np.ndarray,
        state: tuple[np.ndarray, ...] | None,
        episode_start: Any,
        deterministic: bool,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        """Actions in [-1, 1] of the first ``count`` models, the next state, the model of each, and its least value."""
        states = self.policy.features(torch.as_tensor(seen, device=self.device))
        begins = torch.ones(len(states), dtype=torch.bool, device=self.device)
        before = torch.zeros_like(states), torch.zeros(len(states), self.actor.mu.out_features, device=self.device)
        if state is not None:
            before = torch.as_tensor(state[0], device=self.device), torch.as_tensor(state[1], device=self.device)
            started = False if episode_start is None else np.asarray(episode_start, bool).reshape(-1)
            begins &= torch.as_tensor(started, device=self.device)
        actions, chosen, values = self.ensemble.act(
            count, self._radii, states, before, begins, deterministic
        )  # fmt: skip
        own = actions.cpu().numpy()
        return own, (states.cpu().numpy(), own), chosen.cpu().numpy(), values.cpu().numpy()

    # Learning

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int = 4,
        tb_log_name: str = "IWOCS",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Any:
        """As :meth:`agentgym.contracts.agent.Agent.learn`; it returns early where the loop has ended.

        A second call goes on with the loop.

        Raises:
            InvalidParameter: the steps are too few for the fallback and one model.
        """
        total = number_of_steps(total_timesteps)
        least = max(self.learning_starts, 1) + self.n_envs
        if self._phase_end < 0 and min(self.model_share, self.fallback_share or 1.0) * total < least:
            raise InvalidParameter(
                f"The budget of {total} steps is too small for one iteration: its shares for the fallback "
                f"({self.fallback_share:g}) and for a model ({self.model_share:g}) must each be more than the "
                f"{self.learning_starts} random steps. Give more steps, or a smaller learning_starts."
            )
        if reset_num_timesteps and self._phase_end >= 0:
            self._phase_start -= self.num_timesteps
            self._phase_end -= self.num_timesteps
        super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
        if self._phase >= 0 and self._is_phase_over():
            self._finish_phase()
        return self

    def _is_phase_over(self) -> bool:
        return not self._searching and not self._ended and self.num_timesteps >= self._phase_end

    def collect_rollouts(self, env: Any, callback: BaseCallback, *arguments: Any, **keywords: Any) -> RolloutReturn:
        """A rollout of the present model's training, or some episodes of the search."""
        if self._phase_end < 0:
            self._phase_end = int(self.fallback_share * self._total_timesteps)
        if self._is_phase_over():
            self._finish_phase()
        if self._ended:
            return RolloutReturn(0, 0, continue_training=False)
        if self._searching:
            return self._search_on(callback)
        return super().collect_rollouts(env, callback, *arguments, **keywords)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        starts = np.asarray(self._last_episode_starts, bool)
        if starts.any():
            assert self.env is not None
            positions = np.array([self._points[-1]] * n_envs) if self._phase >= 0 else self._drawn(n_envs)
            self.nature.set(self.env, positions, starts)
        warm = self.warm_start and self._phase > 0
        is_random = self.num_timesteps - self._phase_start < learning_starts and not warm
        return super()._sample_action(self.num_timesteps + 1 if is_random else 0, action_noise, n_envs)

    def _drawn(self, count: int) -> NDArray[Any]:
        positions: NDArray[Any] = (2 * torch.rand(count, len(self.nature)) - 1).numpy()
        return positions

    def _store_transition(self, *arguments: Any, **keywords: Any) -> None:
        super()._store_transition(*arguments, **keywords)
        self._last_episode_starts = arguments[4]  # dones

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """SAC's update, and those of the plain values and the predictor, once a model's random steps are over."""
        if self._searching or self.num_timesteps - self._phase_start <= self.learning_starts:
            return
        super().train(gradient_steps, batch_size)
        if self._phase < 0:
            return
        self._update_learning_rate([self._values_optimizer, self._predictor_optimizer])
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size)
            self._update_model(
                self.policy.features(batch.observations), batch.actions, batch.rewards.squeeze(1),
                self.policy.features(batch.next_observations), (1 - batch.dones.squeeze(1)) * self.gamma,
            )  # fmt: skip

    def _update_model(
        self, states: Tensor, actions: Tensor, rewards: Tensor, next_states: Tensor, discounts: Tensor
    ) -> None:
        """Q(s, a) -> r + gamma min_i Q_i'(s', a') with a' of the policy and no entropy; |That(s, a) - s'|_1 -> 0."""
        with torch.no_grad():
            next_actions, _ = self.actor.sample(next_states)
            targets = rewards + discounts * self.target_values.q_values(next_states, next_actions).min(0).values
        values = self.learner.values.q_values(states, actions)
        set_gradients(F.mse_loss(values, targets.expand_as(values), reduction="none").mean(1).sum(), self._of_values)
        self._values_optimizer.step()
        polyak_update(self._of_values, list(self.target_values.parameters()), self.tau)
        error = (self.learner.predict_next(states, actions) - next_states).abs().sum(1).mean()
        set_gradients(error, self._of_predictor)
        self._predictor_optimizer.step()

    # The loop

    def _finish_phase(self) -> None:
        """Keep what was trained. After the fallback begin the first model, after a model the search."""
        if self._phase < 0:
            self.ensemble.fallback.load_state_dict(self.actor.state_dict())
            self._begin_model()
            return
        model = self.ensemble.model(self._phase)
        model.actor.load_state_dict(self.actor.state_dict())
        model.values.load_state_dict(self.learner.values.state_dict())
        model.predictor.load_state_dict(self.learner.predictor.state_dict())
        self._searching, self._memo, self._acting = True, [[] for _ in self.radii], max(self._acting, 1)
        self._radii = [*self._radii, self.radii[0]]

    def _begin_model(self) -> None:
        """Train the next model, from fresh networks (or those of the last model) and in a fresh episode."""
        self._phase += 1
        self._phase_start = self.num_timesteps
        self._phase_end = self.num_timesteps + int(self.model_share * self._total_timesteps)
        self.replay_buffer.first = self.replay_buffer.stored
        if not (self.warm_start and self._phase > 0):
            self._forget()
        assert self.env is not None
        self._last_obs = self.env.reset()  # type: ignore[assignment]
        self._last_episode_starts = np.ones(self.n_envs, bool)

    @torch.no_grad()
    def _forget(self) -> None:
        """Draw all networks of the learner anew."""
        fresh = self.policy_class(self.observations.own, self.actions.own, self.lr_schedule, **self.policy_kwargs)
        self.policy.load_state_dict(fresh.state_dict())
        self.learner.load_state_dict(Model(self.policy, list(self.predictor_layers)).state_dict())
        self.target_values.load_state_dict(self.learner.values.state_dict())
        if self.log_ent_coef is not None:
            start = float(self.ent_coef.partition("_")[2] or 1.0)  # type: ignore[union-attr]
            self.log_ent_coef.fill_(np.log(start))
        for optimizer in [*self._optimizers(), self._values_optimizer, self._predictor_optimizer]:
            optimizer.state.clear()
            assert isinstance(optimizer, FusedAdam)
            optimizer.forget_lists()

    def _search_on(self, callback: BaseCallback) -> RolloutReturn:
        """Play the next episodes that the search asks for. When it has all, decide how to go on."""
        callback.on_rollout_start()
        steps = 0
        for index, radius in enumerate(self.radii):
            if self._is_measured(index):
                continue
            self._radii[-1] = radius
            try:
                self._search(self._memo[index])
            except _Pause as asked:
                scores = self._play(asked.points)
                self._memo[index].append(vars(scores))
                steps = scores.steps
                break
        else:
            self._decide()
        self.num_timesteps += steps
        callback.update_locals(locals())
        going = callback.on_step()
        callback.on_rollout_end()
        return RolloutReturn(steps, 0, continue_training=bool(going) and not self._ended)

    def _is_measured(self, index: int) -> bool:
        """Whether all episodes of the search with this radius have been played."""
        return sum(len(each["returns"]) for each in self._memo[index]) == self._how().evaluations(self._box())

    def _how(self) -> Search:
        if self.search == "cmaes":
            return CMAES(self.generations, self.population)
        return Grid(self.search_points, self.search_endpoint)

    def _box(self) -> dict[str, tuple[float, float]]:
        return dict.fromkeys(self.nature.names, (-1.0, 1.0))

    def _search(self, memo: list[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
        """All points that the search looks at, their returns, and what was measured at the worst.

        The search is deterministic but for what is measured, so it is run again from its start with what was measured
        before, until it asks for something new.

        Raises:
            _Pause: it has asked for something new.
        """
        known = iter(memo)
        measured: dict[str, list[float]] = {"returns": [], "discounted": [], "promised": []}

        def values(points: NDArray[np.float64]) -> NDArray[np.float64]:
            done = len(measured["returns"])
            for first in range(0, len(points), self.search_envs):
                scores = next(known, None)
                if scores is None:
                    raise _Pause(points[first : first + self.search_envs])
                for name, entries in measured.items():
                    entries.extend(scores[name])
            return np.array(measured["returns"][done:])

        draws = stream(self.seed or 0, "iwocs search", self._phase)
        points, found = self._how()(values, self._box(), draws)
        worst = int(found.argmin())
        return points, found, {name: entries[worst] for name, entries in measured.items()}

    def _play(self, points: NDArray[np.float64]) -> Scores:
        """An episode of the ensemble at each of the points [M, K], all from the same seed."""
        if self._arena is None:
            assert self.env is not None
            self._arena = Arena(self.env, self.search_envs)
        seed = episode_seed(self.seed or 0, 1 + self._phase)
        parameters = self.nature.values(points)
        return self._arena.play(self._player, dict(zip(self.nature.names, parameters.T, strict=True)), seed, self.gamma)

    def _player(self, seen: np.ndarray, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any, np.ndarray]:
        """Actions in the environment, the next state, and what the ensemble promises."""
        own = self.observations.to_learner(seen)
        actions, following, _, values = self._of_ensemble(self._phase + 1, own, state, starts, deterministic=True)
        scaled = self.policy.unscale_action(actions.reshape(-1, *(self.actions.own.shape or ())))
        return self.actions.to_environment(scaled), following, values

    def _decide(self) -> None:
        """Take the radius with the best worst return, and go on with the worst model, or end."""
        outcomes = []
        for index, radius in enumerate(self.radii):
            self._radii[-1] = radius
            outcomes.append(self._search(self._memo[index]))
        best = int(np.argmax([found.min() for _, found, _ in outcomes]))
        points, found, measured = outcomes[best]
        self._radii[-1] = self.radii[best]
        point = points[int(found.argmin())]
        names = self.nature.names
        self._trace.append({
            "parameters": dict(zip(names, self.nature.values(np.array(self._points[-1])).tolist(), strict=True)),
            "radius": self._radii[-1],
            "promised": float(measured["promised"]),
            "worst_parameters": dict(zip(names, self.nature.values(point).tolist(), strict=True)),
            "worst": float(measured["discounted"]),
            "worst_return": float(measured["returns"]),
        })  # fmt: skip
        for name in ("radius", "promised", "worst", "worst_return"):
            self._logger.record(f"iwocs/{name}", self._trace[-1][name])
        self._searching, self._memo = False, []
        self._acting = 1 + int(np.argmax([each["worst_return"] for each in self._trace]))
        draws = stream(self.seed or 0, "iwocs sample", self._phase)
        following = next_point(
            point, points, found, [np.array(each) for each in self._points], self.on_repeat,
            lambda: draws.uniform(-1.0, 1.0, len(names)),
        )  # fmt: skip
        if abs(measured["promised"] - measured["discounted"]) <= self.tolerance:
            self._ended = "met"
        elif following is None:
            self._ended = "repeated"
        elif self._phase + 1 >= self.max_iterations:
            self._ended = "iterations"
        else:
            self._points = [*self._points, following.tolist()]
            self._begin_model()

    # State

    def parts(self) -> dict[str, Part]:
        """As SAC's, and the ensemble, and what is trained beside SAC's networks."""
        return {
            **super().parts(), "ensemble": self.ensemble, "learner": self.learner,
            "target_values": self.target_values,
            "values.optimizer": self._values_optimizer, "predictor.optimizer": self._predictor_optimizer,
        }  # fmt: skip

    def inventory(self) -> Inventory:
        """As SAC's, plus the loop; rows of the replay buffer are counted without the search's steps."""
        own, buffer = super().inventory(), self.replay_buffer
        loop = Inventory(attributes(self, LOOP, saved=True))
        if buffer is None:
            return own + loop
        rows = [replay_rows(buffer, lambda: buffer.stored)]
        return Inventory([*own.items, *loop.items, *attributes(buffer, ("stored", "first"))], rows)
