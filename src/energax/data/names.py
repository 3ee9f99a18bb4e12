"""One way to say that a name is not known, and which one may have been meant."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The sentence of a refusal: what was got, the nearest name, and all of them.

    Args:
        kind: What is named, such as "data set".
        name: What was given.
        known: The names there are.
    """
    all_known = list(known)
    near = difflib.get_close_matches(str(name).lower(), all_known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no {kind} {name!r}.{hint} Known: {', '.join(all_known)}."
