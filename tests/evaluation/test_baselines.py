"""Baselines: normalised densities, right on data they can fit, with the noise in closed form."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.neighbors import KernelDensity

from energax.evaluation import fit_baselines, fit_gaussian, fit_kernel, fit_mixture, held_out_nll


def bent(seed, n=300):
    rng = np.random.default_rng(seed)
    first = rng.standard_normal(n)
    return np.stack([first, first**2 + 0.3 * rng.standard_normal(n)], axis=1)


@pytest.mark.parametrize("name", ["gaussian", "gmm5", "kde"])
def test_densities_integrate_to_one(name):
    baseline = fit_baselines(bent(0), noise=0.2, num_components=5)[name]
    axis = np.linspace(-9, 19, 280)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    total = np.exp(baseline.log_prob(points)).sum() * (axis[1] - axis[0]) ** 2
    assert total == pytest.approx(1.0, abs=5e-3)


def test_only_what_is_asked_for_is_fitted():
    twice = np.repeat(bent(0)[:, :1], 2, axis=1)  # a Gaussian of these has no inverse
    assert list(fit_baselines(twice, names=["kde"])) == ["kde"]
    with pytest.raises(ValueError, match="singular"):
        fit_baselines(twice)
    with pytest.raises(ValueError, match="must be of gaussian, gmm10, kde; got 'gmm3'"):
        fit_baselines(bent(0), names=["gmm3"])


def test_gaussian_is_mean_covariance_and_noise():
    x = bent(1)
    exact = multivariate_normal(x.mean(0), np.cov(x.T) + 0.25 * np.eye(2)).logpdf(bent(2))
    np.testing.assert_allclose(fit_gaussian(x, noise=0.5).log_prob(bent(2)), exact)


def test_kernel_density_is_scikit_learns():
    x, test = bent(1), bent(2)
    fitted = fit_kernel(x)
    exact = KernelDensity(bandwidth=fitted.bandwidth).fit(x).score_samples(test)
    np.testing.assert_allclose(fitted.log_prob(test), exact, rtol=1e-10)
    spread = np.sqrt(np.mean(np.var(x, axis=0)))
    scores = {h: KernelDensity(bandwidth=h * spread).fit(x).score(test) for h in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)}
    assert fitted.bandwidth / spread == pytest.approx(max(scores, key=scores.get), rel=0.6)


def test_better_models_score_better_where_they_must():
    nll = {k: held_out_nll(b, bent(9, 1000))["nll_test"] for k, b in fit_baselines(bent(0, 1000)).items()}
    truth = 0.5 * (1 + np.log(2 * np.pi)) + 0.5 * (1 + np.log(2 * np.pi * 0.09))
    assert truth < nll["gmm10"] < nll["kde"] < nll["gaussian"]
    assert nll["gmm10"] < truth + 0.15


@pytest.mark.slow
def test_digits_baselines_stand_where_they_were_measured():
    x, _ = load_digits(return_X_y=True)
    x = x[np.random.default_rng(0).permutation(len(x))] / 8 - 1
    test = x[1437:] + 0.2 * np.random.default_rng(1).standard_normal((360, 64))
    nll = {k: held_out_nll(b, test) for k, b in fit_baselines(x[:1437], noise=0.2).items()}
    # Nats per image; other splits move these by about 0.6.
    assert nll["gaussian"]["nll_test"] == pytest.approx(28.9, abs=2.0)
    assert nll["gmm10"]["nll_test"] == pytest.approx(21.2, abs=2.0)
    assert nll["kde"]["nll_test"] == pytest.approx(27.6, abs=2.0)
    assert 0.2 < nll["kde"]["nll_test_se"] < 1.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_gaussian(np.ones((5, 2))), "singular"),
        (lambda: fit_gaussian(bent(0), noise=-1.0), "noise must be >= 0"),
        (lambda: fit_mixture(bent(0)[:5], 9), "at most 5"),
        (lambda: fit_mixture(bent(0), 0), "num_components"),
        (lambda: fit_kernel(np.ones((9, 2))), "must be > 0"),
        (lambda: fit_kernel(bent(0), bandwidths=(-1.0,)), "bandwidths"),
        (lambda: fit_kernel(np.array([[np.nan, 1.0], [1.0, 1.0]])), "must be finite"),
        (lambda: fit_gaussian(bent(0)).log_prob(np.array([[np.inf, 0.0]])), "must be finite"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
