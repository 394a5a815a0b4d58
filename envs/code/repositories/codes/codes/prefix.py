"""Prefix codes: no code is the start of another."""


def huffman_lengths(weights):
    """The length of each symbol's code in an optimal prefix code."""
    lengths = dict.fromkeys(weights, 0)
    groups = sorted((weight, [symbol]) for symbol, weight in weights.items())
    while len(groups) > 1:
        first, second = groups[0], groups[1]
        joined = (first[0] + second[0], sorted(first[1] + second[1]))
        for symbol in joined[1]:
            lengths[symbol] += 1
        groups = sorted(groups[2:] + [joined])
    return lengths


def canonical(lengths):
    """Codes of given lengths: counting up, by length and then by symbol."""
    codes = {}
    code = 0
    last = 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code <<= length - last
        codes[symbol] = format(code, "b").zfill(length)
        code += 1
        last = length
    return codes


def is_prefix_free(codes):
    """Whether no code begins with another."""
    for first in codes:
        for second in codes:
            if first != second and codes[second].startswith(codes[first]):
                return False
    return True


def decode(codes, bits):
    """The symbols of a text of bits."""
    symbols = {code: symbol for symbol, code in codes.items()}
    found = []
    word = ""
    for bit in bits:
        word += bit
        if word in symbols:
            found.append(symbols[word])
            word = ""
    if word:
        raise ValueError("bits are left over")
    return found
