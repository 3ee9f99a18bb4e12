"""JSON with its teeth drawn: no duplicate keys, no NaN, no infinities, no bottomless nesting."""

import json
import math
import re
from typing import Any

MAX_DEPTH = 32


def strict_json(text: bytes) -> Any:
    """What `text` says, if it says it soundly.

    Time and memory are linear in the text, whatever it holds.

    Raises:
        ValueError: The text is no UTF-8 or no JSON, a key occurs twice, a number is not finite or has more digits
            than Python takes, or brackets nest deeper than 32.

    Example:
        >>> strict_json(b'{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    _check_depth(text)
    return json.loads(text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)


def _check_depth(text: bytes) -> None:
    # The closing quote is optional, so that a string that never ends is passed over once.
    depth = 0
    for token in re.finditer(rb'[\[\]{}]|"(?:[^"\\]|\\.)*"?', text, re.DOTALL):
        if token[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nesting deeper than {MAX_DEPTH}")
        elif token[0] in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:40]!r} twice")
        found[name] = value
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"the number {name}")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]}")
    return value
