"""Settings for every test."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # machines are shared: how long an example takes says nothing
settings.load_profile("unhurried")
