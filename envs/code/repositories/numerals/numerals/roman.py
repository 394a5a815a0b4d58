"""Roman numerals."""

VALUES = [
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
]  # fmt: skip
LETTERS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def to_roman(number):
    """A number from 1 to 3999 as a Roman numeral."""
    if number < 1 or number > 3999:
        raise ValueError("out of range")
    text = ""
    for value, letters in VALUES:
        while number >= value:
            text += letters
            number -= value
    return text


def from_roman(text):
    """The number of a Roman numeral."""
    total = 0
    for at, letter in enumerate(text):
        value = LETTERS[letter]
        if at + 1 < len(text) and LETTERS[text[at + 1]] > value:
            total -= value
        else:
            total += value
    return total


def is_roman(text):
    """Whether a text is the one right numeral of its number."""
    if not text or any(letter not in LETTERS for letter in text):
        return False
    number = from_roman(text)
    return 1 <= number <= 3999 and to_roman(number) == text
