"""One way to say that a name is not known, and which one may have been meant."""

from collections.abc import Iterable

from energax.errors import did_you_mean


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The sentence of a refusal: what was got, the nearest name, and all of them.

    Args:
        kind: What is named, such as "data set".
        name: What was given.
        known: The names there are.
    """
    all_known = list(known)
    return f"There is no {kind} {name!r}.{did_you_mean(name, all_known)} Known: {', '.join(all_known)}."
