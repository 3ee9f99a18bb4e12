"""Seeds: how many of the seeds on 21 plates germinated, a logistic regression with an effect of every plate.

Source: Crowder (1978), Beta-binomial anova for proportions, Applied Statistics 27, 34-37, table 3, for the data; the
model of Breslow and Clayton (1993), Approximate inference in generalized linear mixed models,
doi:10.1080/01621459.1993.10594284, as the classic BUGS example states it.
What differs: tau ~ Gamma(0.01, 0.01) and coefficients ~ N(0, 10^2), proper priors under which the evidence exists; tau
enters as its logarithm, with the Jacobian in E.
Reference: log evidence -73.407 +- 0.003, plate effects by Gauss-Hermite quadrature and the five others by importance
sampling. Cost: some hundreds of operations per value.
Where samplers fail on it: effects are centred, so that large tau (small effects) is a funnel of 21 dimensions.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond

GERMINATED = (10, 23, 23, 26, 17, 5, 53, 55, 32, 46, 10, 8, 10, 8, 23, 0, 3, 22, 15, 32, 3)
SEEDS = (39, 62, 81, 51, 39, 6, 74, 72, 51, 79, 13, 16, 30, 28, 45, 4, 12, 41, 30, 51, 7)
KIND = (0,) * 11 + (1,) * 10
EXTRACT = (0,) * 5 + (1,) * 6 + (0,) * 5 + (1,) * 5
_SHAPE = 0.01
_CONSTANT = (
    -sum(math.log(math.comb(n, r)) for n, r in zip(SEEDS, GERMINATED, strict=True))
    - _SHAPE * math.log(_SHAPE)
    + math.lgamma(_SHAPE)
    + 4.0 * (0.5 * math.log(2.0 * math.pi) + math.log(10.0))
    + 10.5 * math.log(2.0 * math.pi)
)


class Seeds(AbstractEnergy):
    """E(x) = -log p(r, x), x = (log tau, a_0, a_kind, a_extract, a_both, b_1 .. b_21).

    r_i ~ Binomial(n_i, sigmoid(a_0 + a_kind k_i + a_extract e_i + a_both k_i e_i + b_i)), b_i ~ N(0, 1 / tau).

    Raises:
        ValueError: x is not 26 numbers.

    Example:
        >>> round(float(Seeds()(jnp.zeros(26))), 3)
        124.671
    """

    conditional: ClassVar[bool] = False

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """-log p(r, x) in nats."""
        if x.shape != (26,):
            raise ValueError(f"Seeds: x must be ONE sample of shape (26,); got shape {x.shape}.")
        germinated, seeds, kind, extract = (jnp.array(a, x.dtype) for a in (GERMINATED, SEEDS, KIND, EXTRACT))
        log_tau, slopes, effects = x[0], x[1:5], x[5:]
        logits = slopes[0] + slopes[1] * kind + slopes[2] * extract + slopes[3] * kind * extract + effects
        likelihood = jnp.sum(germinated * logits - seeds * jax.nn.softplus(logits))
        tau = jnp.exp(log_tau)
        # of log tau: tau^shape exp(-shape tau), the Jacobian included; of the effects: tau^(21/2)
        hyper = (_SHAPE + 0.5 * len(SEEDS)) * log_tau - _SHAPE * tau
        quadratic = 0.5 * (tau * jnp.sum(effects * effects) + 0.01 * jnp.sum(slopes * slopes))
        return quadratic - likelihood - hyper + _CONSTANT
