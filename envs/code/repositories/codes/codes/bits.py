"""Lists of bits."""


def parity(bits):
    """1 if the number of ones is odd."""
    return sum(bits) % 2


def with_parity(bits):
    """Bits and one more that makes the number of ones even."""
    return bits + [parity(bits)]


def differences(first, second):
    """The number of places in which two lists differ."""
    if len(first) != len(second):
        raise ValueError("lengths differ")
    return sum(1 for one, other in zip(first, second) if one != other)


def hamming(bits):
    """Four bits as seven; checks stand at places 1, 2 and 4."""
    a, b, c, d = bits
    return [(a + b + d) % 2, (a + c + d) % 2, a, (b + c + d) % 2, b, c, d]


def corrected(word):
    """The four bits of seven, of which at most one is wrong."""
    wrong = 0
    for check in (1, 2, 4):
        covered = [bit for place, bit in enumerate(word, start=1) if place & check]
        if parity(covered) == 1:
            wrong += check
    word = list(word)
    if wrong > 0:
        word[wrong - 1] = 1 - word[wrong - 1]
    return [word[2], word[4], word[5], word[6]]


def gray(number):
    """The Gray code of a number: neighbours differ in one bit."""
    return number ^ (number >> 1)
