"""A submitter's own rewards and tools, from a Python function or file to what a job carries of them.

`source` finds the file and the function, `script` reads what the file says that it needs, `wheels` resolves that,
`trial` and `tool_trial` try the function before anything is paid; the bytes lie among the local files until they are
uploaded. It is run nowhere but in `r1net.sandbox`, here too.
"""

from r1net.own.rewards import Reward, Rewards, reward_specs
from r1net.own.tool_trial import try_own_tool
from r1net.own.tools import Tool, ToolLike, tool_turns
from r1net.own.trial import try_own_rewards

__all__ = ["Reward", "Rewards", "Tool", "ToolLike", "reward_specs", "tool_turns", "try_own_rewards", "try_own_tool"]
