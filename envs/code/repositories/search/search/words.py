"""Texts as words."""

COMMON = ("a", "an", "and", "of", "the", "to")


def words(text, common=COMMON):
    """Lower-case words without common ones."""
    found = []
    word = ""
    for letter in text.lower() + " ":
        if letter.isalnum():
            word += letter
        elif word:
            if word not in common:
                found.append(word)
            word = ""
    return found


def stem(word):
    """A word without a plural ending."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        return word[:-1]
    return word


def counts(items):
    """How often each item occurs."""
    found = {}
    for item in items:
        found[item] = found.get(item, 0) + 1
    return found
