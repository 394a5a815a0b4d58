"""The base class of language agents, with Stable-Baselines3's interface."""

import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.utils import get_device, safe_mean
from stable_baselines3.common.vec_env import VecEnv

from agentgym.agents.common.denormals import flushing_denormals
from agentgym.agents.common.inventory import Part, attributes, generator, learned, statistics
from agentgym.agents.common.own_loop import OwnLoop
from agentgym.agents.common.saving import SavedAgent, description
from agentgym.agents.common.vector_env import VectorEnvAdapter
from agentgym.agents.language.loop import distributed as processes
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.diagnostics import Alarms, measure_rollout
from agentgym.agents.language.loop.environments import batch_of
from agentgym.agents.language.loop.groups import judged
from agentgym.agents.language.loop.imitation import demonstrated
from agentgym.agents.language.loop.learner import Learner
from agentgym.agents.language.loop.rollout import Anchors, Rollout, Start
from agentgym.agents.language.loop.trajectory import Batch, Episode, collate
from agentgym.agents.language.methods.plugin import Acting, Plugin, make_plugins
from agentgym.agents.language.policies.by_name import OTHER_BASE, begin_like, make_policy, rollout_server, saved_policy
from agentgym.agents.language.policies.conversation import Conversation, episodes_to_begin
from agentgym.agents.language.policies.policy import Policy, Sampler
from agentgym.agents.language.policies.tiny import TinyPolicy
from agentgym.contracts.agent import Traits
from agentgym.contracts.environment import Demonstrating
from agentgym.contracts.settings import from_settings, number_of_steps, whole_number
from agentgym.errors import AskError, InvalidParameter, SpaceMismatch
from agentgym.progress import TrainingProgress
from agentgym.runs.state import Inventory, Item
from agentgym.seeding import entropy, episode_seed

__all__ = ["LanguageAgent"]

COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "imitated")
STATISTICS_OF = 100  # episodes


