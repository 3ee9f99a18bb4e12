# %% [markdown]
# # log Z from below and from above
#
# Without log Z, energies cannot be compared. Annealed importance sampling walks from an easy density to ours and
# gives a lower bound in expectation; the same walk backwards, from samples of ours, gives an upper one. On Neal's
# funnel both the answer and exact samples are known, so we can watch the bracket close, and see what happens if the
# reverse walk starts from bad samples.

# %%
import jax
import jax.numpy as jnp

from energax.core import GeometricPath
from energax.energies import DoubleWell, Funnel, standard_normal
from energax.free_energy import ais, bracket, reverse_ais
from energax.samplers import MALA, init_chains, sample

keys = iter(jax.random.split(jax.random.key(0), 20))


def exact_samples(energy, num):
    """`num` independent samples of an energy that has them."""
    return jax.vmap(energy.sample)(jax.random.split(next(keys), num))


# %% [markdown]
# ## A funnel, two schedule lengths
#
# The pilot run of the forward walk tunes schedule and step sizes; the reverse walk takes them over.

# %%
funnel = Funnel(dim=4, scale=1.5)
path, kernel = GeometricPath(standard_normal(4), funnel), MALA(0.2)
ends = exact_samples(funnel, 400)
runs = []
for length in (30, 300):
    below = ais(next(keys), path, kernel, num_chains=400, num_temperatures=length)
    plan = {"betas": below.betas, "step_sizes": below.step_sizes}
    above = reverse_ais(next(keys), path, kernel, ends, start="exact", **plan)
    runs.append((below, above))
    found = bracket(below, above)
    print(
        f"funnel, {length:3d} temperatures: forward {found.forward:.3f} +- {found.forward_error:.3f}, "
        f"reverse {found.reverse:.3f} +- {found.reverse_error:.3f}, ESS {float(below.ess):.0f} of 400"
    )
exact = float(funnel.log_z())
both = bracket([below for below, _ in runs], [above for _, above in runs])
print(f"bracket [{both.low:.3f}, {both.high:.3f}], agree: {both.agree}; exact {exact:.3f}")
for sentence in both.verdict:  # 30 temperatures are few for a funnel, and the bracket may say so; 300 are enough
    print("  -", sentence)

# %% [markdown]
# ## The same routine refuses a bad story
#
# Chains of MALA that start far out in a quartic well never move: the drift overshoots, every proposal is rejected.
# Nothing is NaN. The reverse walk started from them disagrees with the forward one by hundreds of nats, and the
# bracket says so.

# %%
well = DoubleWell(depth=2.0, dim=2)
path, kernel = GeometricPath(standard_normal(2), well), MALA(0.1)
below = ais(next(keys), path, kernel, num_chains=400, num_temperatures=30)
plan = {"betas": below.betas, "step_sizes": below.step_sizes}
verdicts = {}
for name, spread in (("near", 1.0), ("far", 4.0)):
    starts = spread * jax.random.uniform(next(keys), (400, 2), minval=-1.0)
    chains = init_chains(kernel, well, starts)
    chains, draws = sample(next(keys), kernel, well, chains, 1, burn_in=300)
    above = reverse_ais(next(keys), path, kernel, draws.x[:, -1], start="chains", **plan)
    verdicts[name] = bracket(below, above)
    stuck = float(jnp.mean(jnp.all(draws.x[:, -1] == starts, axis=1)))
    print(f"well, chains from {name}: {stuck:.0%} never moved; forward {verdicts[name].forward:.3f}, ", end="")
    print(f"reverse {verdicts[name].reverse:.3f}, exact {float(well.log_z()):.3f}, agree: {verdicts[name].agree}")
for sentence in verdicts["far"].verdict:
    print("  -", sentence)

# %% [markdown]
# ## Take away
#
# A forward estimate alone flatters a model and never warns. Two directions and two lengths that agree within a nat
# are a number to publish; two that do not are a finding about the chains.

# %%
assert both.agree
assert both.contains(exact)
assert not any("300 temperatures" in sentence or "nats" in sentence for sentence in both.verdict)
assert verdicts["near"].agree
assert not verdicts["far"].agree
