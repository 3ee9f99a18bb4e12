"""Three synthetic run folders: real digits with an invented model, a toy of the plane, and a run that diverged."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_moons

_INFO = {
    "energax": "0.1.0",
    "python": "3.11.7",
    "jax": "0.10.0",
    "jaxlib": "0.10.0",
    "git": "f90f2e6",
    "seed": 3,
    "device": "cpu (2 cores)",
    "started": "2026-03-01T10:00:00+00:00",
    "finished": "2026-03-01T10:02:41+00:00",
    "status": "done",
    "steps_done": 5000,
    "steps_asked": 5000,
    "seconds": 161.2,
    "recipe": "digits",
}


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def metric_rows(steps: int = 5000, every: int = 50) -> list[dict]:
    """A run that settles: gap to zero, acceptance to 0.75."""
    rng = np.random.default_rng(0)
    rows = []
    for step in range(every, steps + 1, every):
        gap = -6.0 * np.exp(-step / 600) + 0.15 * rng.normal()
        data = 28.0 - 6.0 * (1 - np.exp(-step / 1500)) + 0.3 * rng.normal()
        rows.append(
            {
                "step": step,
                "time": 0.03 * step,
                "loss": gap + 0.05 * rng.normal(),
                "gap": gap,
                "energy_data": data,
                "energy_model": data - gap,
                "acceptance": 0.75 - 0.2 * np.exp(-step / 300) + 0.01 * rng.normal(),
                "step_size": 0.05 * (1 + 0.6 * np.exp(-step / 800)),
                "grad_norm": 0.4 + 3 * np.exp(-step / 400) + 0.05 * abs(rng.normal()),
                "temperature": 1.0,
                "age_mean": 5.0 * step,
                "age_max": 5.0 * step + 40,
                "divergent": 0.0,
                "walker_radius": 1.3 + 0.1 * rng.random(),
                "rejected": 0.0,
                "evicted": 0.0,
            }
        )
    return rows


def image_evaluation() -> dict:
    """Figures near those of the digits recipe; a baseline wins on one outside set."""

    def row(auroc: float) -> dict:
        return {"auroc": auroc, "aupr": min(1.0, auroc + 0.01), "fpr95": round(1 - auroc, 3)}

    def sets(*values: float) -> dict:
        return {score: row(v) for score, v in zip(("energy", "gaussian", "gmm10", "kde"), values, strict=True)}

    return {
        "dataset": {"name": "digits", "n_train": 1437, "n_test": 360, "shape": [64], "dequantisation": 0.2},
        "log_z": {
            "forward": [
                {
                    "label": "from the Gaussian, 400",
                    "estimate": 49.61,
                    "se": 0.21,
                    "ess": 14.0,
                    "num_chains": 300,
                    "num_temperatures": 400,
                    "x_energy_mean": 68.1,
                },
                {
                    "label": "from the Gaussian, 1600",
                    "estimate": 49.92,
                    "se": 0.11,
                    "ess": 41.0,
                    "num_chains": 300,
                    "num_temperatures": 1600,
                    "x_energy_mean": 67.9,
                },
            ],
            "reverse": [
                {
                    "label": "from samples, 1600",
                    "estimate": 50.31,
                    "se": 0.13,
                    "ess": 37.0,
                    "num_chains": 300,
                    "num_temperatures": 1600,
                    "x_energy_mean": 41.0,
                }
            ],
            "bracket": [49.70, 50.57],
            "agree_within": 1.0,
            "agree": True,
            "exact": None,
            "remarks": ["The forward run of 400 temperatures has 14.0 effective chains of 300."],
        },
        "likelihood": {
            "nll_test": 18.6,
            "nll_test_se": 0.5,
            "nll_train": 17.1,
            "bits_per_dim": 0.419,
            "nll_bracket": [18.4, 19.3],
            "units": "nats per image",
            "baselines": {"gaussian": {"nll_test": 28.9}, "gmm10": {"nll_test": 23.0}, "kde": {"nll_test": 27.6}},
        },
        "sample_quality": {
            "mmd2": {"value": 0.0002, "floor": -0.0003, "se": 0.0003},
            "sliced_wasserstein": {"value": 0.061, "floor": 0.049, "se": 0.006},
            "c2st": {"value": 0.54, "floor": 0.51, "se": 0.02},
            "frechet": {"value": 2.9, "floor": 2.32, "se": 0.2},
            "class_tv": {"value": 0.06, "floor": 0.05},
            "nearest_neighbour": {"samples": 2.71, "heldout": 2.63},
            "class_shares": {str(c): [0.1 + 0.01 * ((-1) ** c), 0.1] for c in range(10)},
        },
        "ood": {
            "gaussian-fit": sets(0.986, 0.51, 0.964, 0.979),
            "upside-down": sets(0.889, 0.77, 0.883, 0.889),
            "blends": sets(0.773, 0.14, 0.652, 0.815),
            "uniform": sets(1.0, 1.0, 1.0, 1.0),
        },
        "chains": {
            "rhat_max": 1.006,
            "ess_bulk_min": 640.0,
            "ess_tail_min": 512.0,
            "acceptance": 0.77,
            "autocorrelation_time": 3.1,
            "num_chains": 24,
            "num_draws": 200,
            "table": [
                {"name": "energy", "rhat": 1.004, "ess_bulk": 700.0, "ess_tail": 512.0},
                {"name": "principal coordinate 1", "rhat": 1.006, "ess_bulk": 640.0, "ess_tail": 590.0},
            ],
        },
    }


def traces(chains: int, draws: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """Stationary autoregressive chains."""
    walk = np.zeros((chains, draws))
    walk[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        walk[:, t] = 0.6 * walk[:, t - 1] + 0.8 * rng.normal(size=chains)
    return (mean + 5 * walk).astype(np.float32)


def write_image_run(folder: Path) -> Path:
    """Digits in their flat layout, with samples of a fitted mixture in the place of a trained model."""
    from energax.runtime.config import dump, resolve

    rng = np.random.default_rng(1)
    digits = load_digits()
    order = rng.permutation(len(digits.data))
    x = (digits.data[order] / 8.0 - 1.0).astype(np.float32)
    train, test = x[:1437], x[1437:]
    # One Gaussian a class is close enough to pass for a model's samples.
    labels = digits.target[order][:1437]
    classes = [train[labels == c] for c in range(10)]
    factors = [np.linalg.cholesky(np.cov(c.T) + 0.01 * np.eye(64)) for c in classes]
    drawn = rng.integers(10, size=128)
    samples = np.stack([classes[c].mean(0) + factors[c] @ rng.normal(size=64) for c in drawn]).astype(np.float32)
    near = train[np.argmin(((samples[:, None] - train[None]) ** 2).sum(-1), axis=1)]
    arrays = {
        "samples": samples,
        "data_train": train[:200],
        "data_test": test[:200],
        "neighbours": near,
        "energy_train": rng.normal(66, 7, 400),
        "energy_test": rng.normal(68, 8, 360),
        "energy_samples": rng.normal(67, 7.5, 1000),
        "energy_ood__upside-down": rng.normal(82, 10, 360),
        "energy_ood__blends": rng.normal(76, 8, 360),
        "energy_ood__gaussian-fit": rng.normal(95, 9, 360),
        "trace": traces(24, 200, 67.0, rng),
    }
    folder.mkdir(parents=True)
    write_json(folder / "run.json", _INFO)
    (folder / "config.yaml").write_text(dump(resolve("digits", ["seed=3"])), encoding="utf-8")
    write_lines(folder / "metrics.jsonl", metric_rows())
    alarm = {
        "step": 150,
        "name": "low-acceptance",
        "phase": "train",
        "message": "acceptance was 0.04 over 50 steps, below 0.05",
        "advice": "the walkers are stuck: lower the learning rate or the step size",
    }
    write_lines(folder / "alarms.jsonl", [alarm])
    write_json(folder / "evaluation.json", image_evaluation())
    np.savez(folder / "arrays.npz", **arrays)
    return folder


def write_plane_run(folder: Path) -> Path:
    """Two moons with an energy that is the kernel density of the truth."""
    rng = np.random.default_rng(2)
    x = make_moons(2000, noise=0.08, random_state=0)[0]
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    grid = np.linspace(-2.6, 2.6, 90)
    points = np.stack(np.meshgrid(grid, grid), axis=-1)

    def log_density(width: float) -> np.ndarray:
        square = ((points[:, :, None] - x[None, None, :500]) ** 2).sum(-1) / width**2
        return np.log(np.exp(-0.5 * square).mean(-1) / (2 * np.pi * width**2) + 1e-30)

    paths = np.zeros((6, 150, 2))
    for chain in paths:
        chain[0] = x[rng.integers(len(x))]
        for t in range(1, 150):
            chain[t] = 0.7 * chain[t - 1] + 0.3 * x[rng.integers(len(x))] + 0.05 * rng.normal(size=2)
    arrays = {
        "samples": x[:1500] + 0.05 * rng.normal(size=(1500, 2)).astype(np.float32),
        "data_test": x[1500:],
        "energy_train": rng.normal(1.6, 0.8, 1500),
        "energy_test": rng.normal(1.65, 0.8, 500),
        "energy_samples": rng.normal(1.6, 0.85, 1500),
        "trace": traces(8, 150, 1.6, rng),
        "grid_x": grid,
        "grid_y": grid,
        "grid_energy": -log_density(0.16) + 3.0,
        "grid_true_log_density": log_density(0.12),
        "chains_xy": paths,
    }
    evaluation = {
        "dataset": {"name": "moons", "n_train": 10000, "n_test": 2000, "shape": [2], "dequantisation": 0.0},
        "log_z": {
            "forward": [
                {
                    "label": "400",
                    "estimate": -3.01,
                    "se": 0.01,
                    "ess": 180.0,
                    "num_chains": 200,
                    "num_temperatures": 400,
                    "x_energy_mean": 4.6,
                }
            ],
            "reverse": [
                {
                    "label": "400",
                    "estimate": -2.99,
                    "se": 0.01,
                    "ess": 175.0,
                    "num_chains": 200,
                    "num_temperatures": 400,
                    "x_energy_mean": 4.6,
                }
            ],
            "bracket": [-3.03, -2.97],
            "agree_within": 1.0,
            "agree": True,
            "exact": -3.0,
        },
        "likelihood": {
            "nll_test": 1.61,
            "nll_test_se": 0.02,
            "nll_train": 1.6,
            "baselines": {"gaussian": {"nll_test": 2.6}, "kde": {"nll_test": 1.64}},
        },
        "chains": {"rhat_max": 1.004, "ess_bulk_min": 300.0, "ess_tail_min": 250.0, "num_chains": 8, "num_draws": 150},
        "density2d": {
            "kl_true_model": 0.0093,
            "kde_kl": 0.017,
            "log_z_grid": -3.0,
            "mode_masses_true": [0.5, 0.5],
            "mode_masses_model": [0.512, 0.488],
        },
    }
    folder.mkdir(parents=True)
    write_json(
        folder / "run.json", {**_INFO, "recipe": "moons-pcd", "seed": 0, "steps_done": 3000, "steps_asked": 3000}
    )
    (folder / "config.yaml").write_text("name: moons-pcd\ndata: {name: moons}\n", encoding="utf-8")
    write_lines(folder / "metrics.jsonl", metric_rows(3000, 20))
    write_json(folder / "evaluation.json", evaluation)
    np.savez(folder / "arrays.npz", **arrays)
    return folder


def write_failed_run(folder: Path) -> Path:
    """A run that diverged early and was killed in the middle of a line."""
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {**_INFO, "status": "diverged", "steps_done": 150, "seconds": 4.0})
    rows = metric_rows(150)
    rows[-1]["grad_norm"] = float("nan")
    rows[-1]["rejected"] = 0.5
    write_lines(folder / "metrics.jsonl", rows)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 200, "lo')
    alarm = {
        "step": 140,
        "name": "non-finite",
        "phase": "train",
        "message": "gradient of layers[0].weight is NaN",
        "advice": "lower the learning rate",
    }
    write_lines(folder / "alarms.jsonl", [alarm, {**alarm, "step": 150}])
    return folder


@pytest.fixture(scope="session")
def image_run(tmp_path_factory) -> Path:
    return write_image_run(tmp_path_factory.mktemp("image") / "digits-20260301-100000-ab12")


@pytest.fixture(scope="session")
def plane_run(tmp_path_factory) -> Path:
    return write_plane_run(tmp_path_factory.mktemp("plane") / "moons-20260301-100000-cd34")


@pytest.fixture(scope="session")
def failed_run(tmp_path_factory) -> Path:
    return write_failed_run(tmp_path_factory.mktemp("failed") / "digits-20260301-110000-ef56")
