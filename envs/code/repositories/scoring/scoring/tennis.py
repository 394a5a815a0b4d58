"""Tennis: points of a game and games of a set; players are 0 and 1."""


def winner_of_game(points):
    """Who has won a game after a list of points, or None."""
    score = [0, 0]
    for player in points:
        score[player] += 1
        if score[player] >= 4 and score[player] - score[1 - player] >= 2:
            return player
    return None


def is_deuce(points):
    """Whether both have at least three points and the same number."""
    first, second = points.count(0), points.count(1)
    return first == second and first >= 3


def winner_of_set(games, needed=6):
    """Who has won a set after a list of games, or None; two ahead, or one more after 6 : 6."""
    won = [0, 0]
    for player in games:
        won[player] += 1
        lead = won[player] - won[1 - player]
        if won[player] >= needed and lead >= 2:
            return player
        if won[player] == needed + 1 and lead == 1:
            return player
    return None
