"""Rollouts: groups of episodes played in parallel and kept as tokens."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from gymnasium.vector import AutoresetMode, VectorEnv

from agentgym.agents.common.vector_env import split_infos
from agentgym.agents.language.loop.trajectory import VOID, Episode, Turn
from agentgym.agents.language.policies.policy import Decision, Policy, Sampler, Session
from agentgym.contracts.finite import require_finite
from agentgym.errors import InvalidParameter, SpaceMismatch

__all__ = ["Anchors", "Rollout", "Start"]

# For each group, the numbers of the states that its episodes have visited.
Anchors = dict[int, dict[Hashable, int]]


@dataclass(frozen=True)
class Start:
    """Where an episode starts.

    Attributes:
        group: number of its task in the iteration.
        seed: of the task; None: that of the group's number.
        commands: repeated before the policy's first own command. Turns with them are not learned from.
        note: a text that the policy reads with its first own observation. The episode's tokens do not have it.
    """

    group: int
    seed: int | None = None
    commands: tuple[str, ...] = ()
    note: str = ""


class Rollout:
    """Plays episodes of a text environment with a policy.

    Args:
        env: a batch of text environments that takes a list of seeds in ``reset`` and resets automatically.
        policy: the policy that acts.
        group_size: number of environments with the same seed; the number of environments is a multiple of it.
        choosing: choose from ``info["admissible_commands"]`` instead of writing commands.
        limit: the most tokens of a written command, including the closing token.
        stop_at_void: whether a turn without any command ends the episode (SimpleTIR).
        session: starts episodes elsewhere, such as on a server; None: the policy does.

    Raises:
        InvalidParameter: the environment does not fit.
    """

    def __init__(
        self, env: VectorEnv, policy: Policy, group_size: int, choosing: bool, limit: int, stop_at_void: bool = False,
        session: Callable[[int], Session] | None = None,
    ) -> None:  # fmt: skip
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
        self.session = session or policy.session

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
            InvalidParameter, NonFinite, SpaceMismatch: as :meth:`play_from`.
        """
        starts = [Start(first_group + n, seed) for n, seed in enumerate(seeds) for _ in range(self.group_size)]
        return self.play_from(starts, sampler, {}, on_step)

    def play_from(
        self, starts: Sequence[Start], sampler: Sampler, anchors: Anchors,
        on_step: Callable[[int], bool] | None = None,
    ) -> list[Episode]:  # fmt: skip
        """Play one episode from each start, at most as many as there are environments; the others idle.

        Args:
            starts: with seeds.
            sampler: draws commands or tokens.
            anchors: of the groups' earlier episodes; those of the new ones are added.
            on_step: as in :meth:`play`.

        Raises:
            InvalidParameter: environments with equal seeds started differently, there are no commands to choose from,
                or a first observation is longer than the context.
            NonFinite: a reward or the policy's output is not finite.
            SpaceMismatch: an observation is not a string.
        """
        count = self.env.num_envs
        each: Any = [start.seed for start in starts]
        texts, batched = self.env.reset(seed=each + each[-1:] * (count - len(starts)))
        infos = split_infos(batched, count)
        self._check_groups(each, texts, infos)
        session = self.session(count)
        episodes = []
        for number, start in enumerate(starts):
            episodes.append(_RunningEpisode(number, start, self.policy, session))
            episodes[-1].see(texts[number], infos[number])
        active, turn = episodes, 0
        while active := [running for running in active if not self._full(running)]:
            commands = [""] * count  # after its episode an environment gets empty commands, unseen by the agent
            repeating = [running for running in active if running.repeats]
            deciding = [running for running in active if not running.repeats] if repeating else active
            for running in repeating:
                commands[running.number] = running.repeat()
            for running, decision, options in self._decide(deciding, session, sampler):
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
        _number_anchors(episodes, anchors)
        return [running.episode for running in episodes]

    def _check_groups(self, seeds: Sequence[int], texts: Sequence[str], infos: Sequence[dict[str, Any]]) -> None:
        """Refuse environments that ignore their seed: episodes of a group would then have different tasks."""
        firsts: dict[int, int] = {}
        for number, (seed, text) in enumerate(zip(seeds, texts, strict=False)):  # the others idle
            first = firsts.setdefault(seed, number)
            if text != texts[first] or infos[number].get("anchor") != infos[first].get("anchor"):
                raise InvalidParameter(
                    f"Worlds {first} and {number} were reset with equal seeds and started differently. Groups need an "
                    "environment whose reset(seed=...) fixes the task."
                )

    def _full(self, running: "_RunningEpisode") -> bool:
        """Whether the context may be too short for another command; the episode then ends with its last command."""
        need = max(map(len, running.options())) + 1 if self.choosing else self.limit
        if len(running.episode.ids) + running.untold + need <= self.policy.context:
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
        if not numbers:
            return []
        if not self.choosing:
            decisions = session.generate(numbers, self.limit, sampler)
            return [(running, decision, None) for running, decision in zip(active, decisions, strict=True)]
        options = [running.options() for running in active]
        decisions = session.choose(numbers, options, sampler)
        return list(zip(active, decisions, options, strict=True))


