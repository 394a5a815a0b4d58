"""Pictures and tables."""

from matrices.basic import transposed


def turned(picture, times=1):
    """A picture turned to the right by quarters."""
    for _ in range(times % 4):
        picture = transposed(picture[::-1])
    return picture


def spiral(picture):
    """All values from the outside to the inside, clockwise."""
    found = []
    while picture:
        found += picture[0]
        picture = turned(picture[1:], 3)
    return found


def best_path(costs):
    """The lowest sum on the way from the first to the last cell, going right or down."""
    best = {}
    for row in range(len(costs)):
        for column in range(len(costs[0])):
            before = []
            if row > 0:
                before.append(best[row - 1, column])
            if column > 0:
                before.append(best[row, column - 1])
            best[row, column] = costs[row][column] + min(before, default=0)
    return best[len(costs) - 1, len(costs[0]) - 1]


def saddle_points(table):
    """Cells (row, column) that are the largest of their row and the smallest of their column."""
    columns = transposed(table)
    return [
        (row, column)
        for row, values in enumerate(table)
        for column, value in enumerate(values)
        if value == max(values) and value == min(columns[column])
    ]
