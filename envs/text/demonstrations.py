"""Expert demonstrations for imitation learning."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from agentgym.envs.text.text_env import TextEnv
from agentgym.errors import InvalidParameter
from agentgym.seeding import stream

__all__ = ["Demonstration", "Expert", "Row", "demonstrations"]

Expert = Literal["oracle", "explorer"]


class Row(NamedTuple):
    """One turn.

    Attributes:
        observation: the observation before the command.
        commands: the admissible commands, including ``action`` and ``given``.
        action: the expert's command, the target of imitation.
        given: the command that was executed; differs from ``action`` if the turn was random.
    """

    observation: str
    commands: list[str]
    action: str
    given: str


@dataclass(frozen=True)
class Demonstration:
    """One episode.

    Attributes:
        seed: seed of the environment's reset.
        task: the task in words.
        rows: the turns.
        won: whether the episode succeeded within the environment's turns.
    """

    seed: int
    task: str
    rows: list[Row]
    won: bool


def demonstrations(
    env: TextEnv, seeds: Iterable[int], expert: Expert = "oracle", random_share: float = 0.0
) -> Iterator[Demonstration]:
    """Play one episode per seed with an expert.

    Args:
        env: any text environment, unwrapped. It is reset with each seed.
        seeds: equal seeds give equal demonstrations.
        expert: "oracle" knows the whole state and takes the shortest way; "explorer" (not all have one) uses only what
            it has observed, so it can be imitated.
        random_share: probability that a turn's command is drawn from the admissible ones, so that demonstrations also
            show how the expert continues from other states.

    Raises:
        InvalidParameter: the expert is unknown or does not support this world, or ``random_share`` is not in [0, 1).
    """
    if expert not in ("oracle", "explorer"):
        raise InvalidParameter(f'expert must be "oracle" or "explorer", not {expert!r}.')
    if expert == "explorer" and not env.world.can_explore:
        raise InvalidParameter('The expert "explorer" supports only households and code repair; use "oracle".')
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
        # A game that can no longer be won has no plan, so the demonstration ends here.
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
