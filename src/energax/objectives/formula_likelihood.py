"""Maximum likelihood where a formula gives log Z: machines whose smaller layer can be summed over.

Source: the identity grad(-log p) = E_data grad E - E_model grad E, Ackley, Hinton and Sejnowski (1985), A learning
    algorithm for Boltzmann machines, doi:10.1207/s15516709cog0901_7, eq. (8). What differs: the model's expectation is
    the derivative of log Z, whatever closed sum that comes from.
Exact gradient of the negative log-likelihood of the batch. Cost: the formula's, differentiated once, and an energy a
datum.
Fails nowhere it can be afforded.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics

from .negatives import check_energy


class FormulaLikelihood(AbstractObjective):
    """mean E(data) + log Z(model): the negative log-likelihood in nats.

    Carries no state. Metrics: `log_z` of the model, `energy_data`, and `log_likelihood` of the batch.

    Args:
        log_z: model -> log Z in nats, differentiable, such as `energies.rbm_log_z`.

    Example:
        >>> from energax.energies import BernoulliRBM, rbm_log_z
        >>> rbm = BernoulliRBM(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
        >>> loss, _ = FormulaLikelihood(rbm_log_z)(jax.random.key(0), rbm, None, {"x": jnp.ones((8, 3))})
        >>> round(float(loss), 4)  # 3 log 2
        2.0794
    """

    log_z: Callable[[Any], Scalar] = eqx.field(static=True)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("FormulaLikelihood", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        log_z, energy_data = self.log_z(model), jnp.mean(jax.vmap(model)(batch["x"]))
        loss = energy_data + log_z
        return loss, (None, {"log_z": log_z, "energy_data": energy_data, "log_likelihood": -loss})
