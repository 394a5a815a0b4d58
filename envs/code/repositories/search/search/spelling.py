"""Suggestions for words that are not in the index."""


def edits(first, second):
    """The fewest insertions, deletions and replacements of letters from one word to another."""
    row = list(range(len(second) + 1))
    for at, letter in enumerate(first):
        last = row
        row = [at + 1]
        for place, other in enumerate(second):
            cost = 0 if letter == other else 1
            row.append(min(last[place] + cost, last[place + 1] + 1, row[place] + 1))
    return row[-1]


def suggest(word, known, most=2):
    """The known word with the fewest edits, the first by name among equals; None beyond the most."""
    best = None
    least = most + 1
    for candidate in sorted(known):
        number = edits(word, candidate)
        if number < least:
            best, least = candidate, number
    return best


def common_start(first, second):
    """The number of letters that two words share at their start."""
    count = 0
    for letter, other in zip(first, second):
        if letter != other:
            break
        count += 1
    return count


def completions(start, known, most=3):
    """Known words that begin like this, the shortest first."""
    fitting = [word for word in known if common_start(start, word) == len(start)]
    return sorted(fitting, key=lambda word: (len(word), word))[:most]