class _RunningEpisode:
    """The episode of one environment while it is played."""

    def __init__(self, number: int, start: Start, policy: Policy, session: Session) -> None:
        assert start.seed is not None
        self.number, self.start, self.policy, self.session = number, start, policy, session
        self.episode = Episode(start.group, start.seed, first=len(start.commands), told=bool(start.note))
        self.untold = 0  # tokens that the policy read and the episode does not have
        self.end = 0  # of the last command, in the episode's tokens
        self.info: dict[str, Any] = {}
        self.anchors: list[Hashable] = []

    def see(self, text: str, info: dict[str, Any]) -> None:
        """Add an observation, which a command will follow."""
        if not isinstance(text, str):
            raise SpaceMismatch(f"An observation is a string, not {text!r} (world {self.number}).")
        turn, offered = len(self.episode.turns), info.get("admissible_commands")
        observed = self.policy.observed(text, offered, turn == 0)
        if self.start.note and turn == len(self.start.commands):
            told = self.policy.observed(f"{text} {self.start.note}", offered, turn == 0)
            self._put(observed, own=False, read=told)
        else:
            self._put(observed, own=False)
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

    @property
    def repeats(self) -> bool:
        """Whether the next command is one to repeat."""
        return len(self.episode.turns) < len(self.start.commands)

    def repeat(self) -> str:
        """Record the next command to repeat, which is no decision of the policy, and return it."""
        command = self.start.commands[len(self.episode.turns)]
        self._put([*self.policy.encode(command), self.policy.closing], own=False)
        self.end = len(self.episode.ids)
        self.episode.turns.append(Turn(0, command=command))
        return command

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
        self.end = len(self.episode.ids)
        self.episode.turns.append(
            Turn(0, positions, decision.logps, decision.entropies, decision.acted, options, decision.choice, command)
        )
        return command

    def take(self, reward: float, info: dict[str, Any], terminated: bool, truncated: bool) -> None:
        """Record the outcome of the command."""
        turn, episode = self.episode.turns[-1], self.episode
        turn.reward, turn.valid, turn.problem = reward, bool(info.get("valid", True)), info.get("problem")
        episode.won = bool(info.get("won", terminated and reward > 0))
        episode.ended = "terminated" if terminated else "truncated" if truncated else ""
        if terminated and info.get("verdict", True) is None:
            episode.unjudged = str(info.get("reason") or "no reason given")

    def end_overlong(self) -> None:
        """Drop the last observation, for whose command there is no room."""
        del self.episode.ids[self.end :], self.episode.sampled[self.end :]
        self.episode.ended = "overlong"

    def _put(self, ids: list[int], own: bool, read: list[int] | None = None) -> None:
        self.session.read(self.number, ids if read is None else read)
        self.untold += 0 if read is None else len(read) - len(ids)
        self.episode.ids += ids
        self.episode.sampled += [own] * len(ids)


def _number_anchors(episodes: Sequence[_RunningEpisode], anchors: Anchors) -> None:
    """Give equal states of one group equal numbers, in order of appearance (hashes differ from process to process)."""
    for running in episodes:
        known = anchors.setdefault(running.episode.group, {})
        for turn, anchor in zip(running.episode.turns, running.anchors, strict=False):
            turn.anchor = known.setdefault(anchor, len(known))
