"""Formulas as tokens."""

OPERATORS = "+-*/()"


def read_number(text, start):
    """The number at a position and the position after it."""
    end = start
    while end < len(text) and text[end].isdigit():
        end += 1
    return int(text[start:end]), end


def read_name(text, start):
    """The name at a position and the position after it."""
    end = start
    while end < len(text) and text[end].isalpha():
        end += 1
    return text[start:end], end


def tokens(text):
    """Numbers, names and operators of a formula."""
    found = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == " ":
            at += 1
        elif letter.isdigit():
            number, at = read_number(text, at)
            found.append(number)
        elif letter.isalpha():
            name, at = read_name(text, at)
            found.append(name)
        elif letter in OPERATORS:
            found.append(letter)
            at += 1
        else:
            raise ValueError("what is " + letter)
    return found
