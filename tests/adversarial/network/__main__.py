"""`make cheats`: every cheat as a real node in a real network, and a table of what came of it.

    python -m tests.adversarial.network greedy zeros     these alone

Ends with exit code 1 unless every one of them met its fate. The figures go below build/cheats as JSON, too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time

from tests.adversarial.network.catalogue import CHEATS
from tests.adversarial.network.gallery import Gallery
from tests.adversarial.network.table import show, write
from tests.e2e.harness.chain import ROOT
from tests.e2e.harness.network import single_threaded

FOLDER = ROOT / "build" / "cheats"


def say(words: str) -> None:
    """Progress for people."""
    print(f"{time.strftime('%H:%M:%S')}  {words}", flush=True)


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="make cheats", description=__doc__)
    parser.add_argument("cheats", nargs="*", metavar="CHEAT", help=", ".join(CHEATS))
    chosen = parser.parse_args().cheats or list(CHEATS)
    unknown = [name for name in chosen if name not in CHEATS]
    if unknown:
        parser.error(f"no such cheat: {', '.join(unknown)}")
    single_threaded()
    shutil.rmtree(FOLDER, ignore_errors=True)
    gallery = Gallery(FOLDER / "network", say)
    try:
        gallery.open()
        outcomes = []
        for outcome in gallery.show([CHEATS[name] for name in chosen]):
            outcomes.append(outcome)
            write(FOLDER / "cheats.json", outcomes)
    finally:
        gallery.close()
    show(outcomes)
    return 0 if all(outcome.stands for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
