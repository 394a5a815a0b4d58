"""Connected regions."""

from grid.cells import at, inside, neighbours


def region(rows, start):
    """All cells with the same character that are connected with one, sorted."""
    letter = at(rows, start)
    seen = {start}
    waiting = [start]
    while waiting:
        cell = waiting.pop()
        for other in neighbours(cell):
            if inside(rows, other) and other not in seen and at(rows, other) == letter:
                seen.add(other)
                waiting.append(other)
    return sorted(seen)


def count_regions(rows, letter):
    """The number of regions of a character."""
    seen = set()
    count = 0
    for row in range(len(rows)):
        for column in range(len(rows[0])):
            if rows[row][column] == letter and (row, column) not in seen:
                seen.update(region(rows, (row, column)))
                count += 1
    return count


def border_length(rows, start):
    """The number of sides of a region that face another character or the outside."""
    letter = at(rows, start)
    sides = 0
    for cell in region(rows, start):
        for other in neighbours(cell):
            if at(rows, other, outside="") != letter:
                sides += 1
    return sides
