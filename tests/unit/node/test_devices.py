"""A GPU has one worker, and a command gives each a worker."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from r1net.errors import PreflightError, UsageError
from r1node.devices import each_device, own_device, worker_names

TWO = ("cuda:0", "cuda:1")


def test_auto_takes_the_first_gpu_that_is_free(tmp_path: Path) -> None:
    with ExitStack() as stack:
        taken = [stack.enter_context(own_device("auto", tmp_path, TWO)) for _ in TWO]
        assert taken == ["cuda:0", "cuda:1"]
        for wanted, words in (("auto", "every GPU"), ("cuda", "cuda:0 has"), ("cuda:1", "cuda:1 has")):
            with pytest.raises(PreflightError, match=words), own_device(wanted, tmp_path, TWO):
                pass
        with own_device("cpu", tmp_path, TWO) as device:
            assert device == "cpu"
        with own_device("auto", tmp_path / "another host", TWO) as device:
            assert device == "cuda:0"
    with own_device("cuda:1", tmp_path, TWO) as device, own_device("auto", tmp_path, TWO) as other:
        assert (device, other) == ("cuda:1", "cuda:0"), "they are free again"


def test_without_a_gpu_auto_is_the_processor(tmp_path: Path) -> None:
    with own_device("auto", tmp_path, ()) as first, own_device("auto", tmp_path, ()) as second:
        assert (first, second) == ("cpu", "cpu")
    with pytest.raises(PreflightError, match="no cuda:0 on this machine"), own_device("cuda", tmp_path, ()):
        pass


def test_lists_of_devices() -> None:
    assert each_device("all", TWO) == each_device("cuda:0, cuda:1", TWO) == TWO
    assert worker_names(("cuda:1", "cpu", "cuda:3", "cpu")) == ("gpu1", "cpu0", "gpu3", "cpu1")
    for wrong, words in (("all", "no GPU"), ("cuda:0", "no 'cuda:0'"), (" , ", "no device"), ("gpu", "no 'gpu'")):
        with pytest.raises(UsageError, match=words):
            each_device(wrong, ())
    with pytest.raises(UsageError, match="twice"):
        each_device("cuda:0,cuda:0", TWO)
