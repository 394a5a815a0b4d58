"""Shapes, sums and products."""


def shape(matrix):
    """Numbers of rows and columns; an error if rows differ in length."""
    width = len(matrix[0]) if matrix else 0
    for row in matrix:
        if len(row) != width:
            raise ValueError("rows differ in length")
    return len(matrix), width


def identity(size):
    """Ones on the diagonal."""
    return [[1 if row == column else 0 for column in range(size)] for row in range(size)]


def transposed(matrix):
    """Rows as columns."""
    return [list(column) for column in zip(*matrix)]


def product(first, second):
    """The matrix product."""
    if shape(first)[1] != shape(second)[0]:
        raise ValueError("shapes do not fit")
    columns = transposed(second)
    return [[sum(a * b for a, b in zip(row, column)) for column in columns] for row in first]


def power(matrix, exponent):
    """A square matrix multiplied with itself, by repeated squaring."""
    result = identity(len(matrix))
    while exponent > 0:
        if exponent % 2 == 1:
            result = product(result, matrix)
        matrix = product(matrix, matrix)
        exponent //= 2
    return result
