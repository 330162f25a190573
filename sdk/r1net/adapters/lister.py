"""Inside an adapter's own environment: reads a file that is to travel, asks it for rows, and tells which packages that
took. Imports nothing but the standard library; what the file prints goes to stderr."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

NONSENSE = "qwxyz"


def main() -> None:
    """`lister.py FILE`, with the request on stdin and the answer on stdout, both JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer = _answer(Path(sys.argv[1]), json.load(sys.stdin))
    answers.write(json.dumps(answer))
    answers.flush()
    os._exit(0)  # whatever threads the packages left behind


def _answer(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    try:
        spec = importlib.util.spec_from_file_location("__own__", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["__own__"] = module
        spec.loader.exec_module(module)
        rows = module.rows(request)
        for row in rows[:1]:  # what is imported only when the environment answers
            columns = {name: value for name, value in row.items() if name not in ("question", "messages")}
            if module.has_turns():
                module.play("", [NONSENSE], **columns)
            module.earned(completions=[NONSENSE], **{name: [value] for name, value in columns.items()})
    except Exception as error:
        return {"error": str(error) if type(error).__name__ == "RefusedError" else f"{type(error).__name__}: {error}"}
    loaded, strange = _loaded()
    loaded |= {_pin(importlib.metadata.distribution(name)) for name in request["named"]}
    return {
        "rows": rows,
        "packages": sorted(loaded, key=str.lower),
        "strange": sorted(strange),
        "played": module.has_turns(),
    }


def _loaded() -> tuple[set[str], set[str]]:
    """The packages, with their versions, that modules were loaded from; and modules that are of none."""
    owners: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        lines = (one.read_text("RECORD") or "").splitlines()
        owners |= dict.fromkeys((str(one.locate_file(line.partition(",")[0])) for line in lines), _pin(one))
    names: set[str] = set()
    strange: set[str] = set()
    standard = str(Path(os.__file__).parent)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name in ("__main__", "__own__"):
            continue
        if file in owners:
            names.add(owners[file])
        elif not file.startswith(standard) or "site-packages" in file:
            strange.add(name.partition(".")[0])
    return names, strange


def _pin(package: importlib.metadata.Distribution) -> str:
    return f"{package.metadata['Name']}=={package.version}"


main()
