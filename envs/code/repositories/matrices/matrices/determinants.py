"""Determinants."""

from matrices.basic import shape


def minor(matrix, row, column):
    """The matrix without a row and a column."""
    return [
        [value for place, value in enumerate(values) if place != column]
        for number, values in enumerate(matrix)
        if number != row
    ]


def determinant(matrix):
    """The determinant, along the first row."""
    rows, columns = shape(matrix)
    if rows != columns:
        raise ValueError("not square")
    if rows == 0:
        return 1
    total = 0
    sign = 1
    for column, value in enumerate(matrix[0]):
        total += sign * value * determinant(minor(matrix, 0, column))
        sign = -sign
    return total


def is_symmetric(matrix):
    """Whether a matrix equals its transposed."""
    size = len(matrix)
    for row in range(size):
        for column in range(row):
            if matrix[row][column] != matrix[column][row]:
                return False
    return True


def trace(matrix, offset=0):
    """The sum along a diagonal, the main one or one to its right."""
    total = 0
    for row in range(len(matrix)):
        if row + offset < len(matrix[row]):
            total += matrix[row][row + offset]
    return total
