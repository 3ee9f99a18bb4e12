"""Writes RESULTS.md from what the benchmark scripts printed.

    python benchmarks/bench_samplers.py --peer PY > samplers.jsonl;  python benchmarks/bench_training.py --peer PY > training.jsonl
    python benchmarks/bench_conv.py --peer PY > conv.jsonl;          python benchmarks/bench_gpu.py > gpu.jsonl   (where there is one)
    python benchmarks/bench_ising.py --peer PY2 > ising.jsonl
    python benchmarks/bench_rbm.py --peer PY3 > rbm.jsonl;           python benchmarks/bench_memory.py > memory.jsonl
    python benchmarks/bench_rbm_training.py --peer PY3 > rbm_training.jsonl
    python benchmarks/bench_hmc_nuts.py --peer PY2 > hmc_nuts.jsonl; python benchmarks/bench_posteriors.py > posteriors.jsonl
    python benchmarks/bench_gebm.py > gebm.jsonl
    python benchmarks/results.py samplers.jsonl training.jsonl ...   (any of them: the other sections stay)

PY is the Python of an environment with torch==2.13.0, torchebm==0.8.9 and ebmkit==0.16.0, PY2 of one with the same JAX,
numba, thrml, hamon and numpyro==0.22.0, PY3 of one with torch==2.13.0, rbms==0.5.0 and
scikit-learn==1.9.1.
"""

import json
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "RESULTS.md"
H100_PEAK = {"FLOP": 67e12, "B": 3.35e12}  # NVIDIA's data sheet of the SXM card: float32 without tensor cores, and HBM3
A_GRADIENT = {
    "ula_mlp128_2d": ("FLOP", 4 * (2 * 128 + 128 * 128 + 128)),  # products forwards and back to x
    "ula_doublewell_2d": ("B", 2 * 4 * (2 + 2 + 1)),  # x, gradient and energy read and written
}
CONV_BARS = {"cd64+64": 0.8, "dsm64": 0.6, "langevin20": 0.8, "pcd20": 0.8}
HEAD = """# Speed

Two shared cores (one thread used), process CPU time, the least over repeats, programs run in turns in one session, compilation
excluded. Trust ratios more than absolute figures. Written by `python benchmarks/results.py` from what the scripts of
`benchmarks/` print; each script's docstring has its command.
"""


def rows(path: str) -> list[dict]:
    """The JSON lines of a log."""
    return [json.loads(line) for line in Path(path).read_text().splitlines() if line.startswith("{")]


