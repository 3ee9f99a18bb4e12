# %% [markdown]
# # One free energy difference, five ways
#
# Two wells joined by a barrier, in a plane: how much free energy does it take to turn a harmonic trap into them? Five
# estimators answer along one path. What they ask for differs (samples of one end, of both, of points between, works
# of runs that never equilibrate), what they cost differs, and the answer must not.

# %%
from pathlib import Path

import jax
import numpy as np

from energax.core import GeometricPath
from energax.energies import DoubleWell, quadrature_exact, standard_normal
from energax.free_energy import jarzynski, ledger, perturbation
from energax.report.ledger import table, write_ledger
from energax.samplers import MALA

trap, wells = standard_normal(2), DoubleWell(depth=2.0, dim=2, tilt=0.5)
path, kernel = GeometricPath(trap, wells), MALA(0.1)
keys = jax.random.split(jax.random.key(1), 4)

# %% [markdown]
# ## The exact answer
#
# Delta F = -log Z of the wells, since the trap is normalised; in two dimensions quadrature gives it.

# %%
exact = quadrature_exact(wells, ((-4.0, 4.0), (-4.0, 4.0)))
print(f"Delta F = {-exact.log_z:.6f} nats by quadrature")

# %% [markdown]
# ## One estimator by hand
#
# Jarzynski: pull 256 systems from the trap into the wells, and average exp(-work). The mean work is more than Delta F:
# the difference is what the pulling dissipates.

# %%
runs = jarzynski(keys[0], path, kernel, num_chains=256, num_temperatures=60)
by_hand = perturbation(keys[1], runs.work)
print(f"Jarzynski: Delta F = {by_hand.delta_f:.4f} +- {by_hand.std_error:.4f}, ", end="")
print(f"mean work {float(np.mean(runs.work)):.4f}, {by_hand.ess:.0f} effective runs of 256")

# %% [markdown]
# ## Five, side by side
#
# The ledger gives each about the same number of kernel steps on one schedule, counts energies and gradients in the
# programs that run, and holds the estimates against each other. FEP samples the trap only; thermodynamic integration
# and MBAR take equilibrium draws along the path; Jarzynski and Crooks take works, Crooks of both directions.

# %%
ends = jax.vmap(wells.sample)(jax.random.split(keys[2], 256))
five = ("fep", "ti", "jarzynski", "crooks", "mbar")
found = ledger(
    keys[3],
    path,
    kernel,
    estimators=five,
    budget=15_000,
    num_chains=256,
    targets=ends,
    start="exact",
    exact=exact.log_z,
)
for line in table(found):
    print(line)
files = write_ledger(Path("five_ways"), "From a trap to two wells", found, {"example": "free energy five ways"})
print(f"figure: {files['png']}")

# %% [markdown]
# The right half of the figure is Crooks' theorem: the works of forward runs and minus those of reverse runs are two
# histograms, and they cross at Delta F, however far from equilibrium the runs are.

# %% [markdown]
# ## Take away
#
# Error bars are half of an answer. An estimator is trusted here where another one, that fails for other reasons, agrees
# with it; and where the exact value is known, all five lie within a few standard errors of it.

# %%
off = found.deviations()
assert set(off) == set(five)
assert max(abs(value) for value in off.values()) < 4
assert found.agree
assert abs(by_hand.delta_f + exact.log_z) < 4 * by_hand.std_error
assert float(np.mean(runs.work)) > by_hand.delta_f
