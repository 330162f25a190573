"""`make cheats`: every cheat as a real node in a real network, and a table of what came of it.

    make cheats CHEATS=greedy,zeros     these alone

Ends with exit code 1 unless every one of them met its fate. The figures go below build/cheats as JSON, too.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time

from tests.adversarial.network.catalogue import CHEATS
from tests.adversarial.network.gallery import SETTINGS, Gallery
from tests.adversarial.network.table import show, write
from tests.e2e.harness.chain import ROOT
from tests.e2e.harness.network import Network, single_threaded

FOLDER = ROOT / "build" / "cheats"


def say(words: str) -> None:
    """Progress for people."""
    print(f"{time.strftime('%H:%M:%S')}  {words}", flush=True)


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="make cheats", description=__doc__)
    parser.add_argument("--cheats", default=",".join(CHEATS), metavar="CHEAT,…", help=", ".join(CHEATS))
    chosen = parser.parse_args().cheats.split(",")
    unknown = [name for name in chosen if name not in CHEATS]
    if unknown:
        parser.error(f"no such cheat: {', '.join(unknown)}")
    single_threaded()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the `finally` below: no process is left behind
    shutil.rmtree(FOLDER, ignore_errors=True)
    network = Network(FOLDER / "network", settings=SETTINGS)
    outcomes = []
    try:
        with Gallery(network, say) as gallery:
            for outcome in gallery.show([CHEATS[name] for name in chosen]):
                outcomes.append(outcome)
                write(FOLDER / "cheats.json", outcomes)
    finally:
        network.stop()
    show(outcomes)
    return 0 if all(outcome.stands for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