def replaced(whole: str, name: str, text: str, title: str = "the page") -> str:
    """The page with `text` between its `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises:
        ValueError: The two marks do not stand there, once each and in this order.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = whole.partition(begin)
    after = rest.partition(end)[2]
    if whole.count(begin) != 1 or whole.count(end) != 1 or end not in rest:
        raise ValueError(f"{title} must hold {begin} and then {end}, once each.")
    return f"{before}{begin}\n{text}\n{end}{after}"


def put(page: Path, name: str, text: str) -> None:
    """`replaced` in a file, which stays as it is where the marks are missing."""
    page.write_text(replaced(page.read_text(), name, text, page.name))


def samplers(found: list[dict]) -> str:
    """Sampling: gradients a CPU second, and ratios."""
    speed = {(r["peer"], r["work"]): r["grad_evals_per_cpu_s"] for r in found if "peer" in r}
    share = next((r["share_of_peak"] for r in found if r.get("peer") == "energax" and "share_of_peak" in r), None)
    peak = next((r["gflops_per_cpu_s"] for r in found if r["work"] == "peak"), None)
    lines = ["## Sampling: energy gradients a CPU second, millions", ""]
    lines += [
        "| work | energax | torchebm | ebmkit | blackjax | times the faster of torchebm and ebmkit | bar |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in [r for r in found if "times_faster_than" in r]:
        cells = [speed.get((peer, r["work"])) for peer in ("energax", "torchebm", "ebmkit", "blackjax")]
        torch = [r["times_faster_than"][p] for p in ("torchebm", "ebmkit") if p in r["times_faster_than"]]
        text = ["-" if cell is None else f"{cell / 1e6:.2f}" for cell in cells]
        lines.append(f"| {r['work']} | {' | '.join(text)} | {min(torch) if torch else '-'} | {r['bar_torch'] or '-'} |")
    lines += ["", f"On the MLP matrix products rule: energax reaches {share:.0%} of the core's {peak:.0f} GFLOP/s."]
    return "\n".join(lines)


def training(found: list[dict]) -> str:
    """Training steps on a dense network."""
    best: dict[tuple[str, str], float] = {}
    for r in found:
        if "peer" in r:
            key = (r["peer"], r["work"])
            best[key] = min(best.get(key, 1e9), r["seconds"])
    lines = [
        "## Training step, MLP 2x128, batches of 256 and 32: wall milliseconds",
        "",
        "| step | energax | torchebm | ebmkit |",
        "|---|---|---|---|",
    ]
    works = [r["work"] for r in found if "guard_share_of_step" in r]
    for work in works:
        cells = [best.get((peer, work)) for peer in ("energax", "torchebm", "ebmkit")]
        lines.append(f"| {work} | " + " | ".join("-" if c is None else f"{1e3 * c:.2f}" for c in cells) + " |")
    guard = [r["guard_share_of_step"] for r in found if "guard_share_of_step" in r]
    lines.append("")
    for ratio in (r for r in found if "times_faster_than" in r):
        wall, cpu = (min(ratio["times_faster_than"][clock].values()) for clock in ("wall", "cpu"))
        batch = ratio["work"].rpartition("_b")[2]
        lines.append(
            f"CD-20 with batches of {batch} is {wall:.2f} times as fast as the faster peer by wall, {cpu:.2f} by CPU (bar {ratio['bar']})."
        )
    lines += [
        f"The guard against non-finite numbers costs {', '.join(f'{g:+.1%}' for g in guard)} of these steps by wall (noise of some per cent on a busy machine).",
    ]
    return "\n".join(lines)


def conv(found: list[dict]) -> str:
    """The convolutional energy beside PyTorch: whatever rows carry a ratio."""
    lines = [
        "## Convolutional energy (28x28, 1-32-64-64-128), beside PyTorch channels-last",
        "",
        "| work | energax, ms CPU | PyTorch, ms CPU | share of PyTorch's speed | bar |",
        "|---|---|---|---|---|",
    ]
    for r in found:
        bar = CONV_BARS.get(r["task"].removesuffix("-chunks"), "-")
        lines.append(
            f"| {r['task']} | {r['cpu_ms']:.1f} | {r['torch_cpu_ms']:.1f} | {r['speed_relative_to_torch']:.2f} | {bar} |"
        )
    lines += [
        "",
        "`-chunks` is what the recipes do on a CPU with images of 256 pixels or more (`chunk_size=8`); `-single` is one host call a step, which no loop here makes. `pcd20` is the trainer's whole step.",
    ]
    return "\n".join(lines)


def ising(found: list[dict]) -> str:
    """Spin updates of a 64 x 64 torus: one lattice and 64."""
    rows_ = [r for r in found if "peer" in r]
    exact = next(r["exact_energy"] for r in found if "exact_energy" in r)
    lines = [
        "## Ising 64x64, checkerboard heat bath: spin updates a CPU second, millions",
        "",
        "| program | 1 lattice | 64 lattices | seconds of the first call | energy a spin |",
        "|---|---|---|---|---|",
    ]
    for peer in dict.fromkeys(r["peer"] for r in rows_):
        one, many = (next(r for r in rows_ if r["peer"] == peer and r["lattices"] == n) for n in (1, 64))
        speeds = " | ".join(f"{r['updates_per_cpu_s'] / 1e6:.1f}" for r in (one, many))
        lines.append(f"| {peer} | {speeds} | {one['first_call_seconds']} | {one['energy']}, {many['energy']} |")
    lines += ["", f"Kaufman's exact energy is {exact}; first calls compile. energax is `multispin`: 32 spins a word."]
    return "\n".join(lines)


def rbm(found: list[dict]) -> str:
    """Block Gibbs and AIS of a machine of 784 x 500 bits."""
    lines = [
        "## RBM 784x500, 512 chains in parallel, float32: block Gibbs and AIS (1,000 temperatures)",
        "",
        "| work | program | chain-sweeps a CPU second | CPU seconds | wall seconds | CPU seconds of the first call | value |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in sorted((r for r in found if "peer" in r), key=lambda r: r["work"] != "gibbs"):
        lines.append(
            f"| {r['work']} | {r['peer']} | {r['chain_sweeps_per_cpu_s']:,} | {r['cpu_seconds']:.2f} | "
            f"{r['wall_seconds']:.2f} | {r['first_call_cpu_seconds']} | {r['value']} |"
        )
    lines.append("")
    for r in [r for r in found if "ratios_of" in r]:
        times = [f"{value} times as fast as {peer}" for peer, value in r["times_faster_than"]["cpu_seconds"].items()]
        first = [
            f"{value} times as fast as {peer}"
            for peer, value in r["times_faster_than"]["first_call_cpu_seconds"].items()
        ]
        lines.append(
            f"{r['ratios_of']}: energax is {' and '.join(times)} by CPU; compilation included, {' and '.join(first)}."
        )
    lines += [
        "",
        "`gibbs` is 200 sweeps, its value the mean free energy reached; `ais` gives log Z. `torch` is a program written by",
        "hand for this page: each sweep is two products, and in AIS one of them serves both energies. Wall seconds are those",
        "of a machine that was busy with other work at the same time: the ratios are of CPU seconds, on one thread each.",
    ]
    return "\n".join(lines)


def rbm_training(found: list[dict]) -> str:
    """Seconds of PCD-1 to a held-out likelihood, beside rbms and scikit-learn."""
    lines = [
        "## RBM training by PCD-1, batches of 64: CPU seconds to the same held-out likelihood",
        "",
        "| bits | program | target, nats | updates to it | CPU seconds to it | compiling, CPU seconds | updates a CPU second | best, nats |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in found:
        lines.append(
            f"| {r['work']} | {r['peer']} | {r['target']:.2f} | {r['updates']:,} | {r['cpu_seconds']:.2f} | "
            f"{r['compile_cpu_seconds']:.2f} | {r['updates_a_cpu_second']:,} | {r['best']:.2f} |"
        )
    lines += [
        "",
        "16 hidden units, so that every likelihood is exact; the target is the worst of the programs' best. `digits` has 64 bits,",
        "`mnist5k` 784. The same algorithm, start, rate and number of chains; the draws differ, and with them the updates needed.",
    ]
    return "\n".join(lines)


def memory(found: list[dict]) -> str:
    """Peak memory of many chains of a 2-D energy."""
    lines = [
        "## Memory: peak of the whole process, MiB, MALA on a 2-D double well",
        "",
        "| run | 100,000 chains | 1,000,000 chains | CPU seconds of the latter |",
        "|---|---|---|---|",
    ]
    for run in dict.fromkeys(r["run"] for r in found):
        few, many = (next(r for r in found if r["run"] == run and r["chains"] == n) for n in (100_000, 1_000_000))
        lines.append(f"| {run} | {few['peak_mib']} | {many['peak_mib']} | {many['cpu_seconds']} |")
    lines += [
        "",
        "`moments` keeps no draw: its memory does not grow with the steps. `sample` stores what it is asked for.",
    ]
    return "\n".join(lines)


def gpu(found: list[dict]) -> str:
    """An accelerator: throughput against the number of chains, and training."""
    lines = [f"## {found[0]['device']}: energy gradients a second, millions, by number of chains", ""]
    chains = sorted({r["chains"] for r in found if "chains" in r})
    lines += ["| work | " + " | ".join(f"{c:,}" for c in chains) + " |", "|---|" + "---|" * len(chains)]
    for work in dict.fromkeys(r["work"] for r in found if "chains" in r):
        values = {r["chains"]: r["grads_per_s"] for r in found if r["work"] == work}
        lines.append(f"| {work} | " + " | ".join(f"{values[c] / 1e6:,.0f}" for c in chains) + " |")
    steps = [f"{r['work']} {r['steps_per_s']:.0f} steps/s" for r in found if "steps_per_s" in r]
    lines += ["", f"Training on 28x28 images, batch 256: {', '.join(steps)}."]
    if "H100" in found[0]["device"]:
        lines.append("")
        for work, (unit, count) in A_GRADIENT.items():
            rate = count * max(r["grads_per_s"] for r in found if r["work"] == work)
            lines.append(
                f"By count, {work} at its most does {rate / 1e12:.2f} T{unit}/s, {rate / H100_PEAK[unit]:.0%} of the card's "
                f"{H100_PEAK[unit] / 1e12:g} ({count:,} {unit} a gradient; noise not counted)."
            )
    return "\n".join(lines)


def hmc_nuts(found: list[dict]) -> str:
    """HMC and NUTS beside blackjax and numpyro: CPU seconds without and with compilation."""
    rows_ = {(r["peer"], r["work"]): r for r in found if "peer" in r}
    peers = ("energax", "blackjax", "numpyro")
    lines = [
        "## HMC and NUTS: CPU seconds of a later call, and of a program built anew (traced, compiled and run)",
        "",
        "| work | energax | blackjax | numpyro | times faster | built anew: energax | blackjax | numpyro | times faster |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for work in dict.fromkeys(r["work"] for r in found if "peer" in r):
        cells = []
        for figure in ("cpu_seconds", "whole_cpu_seconds"):
            values = [rows_[peer, work][figure] if (peer, work) in rows_ else None for peer in peers]
            cells += ["-" if value is None else f"{value:.3g}" for value in values]
            cells.append(", ".join("-" if value is None else f"{value / values[0]:.2f}" for value in values[1:]))
        lines.append(f"| {work} | {' | '.join(cells)} |")
    lines += [
        "",
        "The same target, chains, step, leapfrogs (or depth) and draws, each with its energy, acceptance and divergence; times faster than",
        "blackjax, numpyro.",
    ]
    return "\n".join(lines)


def posteriors(found: list[dict]) -> str:
    """Effective draws of six posteriors, by the gradient and by the second."""
    by = {(r["posterior"], r["kernel"]): r for r in found if "posterior" in r}
    kernels = list(dict.fromkeys(kernel for _, kernel in by))
    lines = ["## Six posteriors: effective draws per 1,000 gradients / per CPU second (worst R-hat)", ""]
    lines += ["| posterior | " + " | ".join(kernels) + " |", "|---|" + "---|" * len(kernels)]
    for posterior in dict.fromkeys(name for name, _ in by):
        cells = []
        for row in (by[posterior, kernel] for kernel in kernels):
            cells.append(f"{row['ess_per_1000_gradients']:.3g} / {row['ess_per_second']:,.0f} ({row['rhat']:.3f})")
        lines.append(f"| {posterior} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "The worst of all coordinates and their squares, 16 chains; mass and step size from 400 steps of warm-up.",
        "`nan`: a chain of sixteen stood still. Where R-hat is above 1.01 chains do not agree, and no figure of the row is to be trusted.",
    ]
    return "\n".join(lines)


def gebm(found: list[dict]) -> str:
    """GEBM on large graphs: seconds and memory."""
    lines = [
        "## GEBM on large graphs: CPU seconds, and the peak of the whole process, MiB",
        "",
        "| nodes | edges | fit | score | predict | wall seconds of all three | peak | before the fit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    parts = ("fit", "score", "predict")
    for r in found:
        cpu = " | ".join(f"{r[part + ' (CPU)']:.3g}" for part in parts)
        wall = f"{sum(r[part] for part in parts):.3g}"
        lines.append(f"| {r['nodes']:,} | {r['edges']:,} | {cpu} | {wall} | {r['peak_mib']:,} | {r['start_mib']:,} |")
    lines += ["", "64 dimensions and 10 classes in float32, edges at random: the worst case for a cache."]
    return "\n".join(lines)


def main() -> None:
    """Writes the page."""
    parts = {"samplers": samplers, "training": training, "conv": conv, "gpu": gpu, "ising": ising}
    parts |= {
        "rbm": rbm,
        "rbm_training": rbm_training,
        "memory": memory,
        "hmc_nuts": hmc_nuts,
        "posteriors": posteriors,
        "gebm": gebm,
    }
    texts = PAGE.read_text().split("\n\n## ")[1:] if PAGE.exists() else []
    sections = {text.partition("\n")[0]: f"## {text.rstrip()}" for text in texts}
    for path in sys.argv[1:]:  # a section that is not written anew stays as it is
        text = parts[Path(path).stem](rows(path))
        sections[text.partition("\n")[0].removeprefix("## ")] = text
    PAGE.write_text(HEAD + "\n" + "\n\n".join(sections.values()) + "\n")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
