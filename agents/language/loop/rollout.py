"""Rollouts: groups of episodes played in parallel and kept as tokens."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from gymnasium.vector import AutoresetMode, VectorEnv

from agentgym.agents.common.vector_env import split_infos
from agentgym.agents.language.loop.trajectory import VOID, Episode, Turn
from agentgym.agents.language.policies.policy import Decision, Policy, Sampler, Session
from agentgym.contracts.finite import require_finite
from agentgym.errors import InvalidParameter, SpaceMismatch

__all__ = ["Rollout"]


class Rollout:
    """Plays episodes of a text environment with a policy.

    Args:
        env: a batch of text environments that takes a list of seeds in ``reset`` and resets automatically.
        policy: the policy that acts.
        group_size: number of environments with the same seed; the number of environments is a multiple of it.
        choosing: choose from ``info["admissible_commands"]`` instead of writing commands.
        limit: the most tokens of a written command, including the closing token.
        stop_at_void: whether a turn without any command ends the episode (SimpleTIR).

    Raises:
        InvalidParameter: the environment does not fit.
    """

    def __init__(
        self, env: VectorEnv, policy: Policy, group_size: int, choosing: bool, limit: int, stop_at_void: bool = False
    ) -> None:
        if env.num_envs % group_size:
            raise InvalidParameter(
                f"{env.num_envs} worlds cannot be divided into groups of {group_size}: choose a multiple of it "
                "(--num-envs)."
            )
        mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        if mode is AutoresetMode.DISABLED:
            raise InvalidParameter("The environment must reset automatically: use AutoresetMode.SAME_STEP.")
        self.env, self.policy, self.group_size = env, policy, group_size
        self.choosing, self.limit, self.stop_at_void = choosing, limit, stop_at_void

    def play(
        self, seeds: Sequence[int], sampler: Sampler, first_group: int = 0, on_step: Callable[[int], bool] | None = None
    ) -> list[Episode]:
        """Play one episode in every environment; environment i belongs to group i // group_size.

        Args:
            seeds: the seed of each group's task.
            sampler: draws commands or tokens.
            first_group: number of the first group.
            on_step: called after each step with the number of episodes that took part; False stops the rollout.

        Returns:
            The episodes in order of environments; an empty list if ``on_step`` returned False.

        Raises:
            InvalidParameter: environments with equal seeds started differently, there are no commands to choose from,
                or a first observation is longer than the context.
            NonFinite: a reward or the policy's output is not finite.
            SpaceMismatch: an observation is not a string.
        """
        count = self.env.num_envs
        each: Any = [seed for seed in seeds for _ in range(self.group_size)]
        texts, batched = self.env.reset(seed=each)
        infos = split_infos(batched, count)
        self._check_groups(texts, infos)
        session = self.policy.session(count)
        episodes = []
        for number in range(count):
            group = number // self.group_size
            episodes.append(_RunningEpisode(number, Episode(first_group + group, seeds[group]), self.policy, session))
            episodes[-1].see(texts[number], infos[number])
        active, turn = episodes, 0
        while active := [running for running in active if not self._full(running)]:
            commands = [""] * count  # after its episode an environment gets empty commands, unseen by the agent
            for running, decision, options in self._decide(active, session, sampler):
                commands[running.number] = running.say(decision, options)
            texts, rewards, terminated, truncated, batched = self.env.step(tuple(commands))
            turn += 1
            require_finite("a reward of the environment", rewards, f"in turn {turn} (entry: the world's number)")
            infos = split_infos(batched, count)
            for running in active:
                number = running.number
                over = bool(terminated[number] or truncated[number])
                info = infos[number].get("final_info", infos[number]) if over else infos[number]
                running.take(float(rewards[number]), info, bool(terminated[number]), bool(truncated[number]))
                if not over and self.stop_at_void and info.get("problem") in VOID:
                    running.episode.ended = "stopped"
                if not running.episode.ended:
                    running.see(texts[number], info)
            if on_step is not None and not on_step(len(active)):
                return []
            active = [running for running in active if not running.episode.ended]
        _number_anchors(episodes, self.group_size)
        return [running.episode for running in episodes]

    def _check_groups(self, texts: Sequence[str], infos: Sequence[dict[str, Any]]) -> None:
        """Refuse environments that ignore their seed: episodes of a group would then have different tasks."""
        for number, text in enumerate(texts):
            first = number - number % self.group_size
            if text != texts[first] or infos[number].get("anchor") != infos[first].get("anchor"):
                raise InvalidParameter(
                    f"Worlds {first} and {number} were reset with equal seeds and started differently. Groups need an "
                    "environment whose reset(seed=...) fixes the task."
                )

    def _full(self, running: "_RunningEpisode") -> bool:
        """Whether the context may be too short for another command; the episode then ends with its last command."""
        need = max(map(len, running.options())) + 1 if self.choosing else self.limit
        if len(running.episode.ids) + need <= self.policy.context:
            return False
        if not running.episode.turns:
            raise InvalidParameter(
                f"The first observation has {len(running.episode.ids)} tokens, and the context {self.policy.context}: "
                "choose a larger context."
            )
        running.end_overlong()
        return True

    def _decide(
        self, active: "list[_RunningEpisode]", session: Session, sampler: Sampler
    ) -> "list[tuple[_RunningEpisode, Decision, list[list[int]] | None]]":
        numbers = [running.number for running in active]
        if not self.choosing:
            decisions = session.generate(numbers, self.limit, sampler)
            return [(running, decision, None) for running, decision in zip(active, decisions, strict=True)]
        options = [running.options() for running in active]
        decisions = session.choose(numbers, options, sampler)
        return list(zip(active, decisions, options, strict=True))


class _RunningEpisode:
    """The episode of one environment while it is played."""

    def __init__(self, number: int, episode: Episode, policy: Policy, session: Session) -> None:
        self.number, self.episode, self.policy, self.session = number, episode, policy, session
        self.info: dict[str, Any] = {}
        self.anchors: list[Hashable] = []

    def see(self, text: str, info: dict[str, Any]) -> None:
        """Add an observation, which a command will follow."""
        if not isinstance(text, str):
            raise SpaceMismatch(f"An observation is a string, not {text!r} (world {self.number}).")
        first = not self.episode.turns
        self._put(self.policy.observed(text, info.get("admissible_commands"), first), own=False)
        self.info = info
        self.anchors.append(info.get("anchor", text))

    def options(self) -> list[list[int]]:
        """The admissible commands' tokens.

        Raises:
            InvalidParameter: the environment lists none, or an empty one.
        """
        commands = self.info.get("admissible_commands")
        if not commands:
            raise InvalidParameter(
                'The environment lists no info["admissible_commands"] to choose from: set actions="write".'
            )
        return self.policy.encoded(commands)

    def say(self, decision: Decision, options: list[list[int]] | None) -> str:
        """Record a decision; returns the command for the environment."""
        first = len(self.episode.ids)
        self.episode.ids += decision.ids
        self.episode.sampled += [True] * len(decision.ids)
        spoken = decision.ids[:-1] if decision.ids[-1] == self.policy.closing else decision.ids
        if options is None:
            positions = list(range(first, first + len(decision.ids)))
            command = self.policy.decode(spoken)
            if spoken is decision.ids:  # cut off: the next observation still follows a closing token
                self._put([self.policy.closing], own=False)
        else:
            positions = [first]
            command = self.info["admissible_commands"][decision.choice]
        turn = Turn(0, positions, decision.logps, decision.entropies, options, decision.choice, command)
        self.episode.turns.append(turn)
        return command

    def take(self, reward: float, info: dict[str, Any], terminated: bool, truncated: bool) -> None:
        """Record the outcome of the command."""
        turn, episode = self.episode.turns[-1], self.episode
        turn.reward, turn.valid, turn.problem = reward, bool(info.get("valid", True)), info.get("problem")
        episode.won = bool(info.get("won", terminated and reward > 0))
        episode.ended = "terminated" if terminated else "truncated" if truncated else ""

    def end_overlong(self) -> None:
        """Drop the last observation, for whose command there is no room."""
        last = self.episode.turns[-1].positions[-1] + 1
        end = self.episode.ids.index(self.policy.closing, last - 1) + 1
        del self.episode.ids[end:], self.episode.sampled[end:]
        self.episode.ended = "overlong"

    def _put(self, ids: list[int], own: bool) -> None:
        self.session.read(self.number, ids)
        self.episode.ids += ids
        self.episode.sampled += [own] * len(ids)


def _number_anchors(episodes: Sequence[_RunningEpisode], group_size: int) -> None:
    """Give equal states of one group equal numbers, in order of appearance (hashes differ from process to process)."""
    for first in range(0, len(episodes), group_size):
        known: dict[Hashable, int] = {}
        for running in episodes[first : first + group_size]:
            for turn, anchor in zip(running.episode.turns, running.anchors, strict=False):
                turn.anchor = known.setdefault(anchor, len(known))
