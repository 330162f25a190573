"""README's table of models, of what is supported and tested. `python -m tests.unit.node.models_table` writes it."""

from __future__ import annotations

from pathlib import Path

from r1net.protocol.architectures import FAMILIES, REFUSED
from tests.unit.node.zoo import ZOO

README = Path(__file__).resolve().parents[3] / "README.md"
BEGIN, END = "<!-- models: python -m tests.unit.node.models_table -->", "<!-- end of models -->"


def table() -> str:
    """A line for each family, and one for each that is refused."""
    lines = [
        "| models | `model_type` | sampled and trained by | vLLM | tried with | adapters on |",
        "|---|---|---|---|---|---|",
    ]
    kinds = {name: exhibit.make().config.model_type for name, exhibit in ZOO.items()}
    for kind, family in FAMILIES.items():
        tried = ", ".join(name.partition(", ")[2] or "as it comes" for name, found in kinds.items() if found == kind)
        how = "own kernels, where nothing special is asked for" if family.plain else "transformers"
        vllm = "yes" if family.vllm else "–"
        lines.append(f"| {family.title} | `{kind}` | {how} | {vllm} | {tried} | {', '.join(family.linears)} |")
    lines += ["", "Refused, among others:", ""]
    lines += [f"- `{kind}`: {reason}" for kind, reason in REFUSED.items()]
    return "\n".join(lines)


def written(text: str) -> str:
    """The README with the table in its place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
