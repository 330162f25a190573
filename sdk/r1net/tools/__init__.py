"""What may answer a model in the middle of a completion, by name: pure functions of problem and turns."""

from r1net.tools.base import Tool
from r1net.tools.registry import check, computed_outside, make, names

__all__ = ["Tool", "check", "computed_outside", "make", "names"]
