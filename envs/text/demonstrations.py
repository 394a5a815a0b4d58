"""Expert trajectories, as a policy's imitation start needs them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agentgym.envs.text.door import TextEnv
from agentgym.errors import InvalidParameter
from agentgym.seeding import stream

__all__ = ["Demonstration", "Expert", "Row", "demonstrations"]

Expert = Literal["oracle", "explorer"]


class Row(NamedTuple):
    """One turn.

    Attributes:
        observation: what was seen before the command.
        commands: the admissible commands; ``action`` and ``given`` are among them.
        action: the expert's command, which is to be learned.
        given: the command that was given; another than ``action`` where the turn was random.
    """

    observation: str
    commands: list[str]
    action: str
    given: str


@dataclass(frozen=True)
class Demonstration:
    """One episode.

    Attributes:
        seed: with which the environment was reset.
        task: in words.
        rows: its turns.
        won: whether it ended in success within the environment's turns.
    """

    seed: int
    task: str
    rows: list[Row]
    won: bool


def demonstrations(
    env: TextEnv, seeds: Iterable[int], expert: Expert = "oracle", random_share: float = 0.0
) -> Iterator[Demonstration]:
    """One episode a seed, led by an expert.

    Args:
        env: any text environment, unwrapped. It is reset with each seed.
        seeds: the same seeds, the same demonstrations.
        expert: "oracle" knows all that is hidden and takes the shortest way; "explorer" (households only) knows what it
            has seen, looks for the rest, and can therefore be imitated.
        random_share: the probability with which a turn's command is drawn from the admissible ones instead, so that a
            policy also sees how the expert goes on from elsewhere.

    Raises:
        InvalidParameter: the expert is unknown or does not know this world, or ``random_share`` is not in [0, 1).
    """
    if expert not in ("oracle", "explorer"):
        raise InvalidParameter(f'expert must be "oracle" or "explorer", not {expert!r}.')
    if expert == "explorer" and not env.world.can_explore:
        raise InvalidParameter('The expert "explorer" knows its way in households only; take "oracle".')
    if not 0 <= random_share < 1:
        raise InvalidParameter(f"random_share must be in [0, 1), not {random_share!r}.")
    return (_episode(env, seed, expert, random_share) for seed in seeds)


def _episode(env: TextEnv, seed: int, expert: Expert, random_share: float) -> Demonstration:
    observation, info = env.reset(seed=seed)
    explorer = env.world.explorer() if expert == "explorer" else None
    chance = stream(seed, "demonstration")
    rows: list[Row] = []
    over = False
    while not over:
        commands = env.world.commands()
        # A game that can no longer be won has no plan: what was shown so far is all there is to show.
        plan = [explorer.command()] if explorer else env.plan()
        if not plan:
            break
        action = given = plan[0]
        if random_share and chance.random() < random_share:
            given = commands[chance.integers(len(commands))]
        rows.append(Row(observation, commands, action, given))
        observation, _, terminated, truncated, info = env.step(given)
        over = terminated or truncated
    return Demonstration(seed, info["task"], rows, info["won"])
