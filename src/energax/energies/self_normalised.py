"""An energy that carries its own log Z as a parameter, so that -E reads as a normalised log-density.

Source: Gutmann and Hyvarinen (2010), Noise-contrastive estimation: a new estimation principle for unnormalized
    statistical models, proceedings.mlr.press/v9/gutmann10a.html, eq. (2): ln p = ln p0 + c. What differs: c is -log_z.
Cost: that of the energy. Where it fails: log_z is right only where a rule that knows of it (`NoiseContrastive`,
`SelfNormalisedLikelihood`) has trained it to its optimum; rules that compare energies give it no gradient at all.
"""

from jaxtyping import Scalar

from energax.core import AbstractEnergy, Cond, X, checks


class SelfNormalised(AbstractEnergy):
    """E(x) + log_z: minus the log-density of x in nats, once log_z is log Z.

    Args:
        energy: Any energy.
        log_z: The estimate of its log Z in nats; a scalar array is trained.

    Raises:
        ValueError: `log_z` is not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax.energies import standard_normal
        >>> whole = SelfNormalised(standard_normal(2), jnp.log(2.0 * jnp.pi))
        >>> round(float(whole(jnp.zeros(2))), 4)
        1.8379
    """

    energy: AbstractEnergy
    log_z: Scalar

    def __check_init__(self):
        checks.finite("SelfNormalised", "log_z", self.log_z, ndim=0)

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        return self.energy(x, cond) + self.log_z
