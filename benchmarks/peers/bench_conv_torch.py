"""PyTorch's half of bench_conv.py: the same network in channels-last memory, eager, one thread; JSON lines.

pip install torch --index-url <the CPU wheels of PyTorch>; python benchmarks/peers/bench_conv_torch.py
"""

import argparse
import json
import time

import torch
from torch import nn

BATCH, PIXELS, LANGEVIN_STEPS = 64, 784, 20
CHANNELS, STRIDES = (1, 32, 64, 64, 128), (1, 2, 2, 2)


class ConvEnergy(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = zip(CHANNELS[:-1], CHANNELS[1:], STRIDES, strict=True)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride, 1) for a, b, stride in sizes)
        self.head = nn.Linear(4 * 4 * CHANNELS[-1], 1)

    def forward(self, x):
        x = x.view(-1, 1, 28, 28).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = nn.functional.silu(layer(x))
        return self.head(x.flatten(1))[:, 0]


def tasks() -> dict:
    energy = ConvEnergy().to(memory_format=torch.channels_last)
    weights = list(energy.parameters())
    optimizer = torch.optim.Adam(weights, 1e-4, foreach=True)
    data, other = torch.rand(BATCH, PIXELS), torch.rand(BATCH, PIXELS)

    def contrastive():
        optimizer.zero_grad()
        real, fake = energy(torch.cat([data, other])).chunk(2)
        (real.mean() - fake.mean() + 0.1 * (real**2 + fake**2).mean()).backward()
        optimizer.step()

    def denoising():
        optimizer.zero_grad()
        noise = torch.randn_like(data)
        z = (data + 0.1 * noise).requires_grad_(True)
        score = -torch.autograd.grad(energy(z).sum(), z, create_graph=True)[0]
        ((0.1 * score + noise) ** 2).sum(-1).mean().backward()
        optimizer.step()

    def langevin():
        for weight in weights:
            weight.requires_grad_(False)
        x = data
        for _ in range(LANGEVIN_STEPS):
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(energy(x).sum(), x)
            x = x.detach() - 0.01 * gradient + 0.005 * torch.randn_like(x)
        for weight in weights:
            weight.requires_grad_(True)

    walkers = [other]

    def persistent():
        for weight in weights:
            weight.requires_grad_(False)
        x = walkers[0]
        for _ in range(LANGEVIN_STEPS):
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(energy(x).sum(), x)
            x = x.detach() - 0.01 * gradient + 0.02**0.5 * torch.randn_like(x)
        for weight in weights:
            weight.requires_grad_(True)
        walkers[0] = x.detach()
        optimizer.zero_grad()
        real, fake = energy(torch.cat([data, walkers[0]])).chunk(2)
        (real.mean() - fake.mean() + 0.1 * (real**2 + fake**2).mean()).backward()
        optimizer.step()

    return {"cd64+64": contrastive, "dsm64": denoising, "langevin20": langevin, "pcd20": persistent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, call in tasks().items():
        call()
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            call()
            best = min(best, 1e3 * (time.process_time() - start))
        print(
            json.dumps({"framework": f"torch {torch.__version__}", "task": name, "cpu_ms": round(best, 2)}), flush=True
        )


if __name__ == "__main__":
    main()
