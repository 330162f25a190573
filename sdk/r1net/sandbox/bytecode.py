"""Byte-code of a job's libraries, so that each fresh process imports them quickly.

Strangers' files are compiled by a child of their own zygote. What it says is written down as it is and never loaded
here: only that job's processes read it, so a lie in it is one more file of the job's. Files are marked (PEP 552) as
not to be compared with their sources, which don't change.
"""

from __future__ import annotations

import logging
import time
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

from r1net.sandbox.process import Child, Ended, Zygote
from r1net.sandbox.wheels import MOST_BYTES

log = logging.getLogger(__name__)

_HEADER = MAGIC_NUMBER + (0b01).to_bytes(4, "little") + bytes(8)
"""Flags: by hash, unchecked; then the hash, which nobody looks at."""
_FILE_SECONDS = 5.0
_SECONDS = 120.0
_BATCH = 256


def write_bytecode(zygote: Zygote, site: Path) -> None:
    """Write what can be compiled in two minutes; what can't is compiled by whoever imports it."""
    files = sorted(site.rglob("*.py"))
    deadline, room, done = time.monotonic() + _SECONDS, MOST_BYTES, 0
    while done < len(files) and time.monotonic() < deadline and room > 0:
        batch = files[done : done + _BATCH]
        child = zygote.fork()
        try:
            child.tell({"op": "compile", "files": [str(path) for path in batch], "seconds": _FILE_SECONDS})
            for path in batch:
                room -= _write(child, path, room)
                done += 1
        except Ended as error:
            log.info("%s can't be compiled: %s", files[done].name, error)
            done += 1
        finally:
            child.end()


def _write(child: Child, path: Path, room: int) -> int:
    _, attachments = child.hear_all(_FILE_SECONDS)
    data = attachments[0] if attachments else b""
    if not data or len(data) > room:
        return 0
    target = Path(cache_from_source(str(path), optimization=""))
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(_HEADER + data)
    return len(data)
