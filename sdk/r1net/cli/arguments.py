"""Options that every command of a program takes may stand anywhere on its line."""

from __future__ import annotations

from itertools import islice


def shared_first(arguments: list[str], shared: tuple[str, ...]) -> list[str]:
    """The options that every command takes, moved to where the parser looks for them: they may stand anywhere."""
    front, rest = [], []
    words = iter(arguments)
    for word in words:
        if word == "--json" or word.startswith(tuple(f"{name}=" for name in shared)):
            front.append(word)
        elif word in shared:
            front += [word, *islice(words, 1)]
        else:
            rest.append(word)
    return front + rest
