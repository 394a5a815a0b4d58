"""Values and texts of trees."""


def evaluate(tree, names=None):
    """The value of a tree; division rounds down."""
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return (names or {})[tree]
    sign, left, right = tree
    first, second = evaluate(left, names), evaluate(right, names)
    if sign == "+":
        return first + second
    if sign == "-":
        return first - second
    if sign == "*":
        return first * second
    return first // second


def names_in(tree):
    """All names in a tree, sorted."""
    if isinstance(tree, str):
        return [tree]
    if isinstance(tree, int):
        return []
    return sorted(set(names_in(tree[1]) + names_in(tree[2])))


def depth(tree):
    """The number of operators on the longest way down."""
    if not isinstance(tree, tuple):
        return 0
    return 1 + max(depth(tree[1]), depth(tree[2]))


def show(tree):
    """A tree as text, with brackets around every operation but the outermost."""
    if not isinstance(tree, tuple):
        return str(tree)
    sign, left, right = tree
    parts = ["(" + show(part) + ")" if isinstance(part, tuple) else show(part) for part in (left, right)]
    return parts[0] + sign + parts[1]
