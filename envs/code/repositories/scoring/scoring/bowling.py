"""Bowling: ten frames; a strike counts the next two rolls as well, a spare the next one."""


def frame_starts(rolls):
    """The index of the first roll of each of the first ten frames."""
    starts = []
    at = 0
    while at < len(rolls) and len(starts) < 10:
        starts.append(at)
        at += 1 if rolls[at] == 10 else 2
    return starts


def frame_score(rolls, at):
    """The score of a frame that starts with a roll."""
    first_two = sum(rolls[at : at + 2])
    if rolls[at] == 10 or first_two == 10:
        return sum(rolls[at : at + 3])
    return first_two


def game_score(rolls):
    """The score of a game."""
    total = 0
    for at in frame_starts(rolls):
        total += frame_score(rolls, at)
    return total


def strikes(rolls):
    """The number of frames that began with a strike."""
    return sum(1 for at in frame_starts(rolls) if rolls[at] == 10)
