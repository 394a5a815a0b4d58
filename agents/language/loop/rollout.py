"""Episodes in groups: worlds that begin alike are played side by side, and what was read and said is kept as tokens."""

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
        env: a batch of text worlds that takes one seed a world in ``reset``, and starts ended worlds again by itself.
        policy: who acts.
        group_size: how many worlds begin alike; the number of worlds is a multiple of it.
        choosing: choose among ``info["admissible_commands"]``; otherwise write commands freely.
        limit: the most tokens of a written command, its closing token included.
        stop_at_void: whether a turn without any command ends the episode (SimpleTIR).

    Raises:
        InvalidParameter: the environment does not fit.
    """

    def __init__(
        self, env: VectorEnv, policy: Policy, group_size: int, choosing: bool, limit: int, stop_at_void: bool = False
    ) -> None:
        if env.num_envs % group_size:
            raise InvalidParameter(
                f"{env.num_envs} worlds are no whole number of groups of {group_size}: choose a multiple of it "
                "(--num-envs)."
            )
        mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        if mode is AutoresetMode.DISABLED:
            raise InvalidParameter("The worlds must start again by themselves: take AutoresetMode.SAME_STEP.")
        self.env, self.policy, self.group_size = env, policy, group_size
        self.choosing, self.limit, self.stop_at_void = choosing, limit, stop_at_void

    def play(
        self, seeds: Sequence[int], sampler: Sampler, first_group: int = 0, on_step: Callable[[int], bool] | None = None
    ) -> list[Episode]:
        """One episode in every world; world i belongs to group i // group_size.

        Args:
            seeds: one a group, of its task.
            sampler: draws what is said.
            first_group: number of the first group.
            on_step: told after each step of the batch how many episodes took part; False stops everything.

        Returns:
            The episodes in order of worlds; none if ``on_step`` said stop.

        Raises:
            InvalidParameter: worlds with equal seeds began differently, there are no commands to choose from, or a
                first observation is longer than the context.
            NonFinite: a reward, or what the policy makes of the texts, is not finite.
            SpaceMismatch: an observation is no string.
        """
        count = self.env.num_envs
        each: Any = [seed for seed in seeds for _ in range(self.group_size)]
        texts, batched = self.env.reset(seed=each)
        infos = split_infos(batched, count)
        self._check_groups(texts, infos)
        session = self.policy.session(count)
        lanes = []
        for number in range(count):
            group = number // self.group_size
            lanes.append(_Lane(number, Episode(first_group + group, seeds[group]), self.policy, session))
            lanes[-1].see(texts[number], infos[number])
        active, turn = lanes, 0
        while active := [lane for lane in active if not self._full(lane)]:
            commands = [""] * count  # worlds whose episode is over get an empty command, and play on unseen
            for lane, decision, options in self._decide(active, session, sampler):
                commands[lane.number] = lane.say(decision, options)
            texts, rewards, terminated, truncated, batched = self.env.step(tuple(commands))
            turn += 1
            require_finite("a reward of the environment", rewards, f"in turn {turn} (entry: the world's number)")
            infos = split_infos(batched, count)
            for lane in active:
                number = lane.number
                over = bool(terminated[number] or truncated[number])
                info = infos[number].get("final_info", infos[number]) if over else infos[number]
                lane.take(float(rewards[number]), info, bool(terminated[number]), bool(truncated[number]))
                if not over and self.stop_at_void and info.get("problem") in VOID:
                    lane.episode.ended = "stopped"
                if not lane.episode.ended:
                    lane.see(texts[number], info)
            if on_step is not None and not on_step(len(active)):
                return []
            active = [lane for lane in active if not lane.episode.ended]
        _number_anchors(lanes, self.group_size)
        return [lane.episode for lane in lanes]

    def _check_groups(self, texts: Sequence[str], infos: Sequence[dict[str, Any]]) -> None:
        """A world that ignores its seed would give every group different tasks, and training would go on as if not."""
        for number, text in enumerate(texts):
            first = number - number % self.group_size
            if text != texts[first] or infos[number].get("anchor") != infos[first].get("anchor"):
                raise InvalidParameter(
                    f"Worlds {first} and {number} were reset with the same seed and began differently: groups need an "
                    "environment whose reset(seed=...) fixes the task."
                )

    def _full(self, lane: "_Lane") -> bool:
        """Whether a command may not fit into the context any more; the episode then ends with its last command."""
        need = max(map(len, lane.options())) + 1 if self.choosing else self.limit
        if len(lane.episode.ids) + need <= self.policy.context:
            return False
        if not lane.episode.turns:
            raise InvalidParameter(
                f"The first observation has {len(lane.episode.ids)} tokens, and the context {self.policy.context}: "
                "choose a larger context."
            )
        lane.end_overlong()
        return True

    def _decide(
        self, active: "list[_Lane]", session: Session, sampler: Sampler
    ) -> "list[tuple[_Lane, Decision, list[list[int]] | None]]":
        numbers = [lane.number for lane in active]
        if not self.choosing:
            decisions = session.generate(numbers, self.limit, sampler)
            return [(lane, decision, None) for lane, decision in zip(active, decisions, strict=True)]
        options = [lane.options() for lane in active]
        decisions = session.choose(numbers, options, sampler)
        return list(zip(active, decisions, options, strict=True))


class _Lane:
    """One world's episode as it is played."""

    def __init__(self, number: int, episode: Episode, policy: Policy, session: Session) -> None:
        self.number, self.episode, self.policy, self.session = number, episode, policy, session
        self.info: dict[str, Any] = {}
        self.anchors: list[Hashable] = []

    def see(self, text: str, info: dict[str, Any]) -> None:
        """An observation, after which a command is due."""
        if not isinstance(text, str):
            raise SpaceMismatch(f"An observation is a string, not {text!r} (world {self.number}).")
        first = not self.episode.turns
        self._put(self.policy.observed(text, info.get("admissible_commands"), first), own=False)
        self.info = info
        self.anchors.append(info.get("anchor", text))

    def options(self) -> list[list[int]]:
        """The admissible commands' tokens.

        Raises:
            InvalidParameter: the environment lists none, or what is no command.
        """
        commands = self.info.get("admissible_commands")
        if not commands:
            raise InvalidParameter(
                'The environment lists no info["admissible_commands"] to choose from: set actions="write".'
            )
        return self.policy.encoded(commands)

    def say(self, decision: Decision, options: list[list[int]] | None) -> str:
        """Keep what was decided; the command for the environment."""
        first = len(self.episode.ids)
        self.episode.ids += decision.ids
        self.episode.sampled += [True] * len(decision.ids)
        spoken = decision.ids[:-1] if decision.ids[-1] == self.policy.closing else decision.ids
        if options is None:
            positions = list(range(first, first + len(decision.ids)))
            command = self.policy.decode(spoken)
            if spoken is decision.ids:  # cut off: the next observation begins behind a closing mark all the same
                self._put([self.policy.closing], own=False)
        else:
            positions = [first]
            command = self.info["admissible_commands"][decision.choice]
        turn = Turn(0, positions, decision.logps, decision.entropies, options, decision.choice, command)
        self.episode.turns.append(turn)
        return command

    def take(self, reward: float, info: dict[str, Any], terminated: bool, truncated: bool) -> None:
        """What the environment answered to the command."""
        turn, episode = self.episode.turns[-1], self.episode
        turn.reward, turn.valid, turn.problem = reward, bool(info.get("valid", True)), info.get("problem")
        episode.won = bool(info.get("won", terminated and reward > 0))
        episode.ended = "terminated" if terminated else "truncated" if truncated else ""

    def end_overlong(self) -> None:
        """Forget the observation to which there is no room for an answer."""
        last = self.episode.turns[-1].positions[-1] + 1
        end = self.episode.ids.index(self.policy.closing, last - 1) + 1
        del self.episode.ids[end:], self.episode.sampled[end:]
        self.episode.ended = "overlong"

    def _put(self, ids: list[int], own: bool) -> None:
        self.session.read(self.number, ids)
        self.episode.ids += ids
        self.episode.sampled += [own] * len(ids)


def _number_anchors(lanes: Sequence[_Lane], group_size: int) -> None:
    """Give equal states of one group equal numbers, in order of appearance (hashes differ from process to process)."""
    for first in range(0, len(lanes), group_size):
        known: dict[Hashable, int] = {}
        for lane in lanes[first : first + group_size]:
            for turn, anchor in zip(lane.episode.turns, lane.anchors, strict=False):
                turn.anchor = known.setdefault(anchor, len(known))
