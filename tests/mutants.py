"""Bugs to plant: where, what is replaced by what, and the test that must fail. `benchmarks/mutants.py` applies them.

Many are real ones of other packages or of drafts of this one: a lost root, a wrong sign of work, a forgotten beta, a
stale gradient, an inverted swap.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One bug; `old` stands once in src/energax/`file`, and `test` is a pytest node."""

    name: str
    file: str
    old: str
    new: str
    test: str


INVARIANT = (
    "tests/contracts/test_samplers.py::test_leaves_skewed_and_tempered_targets_invariant[tilted well, beta 2-{}]"
)

MUTANTS = [
    # --- Langevin and Hamiltonian kernels
    Mutant(
        "ULA: noise without its root",
        "samplers/ula.py",
        "jnp.sqrt(2 * self.step_size * self.temperature)",
        "(2 * self.step_size * self.temperature)",
        "tests/samplers/test_ula.py",
    ),
    Mutant(
        "ULA: noise sqrt(h) for sqrt(2 h)",
        "samplers/ula.py",
        "jnp.sqrt(2 * self.step_size * self.temperature)",
        "jnp.sqrt(self.step_size * self.temperature)",
        "tests/samplers/test_ula.py",
    ),
    Mutant(
        "ULA: half the drift",
        "samplers/ula.py",
        "add_scaled(state.x, -self.step_size, gradient)",
        "add_scaled(state.x, -0.5 * self.step_size, gradient)",
        "tests/samplers/test_ula.py",
    ),
    Mutant(
        "MALA: proposal ratio dropped",
        "samplers/mala.py",
        " + jnp.sqrt(0.5 * h) * along - 0.25 * h * across",
        " + 0.0 * along * across",
        INVARIANT.format("mala"),
    ),
    Mutant(
        "MALA: proposal ratio of the wrong sign",
        "samplers/mala.py",
        "+ jnp.sqrt(0.5 * h) * along - 0.25",
        "- jnp.sqrt(0.5 * h) * along + 0.25",
        INVARIANT.format("mala"),
    ),
    Mutant(
        "MALA: energy difference of the wrong sign",
        "samplers/mala.py",
        "(state.energy - new.energy)",
        "(new.energy - state.energy)",
        INVARIANT.format("mala"),
    ),
    Mutant(
        "MALA: stale gradient when the energy moves",
        "samplers/mala.py",
        "        return self.init(energy, state.x)",
        "        return state",
        "tests/contracts/test_samplers.py::test_refresh_renews_every_cached_number[mala]",
    ),
    Mutant(
        "MALA: a number that is not finite is accepted",
        "samplers/mala.py",
        "finite = jnp.isfinite(new.energy) & all_finite(new.gradient) & ~jnp.isnan(log_ratio)",
        "finite = jnp.array(True)",
        "tests/contracts/test_samplers.py::test_a_non_finite_energy_is_flagged[mala]",
    ),
    Mutant(
        "Barker: side drawn against the gradient",
        "samplers/barker.py",
        "jax.nn.sigmoid(-z * gradient.astype(z.dtype))",
        "jax.nn.sigmoid(z * gradient.astype(z.dtype))",
        INVARIANT.format("barker"),
    ),
    Mutant(
        "Barker: forward gradient in the reverse move",
        "samplers/barker.py",
        "jax.nn.softplus(-d * there.astype(d.dtype))",
        "jax.nn.softplus(-d * here.astype(d.dtype))",
        INVARIANT.format("barker"),
    ),
    # --- tempering
    Mutant(
        "tempering: swap ratio inverted",
        "samplers/parallel_tempering.py",
        "    gain = own - cross\n",
        "    gain = cross - own\n",
        "tests/samplers/test_parallel_tempering.py",
    ),
    Mutant(
        "tempering: half the log ratio",
        "samplers/parallel_tempering.py",
        "    return gain + gain[partner]\n",
        "    return gain\n",
        "tests/samplers/test_parallel_tempering.py",
    ),
    Mutant(
        "tempering: the two of a pair decide apart",
        "samplers/parallel_tempering.py",
        "uniforms(decide, level.shape)[jnp.minimum(level, partner)]",
        "uniforms(decide, level.shape)",
        "tests/samplers/test_parallel_tempering.py",
    ),
    # --- free energies
    Mutant(
        "AIS: work of the wrong sign",
        "free_energy/ais.py",
        "level(path, here, x) - level(path, there, x)",
        "level(path, there, x) - level(path, here, x)",
        "tests/free_energy/test_ais.py::test_mean_weight_is_z_with_few_temperatures_and_weak_moves",
    ),
    Mutant(
        "AIS: the move is made at the old temperature",
        "free_energy/ais.py",
        "path.at(betas[k + 1]), chains, steps_per_temperature)",
        "path.at(betas[k]), chains, steps_per_temperature)",
        "tests/free_energy/test_ais.py::test_mean_weight_is_z_with_few_temperatures_and_weak_moves",
    ),
    Mutant(
        "AIS: the base's normaliser forgotten",
        "free_energy/ais.py",
        "jnp.where(s == 0.0, base(x), path.at(s)(x))",
        "jnp.where(s == 0.0, base(x) - 0.1, path.at(s)(x))",
        "tests/free_energy/test_ais.py::test_mean_weight_is_z_with_few_temperatures_and_weak_moves",
    ),
    Mutant(
        "reverse AIS: the weight before the move",
        "free_energy/reverse_ais.py",
        "work(path, betas[k + 1], betas[k], chains.states.x)",
        "work(path, betas[k + 1], betas[k], carry[0].states.x)",
        "tests/free_energy/test_bracket.py",
    ),
    Mutant(
        "BAR: log(n_F / n_R) forgotten",
        "free_energy/bar.py",
        "ratio = math.log(n_f / n_r)",
        "ratio = 0.0",
        "tests/free_energy/test_bar.py",
    ),
    Mutant(
        "BAR: reverse work of the wrong sign",
        "free_energy/bar.py",
        "-np.logaddexp(0.0, -ratio + reverse + delta_f)",
        "-np.logaddexp(0.0, -ratio - reverse + delta_f)",
        "tests/free_energy/test_bar.py",
    ),
    Mutant(
        "BAR: error bar of one direction only",
        "free_energy/bar.py",
        "variance = (1.0 / n_f + 1.0 / n_r) * (1.0 - overlap)",
        "variance = (1.0 / n_f) * (1.0 - overlap)",
        "tests/free_energy/test_bar.py",
    ),
    Mutant(
        "thermodynamic integration: weights that do not sum to 1",
        "free_energy/thermodynamic.py",
        "return 0.5 * (nodes + 1.0), 0.5 * weights",
        "return 0.5 * (nodes + 1.0), 0.52 * weights",
        "tests/free_energy/test_thermodynamic.py",
    ),
    Mutant(
        "resampling: systematic with a fixed offset",
        "numerics/resampling.py",
        "_comb(uniform(key, weights.dtype), num)",
        "_comb(0.5 + 0.0 * uniform(key, weights.dtype), num)",
        "tests/numerics/test_resampling.py",
    ),
    Mutant(
        "resampling: residual forgets the sure copies",
        "numerics/resampling.py",
        "_search(scaled - sure, uniforms",
        "_search(scaled, uniforms",
        "tests/numerics/test_resampling.py",
    ),
    # --- randomness
    Mutant(
        "one noise for all chains",
        "numerics/random.py",
        "_SPLIT + jnp.arange(num, dtype=jnp.uint32)",
        "_SPLIT + 0 * jnp.arange(num, dtype=jnp.uint32)",
        "tests/contracts/test_samplers.py::test_chains_draw_their_own_noise[mala]",
    ),
    Mutant(
        "noise of one step used in every step",
        "numerics/random.py",
        "    return _wrap(k0, k1, jnp.asarray(step).astype(jnp.uint32))",
        "    return _wrap(k0, k1, 0 * jnp.asarray(step).astype(jnp.uint32))",
        "tests/numerics/test_random.py",
    ),
    # --- Ising
    Mutant(
        "multi-spin: neighbour of the wrong row parity",
        "samplers/multispin.py",
        "jnp.where(shifted, _turned(other, width, 1), _turned(other, width, -1))",
        "jnp.where(shifted, _turned(other, width, -1), _turned(other, width, 1))",
        "tests/samplers/test_multispin.py",
    ),
    Mutant(
        "multi-spin: forgotten factor 2 in the heat bath",
        "samplers/multispin.py",
        "logit = 2.0 * (coupling[:, None] * up + field[:, None])",
        "logit = coupling[:, None] * up + field[:, None]",
        "tests/samplers/test_multispin.py",
    ),
    Mutant(
        "multi-spin: one random word for all rows",
        "samplers/multispin.py",
        "* jnp.uint32(number) + index",
        "* jnp.uint32(number) + 0 * index",
        "tests/samplers/test_multispin.py",
    ),
    Mutant(
        "Kaufman's torus: the sign of g_0 lost",
        "energies/ising_exact.py",
        "math.copysign(-math.expm1(-2.0 * size), y), 1.0",
        "-math.expm1(-2.0 * size), 1.0",
        "tests/energies/test_ising_exact.py",
    ),
    Mutant(
        "Ising: every edge counted twice",
        "energies/ising.py",
        "return -jnp.sum(self.strengths * x[self.pairs[:, 0]] * x[self.pairs[:, 1]])",
        "return -2 * jnp.sum(self.strengths * x[self.pairs[:, 0]] * x[self.pairs[:, 1]])",
        "tests/energies/test_ising.py",
    ),
]
