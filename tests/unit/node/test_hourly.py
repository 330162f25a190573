"""What work brings an hour."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from r1net.protocol.job import Prices
from r1node.hourly import Work, an_hour, worked_on

PRICES = Prices(rollout_token=3, trained_token=5, verified_token=7)
KINDS = {"rollout": 3, "train": 5, "verify": 7, "recompute": 7}


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 10**6)), min_size=2, max_size=20))
def test_each_kind_at_its_price_and_not_what_came_before_the_clock(tasks: list[tuple[str, int]]) -> None:
    done = [Work(1000.0 + 60 * at, kind, tokens) for at, (kind, tokens) in enumerate(tasks)]
    brought = sum(tokens * KINDS[kind] for kind, tokens in tasks[1:])
    assert an_hour(done, PRICES, 1000.0 + 1800) == brought * 2
    assert an_hour(done[:1], PRICES, 5000.0) is None


def test_journals_of_all_workers_are_read_and_their_torn_lines_are_not(tmp_path: Path) -> None:
    for worker, times in (("0", (100.0, 300.0)), ("1", (200.0,))):
        path = tmp_path / worker / "jobs" / "0xabc" / "metrics.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(
            "".join(json.dumps({"time": at, "kind": "rollout", "tokens": 1}) + "\n" for at in times) + '{"ti'
        )
    assert [work.time for work in worked_on(tmp_path, 150.0)["0xabc"]] == [200.0, 300.0]
    assert worked_on(tmp_path, 400.0) == {}
