"""The gallery of cheats: hosts that cheat, each a process of its own, in a real network. See `__main__`."""
