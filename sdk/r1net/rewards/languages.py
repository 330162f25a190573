"""Which language a text is in, the same on every machine.

The model is py3langid's (naive Bayes over byte n-grams, "langid.py", ACL 2012), its languages those with a code of two
letters. The library adds in float32, in the order of the machine's BLAS: here the same scores are added as integers.
"""

from __future__ import annotations

import io
import lzma
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CODES = (
    "af am an ar as az ba be bg bn br bs ca cs cy da de dz el en eo es et eu fa fi fo fr fy ga gd gl gu ha he hi hr ht "
    "hu hy id ig is it ja jv ka kk km kn ko ku ky la lb lg ln lo lt lv mg mk ml mn mr ms mt my ne nl nn no oc om or pa "
    "pl ps pt qu ro ru rw sa se si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk ur uz vi vo wa xh yo zh "
    "zu"
)
LANGUAGES = frozenset(_CODES.split())
"""What `identify` may answer."""

_WEIGHT_SCALE, _COUNT_SCALE = 2**10, 2**20
"""The model's weights are float16 of at least 2, so multiples of 2⁻⁹: the first scale is exact."""


def identify(text: str) -> str | None:
    """The likeliest language (ISO 639-1); None where nothing in the text tells."""
    from py3langid.langid import LanguageIdentifier, visit_counts  # noqa: PLC0415 - only graders need it

    model = _model()
    encoded = LanguageIdentifier._encode(text)
    visits = visit_counts(model.next_state, model.row_starts, model.features, encoded)
    if not visits:
        return None
    counts = np.array([_log_of_one_more(count) for count in visits.values()], dtype=np.int64)
    scores = counts @ model.weights[list(visits)].astype(np.int64) + model.priors
    return model.languages[int(scores.argmax())]


def load() -> None:
    """Read the model, which takes a second, if it isn't yet."""
    _model()


@dataclass(frozen=True)
class _Model:
    """`weights` is (features, languages), `priors` (languages,); the others are the automaton that finds features."""

    weights: NDArray[np.int16]
    priors: NDArray[np.int64]
    languages: list[str]
    next_state: Any
    row_starts: list[int]
    features: list[int]


@lru_cache(1)
def _model() -> _Model:
    """The library would unpack the model into a file, which a sandbox forbids."""
    from py3langid.langid import MODEL_DIR, MODEL_FILE  # noqa: PLC0415
    from py3langid.modelio import _to_array  # noqa: PLC0415

    with lzma.open(MODEL_DIR / MODEL_FILE) as packed:
        data = np.load(io.BytesIO(packed.read()), allow_pickle=False)
    codes: list[str] = data["classes"].tolist()
    chosen = [place for place, code in enumerate(codes) if code in LANGUAGES]
    priors = np.rint(data["pc"][chosen].astype(np.float64) * (_WEIGHT_SCALE * _COUNT_SCALE))
    return _Model(
        weights=(data["ptc"][:, chosen].astype(np.float32) * _WEIGHT_SCALE).astype(np.int16),
        priors=priors.astype(np.int64),
        languages=[codes[place] for place in chosen],
        next_state=_to_array(data["nextmove"]),
        row_starts=[row << 8 for row in data["nextmove_row"].tolist()],
        features=data["out_feat"].tolist(),
    )


@lru_cache(4096)
def _log_of_one_more(count: int) -> int:
    """ln(1 + count), scaled and rounded; correctly rounded decimals are the same everywhere, C libraries' are not."""
    with localcontext() as context:
        context.prec = 40
        return int((Decimal(1 + count).ln() * _COUNT_SCALE).to_integral_value())
