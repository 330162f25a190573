"""Environments of others as jobs: their tasks become rows, and one file that plays them becomes the tool and the
reward.

    from r1net.adapters import openenv

    game = openenv.job("my_game.py:Game", range(200))
    client.train(**game.arguments, model=…, rounds=…, budget=…)

The file travels with wheels of what it imports and is run in sandboxes alone, as every reward of a submitter's own is:
an environment that needs a network, a container, other models or files is refused in words. To read its tasks, the
environment is run once on the submitter's machine, in a virtual environment of its own (`places`).
"""
