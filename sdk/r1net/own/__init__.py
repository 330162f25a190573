"""A submitter's own reward functions, from a Python function or file to what a job carries of them.

`source` finds the file and the function, `script` reads what the file says that it needs, `wheels` resolves that,
`kept` holds the bytes until they are uploaded, `trial` tries the function before anything is paid. It is run nowhere
but in `r1net.sandbox`, here too.
"""

from r1net.own.kept import kept_path, read_kept
from r1net.own.rewards import Reward, Rewards, reward_specs
from r1net.own.trial import try_own_rewards

__all__ = ["Reward", "Rewards", "kept_path", "read_kept", "reward_specs", "try_own_rewards"]