class LanguageAgent(OwnLoop):
    """Learns to act in text environments from groups of episodes of the same task.

    An iteration plays ``tasks * group_size`` whole episodes and learns from them. ``num_timesteps`` counts environment
    steps (turns); ``learn`` ends after the iteration that reaches the requested number.

    Args:
        policy: "tiny", "smollm2", or the folder of a Hugging Face causal language model.
        env: a batch of text environments (``gymnasium.make_vec``), a single one, or an id.
        seed: of all random numbers; None draws one.
        device: "auto", "cpu" or "cuda".
        preset: the name of one of ``Config.presets``; ``settings`` override it.
        **settings: fields of :class:`LanguageConfig`.

    Raises:
        SpaceMismatch: the environment's spaces are not texts.
        InvalidParameter: a setting is not valid, or the number of environments does not fit the groups.
        MissingExtra: the policy needs transformers, and it is not installed.
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[type[LanguageConfig]] = LanguageConfig
    traits: ClassVar[Traits] = Traits(
        names_policy=True, sets_worlds=True, knows_words=True, several_processes=True, suite="text"
    )

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.__signature__ = cls.Config.in_signature(LanguageAgent.__init__)

    def __init__(
        self, policy: str, env: Any, seed: int | None = None, device: torch.device | str = "auto", preset: str = "",
        **settings: Any,
    ) -> None:  # fmt: skip
        self.settings = self.Config(**{"policy": policy, **self.Config.with_preset(preset, settings)})
        self._build(batch_of(env, self._own_episodes), seed, device, None)

    def _build(
        self, env: VectorEnv | None, seed: int | None, device: torch.device | str, saved: SavedAgent | None
    ) -> None:
        self.device = get_device(device)
        if seed is None and processes.place()[1] > 1:
            raise InvalidParameter("Training with several processes needs a seed: pass the same one in all of them.")
        self.seed = entropy() if seed is None else whole_number("seed", seed, 0)
        self.generator = torch.Generator().manual_seed(episode_seed(self.seed, 0))
        self.policy: Policy
        if saved is None:
            assert env is not None
            self.observation_space, self.action_space = env.single_observation_space, env.single_action_space
            # Initial weights depend on this seed only, and the global generator stays as it is.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(episode_seed(self.seed, 1))
                self.policy = make_policy(self.settings, env)
            if self.settings.start:
                begin_like(self.policy, self.settings.start)
        else:
            self.observation_space, self.action_space = saved.observation_space, saved.action_space
            self.policy = saved_policy(self.settings, saved.values["texts"])
        self.policy.to(self.device)
        if self.settings.shard and processes.place()[1] > 1:
            self.policy.shard()
        self.server = rollout_server(self.settings, self.policy) if self.settings.server else None
        if self.server is not None and processes.place()[1] > 1:
            raise InvalidParameter("A server samples for one training process: train with one.")
        self.learner = Learner(self.policy, self.settings, make_plugins(self.settings.methods), self.generator)
        self.alarms = Alarms()
        self._count_from_zero()
        self._episode_num, self.iteration, self.imitated, self.imitated_batches = 0, 0, False, 0
        self.ep_info_buffer: deque[dict[str, float]] = deque(maxlen=STATISTICS_OF)
        self.env: VectorEnvAdapter | None = None
        self.n_envs = self.settings.episodes
        if env is not None:
            self._take_env(env)

    def _take_env(self, env: VectorEnv) -> None:
        if self._own_episodes % env.num_envs:
            raise InvalidParameter(
                f"{self._own_episodes} episodes an iteration ({self._own_episodes // self.settings.group_size} tasks x "
                f"{self.settings.group_size}) are not a multiple of {env.num_envs} worlds: change --num-envs."
            )
        for method in self.learner.methods.values():
            method.enter(env.unwrapped)
        self.env, self.n_envs = VectorEnvAdapter(env), env.num_envs
        stop_at_void = any(method.STOP_AT_VOID for method in self.learner.methods.values())
        self.rollout = Rollout(
            env, self.policy, self.settings.group_size, self.choosing,
            self.settings.max_command_tokens, stop_at_void, None if self.server is None else self.server.session,
        )  # fmt: skip

    @property
    def _own_episodes(self) -> int:
        """The number of episodes of an iteration that this process plays."""
        _, count = processes.place()
        if self.settings.tasks % count:
            raise InvalidParameter(f"{self.settings.tasks} tasks cannot be shared evenly by {count} processes.")
        return self.settings.episodes // count

    @property
    def choosing(self) -> bool:
        """Whether commands are chosen from the admissible ones."""
        return self.settings.actions == "choose"

    # Environments

    def get_env(self) -> VecEnv | None:
        """The batch of environments; None if there is none."""
        return self.env

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Continue in another batch of environments with the same spaces.

        Raises:
            SpaceMismatch, InvalidParameter: the environments do not fit.
        """
        batch = batch_of(env, self._own_episodes)
        if (batch.single_observation_space, batch.single_action_space) != (self.observation_space, self.action_space):
            raise SpaceMismatch("The environment's text spaces differ from the agent's in length or characters.")
        self._take_env(batch)

    # Learning

    @flushing_denormals()
    def learn(
        self, total_timesteps: int, callback: Any = None, log_interval: int | None = 1,
        reset_num_timesteps: bool = True, progress_bar: bool = False,
    ) -> Self:  # fmt: skip
        """Train for at least ``total_timesteps`` environment steps, in whole iterations; arguments as in SB3.

        Raises:
            InvalidParameter: there is no environment, or it does not fit.
            NonFinite: a reward or a loss became NaN or infinite.
        """
        if self.env is None:
            raise InvalidParameter("There is no environment to learn in: load(folder, env=...), or set_env(env).")
        if reset_num_timesteps:
            self.num_timesteps = 0
        self._total_timesteps = self.num_timesteps + number_of_steps(total_timesteps)
        with self._calling(callback, progress_bar) as heard:
            self._learn(heard, log_interval)
        return self

    def _learn(self, heard: CallbackList, log_interval: int | None) -> None:
        if self.settings.imitation_batches and not self.imitated:
            self._imitate(heard)
        if self.iteration == 0:
            self.learner.begin()
        while self.num_timesteps < self._total_timesteps:
            heard.on_rollout_start()
            anchors: Anchors = {}
            episodes = self._play(heard, anchors)
            extra = self._play_more(heard, anchors, episodes) if episodes else None
            if extra is None:  # a callback said stop
                break
            heard.on_rollout_end()
            self._learn_from(episodes, extra, log_interval)

    def _play(self, heard: BaseCallback, anchors: Anchors) -> list[Episode]:
        """The first episodes of an iteration; each process plays its tasks. Empty: a callback said stop."""
        settings, (number, count), before = self.settings, processes.place(), self.num_timesteps
        share, acting = settings.tasks // count, self._acting()
        if self.server is not None:
            self.server.update(f"{self.seed}-{self.iteration}")
        attempts = acting.attempts or settings.group_size
        starts = [Start(group) for group in range(share * number, share * (number + 1)) for _ in range(attempts)]
        # Each of several processes draws from its own stream, so that the agent's generator stays equal in all.
        own = torch.Generator().manual_seed(episode_seed(self.seed, 4, self.iteration, number))
        sampler = Sampler(self.generator if count == 1 else own, temperature=acting.temperature or 1.0)
        episodes = self._play_starts(starts, sampler, anchors, heard)
        if count > 1:
            episodes = processes.gathered(episodes)
            self.num_timesteps = before + sum(len(episode.turns) for episode in episodes)
            if len(episodes) < settings.tasks * attempts:  # a callback of some process said stop
                return []
        return episodes

    def _acting(self) -> Acting:
        """How the methods want the first episodes to be played."""
        asked = [method.acting(self.iteration, self.settings) for method in self.learner.methods.values()]
        wanted = {
            name: [value for one in asked if one is not None and (value := getattr(one, name)) is not None]
            for name in ("temperature", "attempts")
        }
        for name, values in wanted.items():
            if len(values) > 1:
                raise InvalidParameter(f"{len(values)} methods set the {name} of the rollout: keep one of them.")
        return Acting(**{name: values[0] if values else None for name, values in wanted.items()})

    def _play_starts(
        self, starts: Sequence[Start], sampler: Sampler, anchors: Anchors, heard: BaseCallback
    ) -> list[Episode]:
        """One episode from each start, as many in parallel as there are environments; empty: a callback said stop."""

        def on_step(took_part: int) -> bool:
            self.num_timesteps += took_part
            return heard.on_step()

        seeded = [
            start if start.seed is not None
            else replace(start, seed=episode_seed(self.seed, 2, self.iteration, start.group))
            for start in starts
        ]  # fmt: skip
        episodes: list[Episode] = []
        for first in range(0, len(seeded), self.n_envs):
            with self.policy.whole():
                played = self.rollout.play_from(seeded[first : first + self.n_envs], sampler, anchors, on_step)
            if not played:
                return []
            episodes += played
        return episodes

    def _play_more(
        self, heard: BaseCallback, anchors: Anchors, episodes: list[Episode]
    ) -> tuple[list[Episode], dict[str, list[Episode]]] | None:
        """What the methods ask for: further episodes of the batch, and those apart by method. None: stop."""
        more: list[Episode] = []
        apart: dict[str, list[Episode]] = {}
        for name, method in self.learner.methods.items():
            if type(method).extend is Plugin.extend:
                continue
            if processes.place()[1] > 1:
                raise InvalidParameter(f"{type(method).__name__} plays further episodes: train with one process.")
            while asked := method.extend(self.iteration, [*episodes, *more], apart.get(name, ()), self.settings):
                played = self._play_starts(
                    asked.starts, Sampler(self.generator, temperature=asked.temperature), anchors, heard
                )
                if not played:
                    return None
                if asked.apart:
                    apart.setdefault(name, []).extend(played)
                else:
                    more += played
        return more, apart

    def _learn_from(
        self, episodes: list[Episode], extra: tuple[list[Episode], dict[str, list[Episode]]], log_interval: int | None
    ) -> None:
        more, apart = extra
        kept, before = judged([*episodes, *more]), {id(episode) for episode in episodes}
        own = [episode for episode in kept if id(episode) in before] or kept
        batch = self._batch(own)
        measured = measure_rollout(own, batch)
        measured["rollout/no_verdict"] = sum(bool(episode.unjudged) for episode in episodes) / len(episodes)
        for value, turns in zip(batch.returns().tolist(), batch.turns.tolist(), strict=True):
            self.ep_info_buffer.append({"r": value, "l": turns})
        whole = batch if len(own) == len(kept) else self._batch(kept)
        others = {name: self._batch(judged(played)).to(self.device) for name, played in apart.items()}
        measured |= self.learner.update(whole.to(self.device), self.iteration, others)
        measured |= self.alarms.check(measured)
        self.iteration += 1
        self._n_updates += self.learner.steps
        self._episode_num += len(episodes) + len(more) + sum(map(len, apart.values()))
        for name, value in measured.items():
            self.logger.record(name, value)
        if log_interval and self.iteration % log_interval == 0:
            self.logger.record("rollout/ep_rew_mean", safe_mean([info["r"] for info in self.ep_info_buffer]))
            self.logger.record("rollout/ep_len_mean", safe_mean([info["l"] for info in self.ep_info_buffer]))
            self.logger.record("time/iterations", self.iteration)
            self.logger.record("time/total_timesteps", self.num_timesteps)
            self.logger.dump(self.num_timesteps)

    def _batch(self, episodes: list[Episode]) -> Batch:
        batch = collate(episodes, self.choosing)
        elsewhere = [self.server is not None or episode.told for episode in episodes]
        if any(elsewhere):
            batch = batch.to(self.device)
            self.learner.recompute(batch, torch.tensor(elsewhere, device=self.device).nonzero()[:, 0])
        if self.server is not None:
            for name, value in self.server.compare(batch, self.settings.server_gap).items():
                self.logger.record(name, value)
        return batch

    def _imitate(self, heard: CallbackList) -> None:
        """Learn from demonstrations, whose seeds are not those of training. Callbacks see each batch as a rollout."""
        settings = self.settings
        for number in range(self.imitated_batches, settings.imitation_batches):
            heard.on_rollout_start()
            loss = self.learner.imitate(self.demonstration(number).to(self.device))
            self.imitated_batches = number + 1
            self.logger.record("imitation/loss", loss)
            for progress in heard.callbacks:
                if isinstance(progress, TrainingProgress):
                    progress.say(f"imitation {number + 1}/{settings.imitation_batches}, loss {loss:.3g}")
            if number % 10 == 9:
                self.logger.dump(0)
            heard.on_rollout_end()
        self.learner.optimizer.state.clear()  # Adam's moments from imitation would distort the first updates
        self.imitated = True

    def demonstrations(self, batches: int) -> Iterator[Batch]:
        """The first batches of :meth:`demonstration`."""
        return map(self.demonstration, range(batches))

    def demonstration(self, number: int) -> Batch:
        """Batch ``number`` of the environment's expert episodes.

        Raises:
            InvalidParameter: the environment has no ``demonstrations`` method.
        """
        seeds = [episode_seed(self.seed, 3, number, index) for index in range(self.settings.imitation_size)]
        return demonstrated(self.policy, self._shown(seeds), self.choosing)

    def _shown(self, seeds: Sequence[int]) -> Iterator[Any]:
        """Expert episodes of these seeds."""
        assert self.env is not None
        worlds = self.env.env.unwrapped
        if not isinstance(worlds, Demonstrating):
            raise InvalidParameter("The environment has no demonstrations: set imitation_batches to 0.")
        return worlds.demonstrations(seeds, self.settings.imitation_expert, self.settings.imitation_random)

    # Acting

    @flushing_denormals()
    def predict(
        self,
        observation: str | Sequence[str | None],
        state: Conversation | None = None,
        episode_start: Any = None,
        deterministic: bool = False,
        commands: Any = None,
    ) -> tuple[Any, Conversation]:
        """The next command of one or several episodes.

        Args:
            observation: the latest observation, or a list of them with None for episodes that wait.
            state: the state from the last call; None at an episode's start.
            episode_start: True starts a new episode regardless of ``state``; for a list, one flag per episode.
            deterministic: return the most likely command (or tokens) instead of a sample.
            commands: the admissible commands, for a list one list per episode; required if the agent chooses among
                them or lists them in its prompt.

        Returns:
            The command, and the state for the next call. In a list, episodes that wait or no longer fit into the
            policy's context get the empty command.

        Raises:
            InvalidParameter: an observation is not a string, commands are missing, or a single episode is longer than
                the policy's context.
        """
        single = not isinstance(observation, list | tuple)
        seen: list[Any] = [observation] if single else list(observation)
        offered = [commands] if single else list(commands or [None] * len(seen))
        for text, listed in zip(seen, offered, strict=True):
            if not isinstance(text, str) and (single or text is not None):
                raise InvalidParameter(f"An observation is a string, not {type(text).__name__}.")
            if self.choosing and text is not None and not listed:
                raise InvalidParameter(
                    'This agent chooses among commands: predict(..., commands=info["admissible_commands"]).'
                )
        conversation = state or Conversation.of(self.policy, len(seen))
        if fresh := episodes_to_begin(state, len(seen), episode_start):
            conversation.begin(fresh)
        sampler = Sampler(self.generator, deterministic)
        limit = self.settings.max_command_tokens
        answers = conversation.answer(seen, offered, limit, sampler, self.choosing, strict=single)
        return (answers[0] if single else answers), conversation

    @property
    def words(self) -> tuple[str, ...] | None:
        """The words in the policy's vocabulary; None if it reads any text."""
        return self.policy.vocabulary.words if isinstance(self.policy, TinyPolicy) else None

    # Saving

    def parts(self) -> dict[str, Part]:
        """The policy and its optimiser."""
        return {"policy": self.policy, "optimizer": self.learner.optimizer}

    def inventory(self) -> Inventory:
        """Everything that the rest of a run depends on."""
        return Inventory(
            [
                *([Item("base", lambda: self.policy.base, self._require_base)] if self.policy.base else []),
                *learned(self.parts()),
                *attributes(self, COUNTERS, saved=True),
                *attributes(self, ("iteration", "imitated_batches")),
                Item("methods", self.learner.plugin_states, self.learner.restore_plugins),
                Item("alarms", self.alarms.state, self.alarms.restore),
                statistics(self, "ep_info_buffer", STATISTICS_OF),
                generator("language", self.generator),
            ]
        )

    def _require_base(self, saved: str) -> None:
        """Refuse adapters of another model than the one that was read.

        Raises:
            AskError: it is another.
        """
        if saved != self.policy.base:
            raise AskError(OTHER_BASE)

    def about(self) -> dict[str, Any]:
        """As :meth:`Savable.about`, with what the policy is beside settings and weights."""
        options = {**self.settings.to_kwargs(), "methods": list(self.settings.methods)}
        own = description(
            self.catalog_name, self.settings.policy, {"seed": self.seed, "options": options}, self.observation_space,
            self.action_space,
        )  # fmt: skip
        return {**own, "texts": self.policy.description()}

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        before = {"policy": saved.policy, "seed": saved.arguments["seed"], **saved.arguments["options"]}
        settings = {**before, **arguments}
        seed = settings.pop("seed")
        agent = cls.__new__(cls)
        agent.settings = from_settings(cls.Config, settings, f"agent {cls.catalog_name}")
        agent._build(None if env is None else batch_of(env, agent._own_episodes), seed, device, saved)
        saved.state.setdefault("imitated", saved.values.get("imitated", True))  # where older files have it
        return agent
