"""The model folder that the server reads: config.json, and weights that are rewritten in place for every push."""

from __future__ import annotations

import json
import mmap
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below it is made for this process alone
ALIGNMENT = 64


class ModelFolder:
    """`path` leads to a private folder, in shared memory where there is room, else beside it. `remove` ends both.

    The path stays the same from run to run: what vLLM compiled is kept under a name made of it.
    """

    def __init__(self, config: Any, dtype: torch.dtype, path: Path) -> None:
        self._config, self._dtype, self.path = config, dtype, path
        self._place: Path | None = None
        self._header = b""
        self._map: mmap.mmap | None = None

    @property
    def written(self) -> bool:
        """Whether there are weights."""
        return self._map is not None

    def write(self, weights: Mapping[str, Tensor]) -> None:
        """Write model.safetensors in the folder's precision.

        The file keeps its pages from one push to the next: fresh memory can be many times slower to touch.
        """
        header, offsets, size = _layout(weights, self._dtype)
        if self._map is None or header != self._header:
            self._create(header, size)
        assert self._map is not None
        for name, tensor in weights.items():
            place = torch.frombuffer(
                self._map, dtype=self._dtype, count=tensor.numel(), offset=len(header) + offsets[name]
            )
            place.view(tensor.shape).copy_(tensor)

    def remove(self) -> None:
        """Delete the folder. The mapping ends with the last view of it."""
        self._map = None
        self.path.unlink(missing_ok=True)
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)
            self._place = None

    def _create(self, header: bytes, size: int) -> None:
        self.remove()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._place = Path(tempfile.mkdtemp(prefix="r1node-vllm-", dir=self._room(2 * size)))
        self.path.symlink_to(self._place)
        config = self._config.to_dict() | {"torch_dtype": str(self._dtype).removeprefix("torch.")}
        (self._place / "config.json").write_text(json.dumps(config, default=str))
        with (self._place / "model.safetensors").open("w+b") as file:
            file.write(header)
            file.truncate(len(header) + size)
            file.flush()
            self._map = mmap.mmap(file.fileno(), 0)
        self._header = header

    def _room(self, needed: int) -> Path:
        roomy = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > needed
        return SHARED_MEMORY if roomy else self.path.parent


def _layout(weights: Mapping[str, Tensor], dtype: torch.dtype) -> tuple[bytes, dict[str, int], int]:
    """The header of a safetensors file, where each tensor begins after it, and the size of all of them in bytes."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offsets, end = {}, 0
    for name, tensor in weights.items():
        offsets[name] = end
        end += tensor.numel() * dtype.itemsize
        entries[name] = {"dtype": NAMES[dtype], "shape": list(tensor.shape), "data_offsets": [offsets[name], end]}
    text = json.dumps(entries).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, offsets, end
