"""torchebm's and ebmkit's CD-20 step: batches of 256 and 32, MLP 2x128, ULA; the torch half of `bench_training.py`.

Run with the Python of an environment that holds torch, torchebm and ebmkit. Prints JSON lines.
"""

import json
import os
import sys
import time

threads = os.environ.setdefault("BENCH_THREADS", "1")
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = threads

import ebm  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torchebm.core import BaseModel  # noqa: E402
from torchebm.losses import ContrastiveDivergence  # noqa: E402
from torchebm.samplers import LangevinDynamics  # noqa: E402

BATCHES, NUM_STEPS, STEP_SIZE, WIDTH, TURNS = (256, 32), 20, 1e-2, 128, 5
torch.manual_seed(0)
torch.set_num_threads(int(threads))


class MLP(BaseModel):
    """The same net as the JAX half."""

    def __init__(self):
        super().__init__()
        hidden = [nn.Linear(2, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU()]
        self.net = nn.Sequential(*hidden, nn.Linear(WIDTH, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


def torchebm_turns(data):
    """A call that trains TURNS steps."""
    model = MLP()
    loss_of = ContrastiveDivergence(model, LangevinDynamics(model, step_size=STEP_SIZE), k_steps=NUM_STEPS)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def turns():
        for _ in range(TURNS):
            loss, _ = loss_of(data)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return turns


def ebmkit_turns(data):
    """A call that trains TURNS steps; ebmkit starts CD from noise unless told the textbook's start at the data."""
    loss = ebm.ContrastiveDivergence(
        ebm.LangevinDynamics(STEP_SIZE, steps=NUM_STEPS), init_fn=lambda shape: data.clone()
    )
    trainer = ebm.Trainer(ebm.nets.MLPEnergy(dim=2, hidden=(WIDTH, WIDTH)), loss, lr=1e-4)
    return lambda: trainer.fit([data], steps=TURNS, verbose=False)


for batch in BATCHES:
    for name, make in (("torchebm", torchebm_turns), ("ebmkit", ebmkit_turns)):
        turns = make(torch.randn(batch, 2))
        turns()
        wall, cpu = [], []
        for _ in range(int(sys.argv[1])):
            w, c = time.perf_counter(), time.process_time()
            turns()
            wall.append((time.perf_counter() - w) / TURNS)
            cpu.append((time.process_time() - c) / TURNS)
        row = {"peer": name, "work": f"cd20_step_mlp128_b{batch}", "seconds": min(wall), "cpu_seconds": min(cpu)}
        print(json.dumps({**row, "load": os.getloadavg()[0]}), flush=True)
