"""PCD-1 of a restricted Boltzmann machine by rbms and scikit-learn: the peers' half of `bench_rbm_training.py`.

python bench_rbm_training_peers.py FOLDER BLOCKS UPDATES_A_BLOCK BATCH RATE

Reads FOLDER/problem.npz, writes FOLDER/run-PEER.npz: the machine after each block and the CPU seconds until then.
"""

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.training.pcd import fit_batch_pcd
from sklearn.neural_network import BernoulliRBM

torch.set_num_threads(1)
torch.manual_seed(0)


def rbms_block(parts, updates, batch, rate):
    """rbms' own step with its own optimiser, its gradient plain (neither centred nor scaled to unit length)."""
    train = torch.from_numpy(parts["train"])
    machine = BBRBM(*(torch.from_numpy(parts[name].copy()) for name in ("w", "b")), torch.zeros(parts["w"].shape[1]))
    machine.normalize_grad = lambda: None
    for parameter in machine.parameters():
        parameter.grad = torch.zeros_like(parameter)
    chains = machine.init_chains(batch, start_v=train[:batch])
    weights, optimizer = torch.ones(len(train)), torch.optim.SGD(machine.parameters(), lr=rate, maximize=True)
    held = [chains]

    @torch.no_grad()
    def block():
        for _ in range(updates):
            rows = torch.randint(len(train), (batch,))
            optimizer.zero_grad(set_to_none=False)
            held[0], _ = fit_batch_pcd((train[rows], weights[rows]), held[0], machine, 1, 1.0, centered=False)
            optimizer.step()
        return machine.weight_matrix.numpy().copy(), machine.vbias.numpy().copy(), machine.hbias.numpy().copy()

    return block


def sklearn_block(parts, updates, batch, rate):
    """scikit-learn's `partial_fit`, which takes one PCD step."""
    train, rng = parts["train"], np.random.default_rng(1)
    machine = BernoulliRBM(parts["w"].shape[1], learning_rate=rate, batch_size=batch, random_state=0)
    machine.partial_fit(train[:batch])
    machine.components_, machine.intercept_visible_ = np.asarray(parts["w"].T, order="F"), parts["b"].copy()
    machine.intercept_hidden_ = np.zeros(len(machine.components_), np.float32)

    def block():
        for _ in range(updates):
            machine.partial_fit(train[rng.integers(0, len(train), batch)])
        return machine.components_.T.copy(), machine.intercept_visible_.copy(), machine.intercept_hidden_.copy()

    return block


def main():
    folder, blocks, updates, batch, rate = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])
    with np.load(f"{folder}/problem.npz") as found:
        parts = dict(found)
    for name, make in (("rbms", rbms_block), ("sklearn", sklearn_block)):
        block, total, machines, seconds = make(parts, updates, batch, rate), 0.0, [], []
        for _ in range(blocks):
            began = time.process_time()
            machines.append(block())
            total += time.process_time() - began
            seconds.append(total)
        w, b, c = map(np.stack, zip(*machines, strict=True))
        np.savez(f"{folder}/run-{name}.npz", w=w, b=b, c=c, seconds=np.array(seconds))


if __name__ == "__main__":
    main()
