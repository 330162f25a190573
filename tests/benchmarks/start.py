"""How long a command takes to say its first word: `python -m tests.benchmarks.start`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 10
COMMANDS = (
    ("r1node.cli.main", "--help"),
    ("r1node.cli.main", "join", "--help"),
    ("r1node.cli.main", "--version"),
    ("r1node.cli.main", "join", "--data-dir", "keyless"),
    ("r1net.cli.main", "--help"),
    ("r1coordinator.cli", "--help"),
)


def first_word(program: str, *arguments: str) -> float:
    """Seconds from the start of a process to the first byte that it prints."""
    code = f"import sys; sys.argv = ['program', *{arguments!r}]\nfrom {program} import main\nmain()"
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as home:
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env | {"HOME": home},
            cwd=home,
        ) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            seconds = time.perf_counter() - started
            process.stdout.read()
    return seconds


def main() -> None:
    """Print a line for each command."""
    for command in COMMANDS:
        seconds = [first_word(*command) for _ in range(RUNS)]
        least, median = min(seconds), statistics.median(seconds)
        print(f"{' '.join(command):<50} least {least:.2f} s, median {median:.2f} s")


if __name__ == "__main__":
    main()
