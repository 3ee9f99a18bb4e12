"""Arrays to numbers: how good a model, its samples and its chains are; no plots, no files."""

from .adversarial import Adversarial as Adversarial, adversarial_distance as adversarial_distance
from .analytic import Analytic as Analytic, analytic_targets as analytic_targets
from .arviz import arviz_plots as arviz_plots, to_arviz as to_arviz
from .baselines import (
    Baseline as Baseline,
    GaussianBaseline as GaussianBaseline,
    KernelBaseline as KernelBaseline,
    MixtureBaseline as MixtureBaseline,
    fit_baselines as fit_baselines,
    fit_gaussian as fit_gaussian,
    fit_kernel as fit_kernel,
    fit_mixture as fit_mixture,
    held_out_nll as held_out_nll,
)
from .bit_baselines import (
    BitMixture as BitMixture,
    fit_bit_baselines as fit_bit_baselines,
    fit_bit_mixture as fit_bit_mixture,
    fit_bits as fit_bits,
)
from .branches import ContinuousNoise as ContinuousNoise
from .certificate import Certificate as Certificate, Row as Row
from .certify import certify as certify
from .chains import autocorrelation as autocorrelation, summary as summary
from .density2d import (
    Density2D as Density2D,
    Grid as Grid,
    best_kernel_kl as best_kernel_kl,
    compare_on_grid as compare_on_grid,
    grid_log_z as grid_log_z,
    kernel_log_density as kernel_log_density,
    kl_on_grid as kl_on_grid,
    make_grid as make_grid,
    nearest_mode as nearest_mode,
)
from .detection import (
    Detection as Detection,
    aupr as aupr,
    auroc as auroc,
    detect as detect,
    detect_labelled as detect_labelled,
    fpr95 as fpr95,
)
from .enumerable import Enumerable as Enumerable, enumerable_targets as enumerable_targets
from .frechet import (
    ClassifierFeatures as ClassifierFeatures,
    classifier_frechet as classifier_frechet,
    fit_classifier_features as fit_classifier_features,
    frechet_between_gaussians as frechet_between_gaussians,
    frechet_distance as frechet_distance,
)
from .ising_transition import ising_curves as ising_curves, ising_sweep as ising_sweep
from .jackknife import Observable as Observable, observe as observe
from .log_likelihood import HeldOut as HeldOut, energy_values as energy_values, held_out as held_out
from .potts_transition import potts_curves as potts_curves, potts_sweep as potts_sweep
from .rbm_modes import (
    Minima as Minima,
    RBMAverages as RBMAverages,
    SingularModes as SingularModes,
    exact_occupancy as exact_occupancy,
    free_energy_minima as free_energy_minima,
    rbm_averages as rbm_averages,
    singular_modes as singular_modes,
)
from .rbm_tempering import RBMSweep as RBMSweep, rbm_curves as rbm_curves, rbm_sweep as rbm_sweep
from .sample_distance import (
    Distance as Distance,
    Nearest as Nearest,
    c2st as c2st,
    class_total_variation as class_total_variation,
    mmd as mmd,
    nearest_neighbour as nearest_neighbour,
    sliced_wasserstein as sliced_wasserstein,
)
from .shipped import SHIPPED as SHIPPED, certify_shipped as certify_shipped
from .spins import (
    Correlation as Correlation,
    correlation_function as correlation_function,
    magnetisation as magnetisation,
    overlap_observables as overlap_observables,
    potts_observables as potts_observables,
    spin_observables as spin_observables,
)
from .transitions import (
    Exactness as Exactness,
    Transitions as Transitions,
    every_sample as every_sample,
    exactness as exactness,
    probabilities as probabilities,
    transition_matrix as transition_matrix,
)
from .temperature_sweep import (
    Curve as Curve,
    Exact as Exact,
    SweepDraws as SweepDraws,
    SweepRow as SweepRow,
    chain_sweep as chain_sweep,
)
