"""Every cheat as a real node in a real network: caught or refused, nothing false paid, nobody honest harmed. Minutes.

What gets through is named in the catalogue: `unseen` can't be told from rounding, `dear` is caught in part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adversarial.network.catalogue import CHEATS
from tests.adversarial.network.gallery import SETTINGS, Gallery
from tests.adversarial.network.outcomes import Outcome
from tests.e2e.harness.network import Network, single_threaded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """All of them, shown once."""
    single_threaded()
    folder: Path = tmp_path_factory.mktemp("gallery")
    network = Network(folder, settings=SETTINGS)
    try:
        with Gallery(network, print) as gallery:
            yield {outcome.name: outcome for outcome in gallery.show(list(CHEATS.values()))}
    finally:
        network.stop()


def test_what_gets_through_is_known() -> None:
    """The short list, so that it doesn't grow by itself."""
    assert {name for name, cheat in CHEATS.items() if cheat.fate in ("unseen", "dear")} == {"int8", "colluders"}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_meets_its_fate(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.lies > 0, "it did what it was started for"
    assert not outcome.honest_rejected
    assert not outcome.honest_charged
    assert outcome.job == "completed"
    assert outcome.stands, outcome.model_dump_json(indent=2)
    if outcome.fate in ("caught", "refused", "unpaid"):
        assert outcome.paid == 0
    if outcome.fate in ("caught", "dear"):
        assert outcome.profit is not None
        assert outcome.profit < 0
