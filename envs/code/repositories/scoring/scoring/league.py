"""A league: results are tuples (home, away, goals at home, goals away)."""


def points_of(mine, theirs, win=3):
    """Points of a match."""
    if mine > theirs:
        return win
    if mine == theirs:
        return 1
    return 0


def standings(results):
    """Team -> [points, goal difference, goals]."""
    table = {}
    for home, away, scored, conceded in results:
        for team, mine, theirs in ((home, scored, conceded), (away, conceded, scored)):
            row = table.setdefault(team, [0, 0, 0])
            row[0] += points_of(mine, theirs)
            row[1] += mine - theirs
            row[2] += mine
    return table


def ranking(results):
    """Teams by points, difference, goals, then name."""
    table = standings(results)
    return sorted(table, key=lambda team: ([-value for value in table[team]], team))


def longest_run(results, team):
    """The most matches in a row that a team did not lose."""
    longest = 0
    run = 0
    for home, away, scored, conceded in results:
        if team not in (home, away):
            continue
        mine = scored - conceded if team == home else conceded - scored
        if mine < 0:
            run = 0
        else:
            run += 1
            longest = max(longest, run)
    return longest
