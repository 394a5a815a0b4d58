"""Batches made by hand, small enough to compute with a pencil."""

import torch

from agentgym.agents.language.loop.trajectory import Episode, Turn, collate


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
