"""Batches made by hand, small enough to compute with a pencil."""

import torch

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.surrogate import clipped_surrogate
from agentgym.agents.language.loop.trajectory import Episode, Turn, collate
from agentgym.agents.language.methods.plugin import Terms


def episode(group=0, rewards=(0.0,), logps=None, entropies=None, anchors=None, ended="truncated", problems=None):
    """An episode with one sampled token a turn; token ids are 10 plus the turn."""
    made = Episode(group, seed=group, ended=ended, won=sum(rewards) > 0)
    for step, reward in enumerate(rewards):
        made.ids += [1, 10 + step]
        made.sampled += [False, True]
        problem = problems[step] if problems else None
        made.turns.append(
            Turn(
                anchor=anchors[step] if anchors else step,
                positions=[len(made.ids) - 1],
                logps=[logps[step] if logps else -1.0],
                entropies=[entropies[step] if entropies else 1.0],
                reward=reward,
                valid=problem is None,
                problem=problem,
            )
        )
    return made


def batch(*episodes):
    return collate(list(episodes), choosing=False)


def close(found, wanted, tolerance=1e-5):
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(wanted), rtol=tolerance, atol=tolerance)


def flat(logps, old=None, acted=None, entropies=None, advantages=1.0, turns=None, settings=None):
    """Terms of a surrogate loss over one episode's decisions, from lists; ``turns``: decisions of each turn."""
    old = logps if old is None else old
    turns = [len(logps)] if turns is None else turns
    made = Episode(0, seed=0, ended="terminated")
    first = 0
    for count in turns:
        span = slice(first, first + count)
        size = len(made.ids)
        made.ids += [1] + [9] * count
        made.sampled += [False] + [True] * count
        made.turns.append(
            Turn(0, list(range(size + 1, size + 1 + count)), list(old[span]), [1.0] * count if entropies is None else
                 list(entropies[span]), None if acted is None else list(acted[span]))
        )  # fmt: skip
        first += count
    joined = collate([made], choosing=False)
    advantages = advantages if isinstance(advantages, list) else [advantages] * len(logps)
    joined.advantages = torch.tensor([advantages])
    return terms_of(joined, torch.tensor([logps], requires_grad=True), settings or LanguageConfig())


def terms_of(made, logp, settings):
    """The terms that the learner would pass to the first plug-in."""
    loss, clipped = clipped_surrogate(logp, made, made.advantages, settings)
    generator = torch.Generator().manual_seed(0)
    return Terms(loss, logp, made.old_entropy, clipped, made, settings, generator)
