"""Keeps a compiler's wrong answers away: a fusion of XLA's for CPUs is switched off before JAX starts.

From jaxlib 0.10.2 on, sums over an axis are handed to a library (YNNPACK). What comes back is silently wrong where
log1p or expm1 of two numbers are summed, at [1000, 64] already, by tens; in 0.10.2 also where a batch of 32,769 to
about 49,000 rows is multiplied by one shared vector and summed, as an Ising energy of so many chains is. 0.12.0.1 has
the first still; 0.10.1 has neither. `energax doctor` runs both. Nothing happens where the flag has been set by hand.
"""

import os
import re
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

FLAG = "xla_cpu_experimental_ynn_fusion_type"
OFF = f"--{FLAG}="
"""What XLA_FLAGS must hold; another jaxlib than those of `has_the_fusion` may not know it, and then does not start."""
_FIRST, _UNKNOWN = (0, 10, 2), (0, 13)


def has_the_fusion(jaxlib: str | None) -> bool:
    """Whether a version of jaxlib knows the flag.

    Example:
        >>> [has_the_fusion(each) for each in ("0.10.1", "0.10.2", "0.12.0.1", "0.13.0", None)]
        [False, True, True, False, False]
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", jaxlib or "")[:3])
    return bool(numbers) and _FIRST <= numbers < _UNKNOWN


def switch_off() -> None:
    """Adds `OFF` to XLA_FLAGS of this process, if its jaxlib has the fusion; warns where JAX runs already."""
    flags = os.environ.get("XLA_FLAGS", "")
    try:
        here = version("jaxlib")
    except PackageNotFoundError:
        return
    if FLAG in flags or not has_the_fusion(here):
        return
    os.environ["XLA_FLAGS"] = f"{OFF} {flags}".strip()  # first: XLA reads no further than a word without --
    if getattr(sys.modules.get("jax._src.xla_bridge"), "_backends", None):
        warnings.warn(
            f"energax must be imported before JAX computes anything: jaxlib {here} gives wrong sums on CPUs, and the "
            f"flag that prevents it comes too late. Import energax first, or set XLA_FLAGS={OFF}.",
            RuntimeWarning,
            stacklevel=3,
        )
