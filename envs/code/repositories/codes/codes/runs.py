"""Run lengths."""


def packed(text):
    """Pairs [letter, how often in a row]."""
    runs = []
    for letter in text:
        if runs and runs[-1][0] == letter:
            runs[-1][1] += 1
        else:
            runs.append([letter, 1])
    return runs


def unpacked(runs):
    """The text of runs."""
    return "".join(letter * count for letter, count in runs)


def longest_run(text):
    """The letter that occurs most often in a row, the first among equals; None for an empty text."""
    best = None
    most = 0
    for letter, count in packed(text):
        if count > most:
            best, most = letter, count
    return best


def shifted(text, by):
    """A text whose letters are moved in the alphabet; other signs stay."""
    result = ""
    for letter in text:
        if "a" <= letter <= "z":
            result += chr((ord(letter) - ord("a") + by) % 26 + ord("a"))
        else:
            result += letter
    return result
