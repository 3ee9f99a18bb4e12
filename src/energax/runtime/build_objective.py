"""The training rule of a recipe as an object."""

import jax

from energax.core import AbstractDensity, AbstractObjective, AbstractSampler
from energax.objectives import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    GeneratorStart,
    MultiscaleDenoising,
    PersistentCD,
)

from .schema import Config


def build_objective(config: Config, sampler: AbstractSampler, base: AbstractDensity) -> AbstractObjective:
    """The training rule of the config."""
    objective = config.objective
    # image networks: on a CPU the gradient is gathered in chunks that stay in cache (energax.numerics.microbatch)
    one_cpu = jax.default_backend() == "cpu" and len(jax.devices()) == 1  # chunks would cut across devices
    chunk = 8 if config.energy.kind != "mlp" and one_cpu else None
    if objective.kind == "persistent_cd":
        return PersistentCD(
            sampler,
            objective.num_steps,
            objective.num_chains,
            buffer_size=objective.buffer_size,
            restart=objective.restart,
            adapt_target=getattr(config.sampler, "adapt_target", None),
            energy_penalty=objective.energy_penalty,
            chunk_size=chunk,
            start=GeneratorStart(base),
        )
    if objective.kind == "contrastive_divergence":
        return ContrastiveDivergence(sampler, objective.num_steps, chunk_size=chunk)
    if objective.kind == "denoising":
        return DenoisingScoreMatching(objective.sigma, chunk)
    return MultiscaleDenoising(objective.sigmas, chunk_size=chunk)
