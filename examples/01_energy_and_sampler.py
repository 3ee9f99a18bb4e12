# %% [markdown]
# # An energy, a sampler, and an exact answer
#
# A tilted double well has two modes of unequal mass behind a barrier. We write it as a plain function, walk it with
# MALA, and compare with quadrature: the mean, the spread, and the share of the left well.

# %%
import jax
import jax.numpy as jnp
import numpy as np

from energax import FunctionEnergy
from energax.evaluation import summary
from energax.samplers import MALA, init_chains, sample, warm_up

energy = FunctionEnergy(
    lambda x: jnp.sum(2.0 * (x**2 - 1.0) ** 2 + 0.5 * x)
)  # p(x) ~ exp(-E(x)), one sample, one number

# %% [markdown]
# ## The exact answer
#
# One dimension: a sum over a fine grid is exact to many digits.

# %%
grid = np.linspace(-4.0, 4.0, 20_001)
weights = np.exp(-np.asarray(jax.vmap(energy)(jnp.asarray(grid, jnp.float32)[:, None]), np.float64))
weights /= weights.sum()
exact_mean = float(weights @ grid)
exact_sd = float(np.sqrt(weights @ (grid - exact_mean) ** 2))
exact_left = float(weights[grid < 0].sum())

# %% [markdown]
# ## Walk
#
# 100 chains. `warm_up` finds the step size and freezes it (a step that adapts for ever leaves nothing invariant);
# what came before is thrown away. Chains must be long, not only many: each has to cross the barrier often to agree
# with the others.

# %%
start, tune, run = jax.random.split(jax.random.key(0), 3)
chains = init_chains(MALA(0.1), energy, jax.random.uniform(start, (100, 1), minval=-1.5, maxval=1.5))
sampler, chains = warm_up(tune, MALA(0.1), energy, chains, 300, target=0.574)
chains, draws = sample(run, sampler, energy, chains, 2000, thin=10)
x = np.asarray(draws.x, np.float64)

# %% [markdown]
# ## Judge
#
# R-hat near 1 says that the chains agree; the effective sample size says what a mean over their draws is worth, and
# so how large a standard error to expect.

# %%
left = (x[..., 0] < 0).astype(np.float64)
found = summary(np.stack([x[..., 0], left], axis=-1), names=["x", "left"])
rows = {row["name"]: row for row in found["table"]}
errors = {
    "x": exact_sd / np.sqrt(rows["x"]["ess_bulk"]),
    "left": np.sqrt(exact_left * (1.0 - exact_left) / rows["left"]["ess_bulk"]),
}
z_mean = (x.mean() - exact_mean) / errors["x"]
z_left = (left.mean() - exact_left) / errors["left"]
worth = f"{x.size:,} draws worth {rows['x']['ess_bulk']:,.0f}"
print(f"step size {float(sampler.step_size):.3f}, acceptance {float(draws.acceptance.mean()):.3f}, {worth}")
print(f"R-hat {found['rhat_max']:.4f}")
print(f"mean       {x.mean():+.4f}   exact {exact_mean:+.4f}   {z_mean:+.1f} standard errors")
print(f"left well  {left.mean():.4f}    exact {exact_left:.4f}    {z_left:+.1f} standard errors")
print(f"sd         {x.std():.4f}    exact {exact_sd:.4f}")

# %% [markdown]
# ## Take away
#
# The 200,000 draws are correlated; `ess_bulk` says how many independent ones they are worth, and within that error
# every number is right. A sampler is believed because it was compared with an exact answer, not because its trace
# looks busy.

# %%
assert found["rhat_max"] < 1.01
assert abs(z_mean) < 4
assert abs(z_left) < 4
assert abs(x.std() / exact_sd - 1.0) < 0.01
