"""torchebm's and ebmkit's Langevin and HMC: the torch half of `bench_samplers.py`.

Run with the Python of an environment that holds torch, torchebm and ebmkit. Prints JSON lines.
"""

import json
import math
import os
import sys
import time

threads = os.environ.setdefault("BENCH_THREADS", "1")
os.environ["OMP_NUM_THREADS"] = threads
os.environ["MKL_NUM_THREADS"] = threads

import ebm  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torchebm.core import BaseModel, DoubleWellModel  # noqa: E402
from torchebm.samplers import HamiltonianMonteCarlo, LangevinDynamics  # noqa: E402

CHAINS, STEPS, STEP_SIZE, WIDTH, STD = 1000, 1000, 1e-2, 128, 0.3
HMC_STEPS, LEAPFROGS, HMC_DIM, HMC_STEP_SIZE = 200, 10, 10, 0.2
torch.manual_seed(0)
torch.set_num_threads(int(threads))
plane, space = torch.randn(CHAINS, 2), torch.randn(CHAINS, HMC_DIM)
ring = torch.tensor([[2 * math.cos(i * math.pi / 4), 2 * math.sin(i * math.pi / 4)] for i in range(8)])


class Ring(BaseModel):
    """Eight Gaussians; torchebm has no mixture of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("means", ring)

    def forward(self, x):
        return -torch.logsumexp(-((x[:, None] - self.means) ** 2).sum(-1) / (2 * STD**2), 1)


class MLP(BaseModel):
    """The same net as the JAX half."""

    def __init__(self):
        super().__init__()
        hidden = [nn.Linear(2, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU()]
        self.net = nn.Sequential(*hidden, nn.Linear(WIDTH, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


class Quadratic(BaseModel):
    """The plain energy; torchebm's own GaussianModel is three times slower."""

    def forward(self, x):
        return 0.5 * x.pow(2).sum(-1)


def double_well(x):
    """As torchebm's DoubleWellModel."""
    return 2.0 * (x.pow(2) - 1).pow(2).sum(-1)


def torchebm_langevin(model):
    """A call of the whole run."""
    sampler = LangevinDynamics(model, step_size=STEP_SIZE)
    return lambda: sampler.sample(x=plane, n_steps=STEPS)


def ebmkit_langevin(energy):
    """A call of the whole run."""
    sampler = ebm.LangevinDynamics(STEP_SIZE, steps=STEPS)
    return lambda: sampler.sample(energy, plane)


torchebm_hmc = HamiltonianMonteCarlo(Quadratic(), step_size=HMC_STEP_SIZE, n_leapfrog_steps=LEAPFROGS)
ebmkit_hmc = ebm.HMC(HMC_STEP_SIZE, LEAPFROGS, steps=HMC_STEPS)
CALLS = {
    ("torchebm", "ula_doublewell_2d"): torchebm_langevin(DoubleWellModel()),
    ("ebmkit", "ula_doublewell_2d"): ebmkit_langevin(double_well),
    ("torchebm", "ula_gmm8_2d"): torchebm_langevin(Ring()),
    ("ebmkit", "ula_gmm8_2d"): ebmkit_langevin(ebm.nets.GaussianMixtureEnergy(ring, std=STD)),
    ("torchebm", "ula_mlp128_2d"): torchebm_langevin(MLP()),
    ("ebmkit", "ula_mlp128_2d"): ebmkit_langevin(ebm.nets.MLPEnergy(dim=2, hidden=(WIDTH, WIDTH))),
    ("torchebm", "hmc_gauss10d"): lambda: torchebm_hmc.sample(x=space, n_steps=HMC_STEPS),
    ("ebmkit", "hmc_gauss10d"): lambda: ebmkit_hmc.sample(lambda z: 0.5 * z.pow(2).sum(-1), space),
}

for (peer, work), call in CALLS.items():
    x = call()
    wall, cpu = [], []
    for _ in range(int(sys.argv[1])):
        w, c = time.perf_counter(), time.process_time()
        x = call()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    row = {"peer": peer, "work": work, "seconds": round(min(wall), 5), "cpu_seconds": round(min(cpu), 5)}
    print(json.dumps({**row, "var": round(x.var().item(), 3)}), flush=True)
