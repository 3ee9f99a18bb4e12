# %% [markdown]
# # The likelihood of a machine on digits, three ways at once
#
# A restricted Boltzmann machine with twelve hidden units can be summed over: its log-likelihood is known exactly at any
# moment of training. That makes it the place to see what the two estimates are worth that machines of any size have:
# annealed importance sampling, run apart from training, and the auditors of Jarzynski training, half of its walkers.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from energax.data import Batches, load
from energax.energies import BernoulliRBM, IndependentBits, RBMPath, rbm_exact
from energax.free_energy import ais
from energax.objectives import Jarzynski
from energax.samplers import BlockGibbs
from energax.training import Phase, Trainer, run_steps

train, held = load("digits").split(0.2, seed=0)
train, held = ((part.x.reshape(len(part.x), -1) > 0.0).astype(np.float32) for part in (train, held))
base = IndependentBits.of_data(jnp.asarray(train))
start = BernoulliRBM(0.01 * jax.random.normal(jax.random.key(0), (64, 12)), base.logits, jnp.zeros(12))

# %% [markdown]
# ## Training
#
# 512 walkers drive the gradient, 512 never do: their mean weight is log Z, their spread by groups its error. Every
# 100 steps the drivers are renewed from them and move on their own until they have forgotten where they came from.

# %%
CHUNKS, CHUNK = 20, 100
rule = Jarzynski(BlockGibbs(), base, 512, num_steps=2, refresh=100, refresh_moves=50)
rate = optax.warmup_cosine_decay_schedule(1e-3, 0.15, 200, CHUNKS * CHUNK, 5e-3)
trainer = Trainer((Phase(rule, optax.sgd(rate)),))
stream = Batches({"x": train}, 256, seed=0)
state = trainer.init(jax.random.key(1), start, stream.batch(0))

mean_energy = jax.jit(lambda model: jnp.mean(jax.vmap(model)(jnp.asarray(held))))
steps, exact, annealed, audited = [], [], [], []
for chunk in range(CHUNKS):
    model = state.model
    batches = np.stack([stream.batch(chunk * CHUNK + i)["x"] for i in range(CHUNK)])
    state, metrics = run_steps(trainer, state, {"x": batches})
    energy = float(mean_energy(model))
    steps.append(chunk * CHUNK)
    exact.append(-energy - rbm_exact(model).log_z)
    audited.append((-energy - float(metrics["log_z"][0]), float(metrics["log_z_error"][0])))
    found = ais(
        jax.random.key(chunk + 2), RBMPath(base, model), BlockGibbs(), num_chains=128, num_temperatures=100,
        schedule="linear", pilot_chains=0,
    )  # fmt: skip
    annealed.append((-energy - float(found.log_z), float(found.std_error)))

steps, exact, annealed, audited = (np.array(each) for each in (steps, exact, annealed, audited))
for name, found in (("AIS", annealed), ("auditors", audited)):
    off = (found[:, 0] - exact) / np.maximum(found[:, 1], 1e-3)
    print(f"{name:9s} within 2 errors of the exact value in {np.mean(np.abs(off) < 2):.0%} of {len(off)} checks")
print(f"held-out log-likelihood {exact[0]:.2f} -> {exact[-1]:.2f} nats")

# %%
figure = Figure(figsize=(9, 3.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(steps, exact, color="black", label="exact")
for axes, centre in ((left, 0.0), (right, exact)):
    for name, found, shift, colour in (("AIS", annealed, -12, "#d55e00"), ("auditors", audited, 12, "#0072b2")):
        value, bar = found.T
        axes.errorbar(steps + shift, value - centre, 2 * bar, fmt=".", color=colour, label=name)
left.set(xlabel="training step", ylabel="held-out log-likelihood (nats)")
left.legend(frameon=False, loc="lower right")
right.axhline(0.0, color="black", linewidth=1)
right.set(xlabel="training step", ylabel="estimate - exact (nats), 2 errors")
figure.savefig("rbm_likelihood.png", dpi=120)

# %% [markdown]
# ## Take away
#
# Both cover the truth. AIS starts anew at every look, 128 chains through 100 temperatures each, and its bars are the
# narrower ones; the auditors were there all along, two transitions a step, and saw the likelihood rise at once. For a
# machine that cannot be summed over, `energax logz rbm` gives the bracket of forward and reverse AIS.

# %%
assert exact[-1] > exact[0] + 4
assert np.mean(np.abs(audited[:, 0] - exact) < 3 * audited[:, 1] + 0.02) > 0.85
assert np.mean(np.abs(annealed[:, 0] - exact) < 3 * annealed[:, 1] + 0.02) > 0.85
