"""Cells and their neighbours."""


def inside(rows, cell):
    """Whether a cell lies on the grid."""
    row, column = cell
    return 0 <= row < len(rows) and 0 <= column < len(rows[0])


def at(rows, cell, outside="#"):
    """The character of a cell; a wall outside of the grid."""
    if not inside(rows, cell):
        return outside
    return rows[cell[0]][cell[1]]


def neighbours(cell, diagonal=False):
    """The four or eight cells around one, row by row."""
    row, column = cell
    found = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down == 0 and right == 0:
                continue
            if diagonal or down == 0 or right == 0:
                found.append((row + down, column + right))
    return found


def distance(first, second):
    """Steps between two cells without walls."""
    return abs(first[0] - second[0]) + abs(first[1] - second[1])
