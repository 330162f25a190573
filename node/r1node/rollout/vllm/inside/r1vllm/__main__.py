"""`python -m r1vllm READY OPTIONS`: load, write the port to the file READY, serve until the parent is gone.

OPTIONS is JSON: `folder` with the model, `llm` with options for vLLM. The key is in R1_VLLM_KEY, where other users
cannot read it. Standard input is a pipe that nobody writes to: its end means that the node is gone, however it died.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path


def main() -> None:
    """Start up; torch and vLLM take their settings from the environment, so they are imported last."""
    ready, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    threading.Thread(target=_die_with_parent, args=(Path(options["folder"]),), daemon=True).start()
    import vllm  # noqa: PLC0415

    from .generator import Generator  # noqa: PLC0415
    from .service import serve  # noqa: PLC0415

    generator = Generator(options["folder"], options["llm"])
    wrong = generator.check(options["folder"])
    if wrong:
        raise SystemExit(f"these layers don't compute with the weights given: {', '.join(wrong)}")
    server = serve(generator, os.environ.pop("R1_VLLM_KEY"), {"vllm": vllm.__version__})
    scratch = ready.with_suffix(".new")
    scratch.write_text(str(server.server_port))
    scratch.replace(ready)
    server.serve_forever()


def _die_with_parent(model: Path) -> None:
    """When standard input ends, end this process and all that it started. The copy of the weights lies in memory: it
    goes too."""
    os.read(0, 1)
    shutil.rmtree(model.resolve(), ignore_errors=True)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
