"""Bars and stripes: binary images of whole rows or whole columns, and a machine with one hidden unit a pattern.

Source: MacKay (2003), Information theory, inference, and learning algorithms, chapter 43 (the patterns); the machine in
closed form is ours: with weights alpha (2 p_k - 1) and hidden biases alpha (1/2 - sum p_k), hidden unit k has the logit
alpha (1/2 - d(v, p_k)), where d counts the bits in which v differs from pattern p_k.
What differs: nothing is trained, so that the law of v, a product over k of 1 + exp(alpha (1/2 - d(v, p_k))), is known.
Exact: all that `rbm_exact` tells of a machine; on 3 x 3, alpha = 16 leaves 98.8 % of the mass on the 14 patterns.
Cost: none to speak of. Where samplers fail on it: from alpha = 8 on block Gibbs stays for long at the pattern where it
started.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from energax import data
from energax.core import checks

from .rbm import BernoulliRBM


def bars_and_stripes(size: int = 3) -> Float[Array, "patterns pixels"]:
    """All distinct patterns of a size x size image, 2^(size + 1) - 2 of them, as bits in {0, 1}, sorted.

    Args:
        size: Rows and columns of the image, 2 to 10.

    Raises:
        ValueError: `size` is out of range.

    Example:
        >>> bars_and_stripes(2).tolist()[:3]
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]
        >>> bars_and_stripes().shape
        (14, 9)
    """
    return jnp.asarray(data.bars_and_stripes(size), jnp.result_type(float))


def bars_and_stripes_rbm(alpha: float, size: int = 3) -> BernoulliRBM:
    """The machine with a hidden unit for each pattern: an enumerable target whose isolated modes are known.

    Args:
        alpha: Depth of the modes, in nats a bit, > 0.
        size: Rows and columns of the image, 2 to 10; machines of 4 and fewer can be enumerated.

    Raises:
        ValueError: `alpha` or `size` is out of range.

    Example:
        >>> from energax.energies import rbm_exact
        >>> round(rbm_exact(bars_and_stripes_rbm(8.0)).log_z, 6)
        7.153587
    """
    checks.positive("bars_and_stripes_rbm", "alpha", alpha, ndim=0)
    patterns = bars_and_stripes(size)
    return BernoulliRBM(
        alpha * (2.0 * patterns.T - 1.0),
        jnp.zeros(size * size, patterns.dtype),
        -alpha * (jnp.sum(patterns, axis=1) - 0.5),
    )
