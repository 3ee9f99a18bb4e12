"""Energies: one sample to one number in nats; exact log Z and exact samples where they exist."""

from .banana import Banana as Banana
from .bars_and_stripes import bars_and_stripes as bars_and_stripes, bars_and_stripes_rbm as bars_and_stripes_rbm
from .boltzmann import BoltzmannMachine as BoltzmannMachine
from .brownian import (
    BrownianExact as BrownianExact,
    BrownianMotion as BrownianMotion,
    brownian_exact as brownian_exact,
)
from .classifier import ClassifierEnergy as ClassifierEnergy
from .curie_weiss import (
    CurieWeiss as CurieWeiss,
    CurieWeissExact as CurieWeissExact,
    CurieWeissLimit as CurieWeissLimit,
    curie_weiss_exact as curie_weiss_exact,
    curie_weiss_limit as curie_weiss_limit,
)
from .dense_memory import DenseMemory as DenseMemory
from .eight_schools import (
    EightSchools as EightSchools,
    EightSchoolsCentred as EightSchoolsCentred,
    EightSchoolsExact as EightSchoolsExact,
    eight_schools_exact as eight_schools_exact,
)
from .enumeration import Enumerated as Enumerated, enumerate_exact as enumerate_exact
from .funnel import Funnel as Funnel
from .gaussian import Gaussian as Gaussian, standard_normal as standard_normal
from .gaussian_rbm import GaussianRBM as GaussianRBM
from .gmm40 import gaussian_ring as gaussian_ring, gmm40 as gmm40
from .hidden_bits import AbstractHiddenBits as AbstractHiddenBits
from .hopfield import Hopfield as Hopfield
from .independent_sites import (
    IndependentCategories as IndependentCategories,
    IndependentSpins as IndependentSpins,
)
from .ising import Ising as Ising, enumerate_log_z as enumerate_log_z, lattice_edges as lattice_edges
from .ising_exact import (
    ISING_CRITICAL_COUPLING as ISING_CRITICAL_COUPLING,
    IsingMagnetisation as IsingMagnetisation,
    IsingPlane as IsingPlane,
    IsingRing as IsingRing,
    IsingTorus as IsingTorus,
    ising_density_of_states as ising_density_of_states,
    ising_plane as ising_plane,
    ising_ring as ising_ring,
    ising_ring_correlation as ising_ring_correlation,
    ising_torus as ising_torus,
    ising_torus_magnetisation as ising_torus_magnetisation,
)
from .levelled import LevelledEnergy as LevelledEnergy
from .linear_regression import LinearRegression as LinearRegression, five_points_posterior as five_points_posterior
from .logistic_regression import (
    LogisticRegression as LogisticRegression,
    breast_cancer_posterior as breast_cancer_posterior,
)
from .mixture import GaussianMixture as GaussianMixture
from .modern_hopfield import ModernHopfield as ModernHopfield
from .mueller_brown import (
    MuellerBrown as MuellerBrown,
    MuellerBrownExact as MuellerBrownExact,
    mueller_brown_exact as mueller_brown_exact,
)
from .network import NetworkEnergy as NetworkEnergy
from .phi4 import Phi4Chain as Phi4Chain, Phi4Exact as Phi4Exact, phi4_exact as phi4_exact
from .potts import Potts as Potts
from .potts_exact import (
    PottsRing as PottsRing,
    PottsTorus as PottsTorus,
    potts_critical_coupling as potts_critical_coupling,
    potts_critical_energy as potts_critical_energy,
    potts_ring as potts_ring,
    potts_ring_correlation as potts_ring_correlation,
    potts_torus as potts_torus,
    potts_torus_occupation as potts_torus_occupation,
)
from .potts_rbm import PottsRBM as PottsRBM
from .quadrature_exact import Quadrature as Quadrature, quadrature_exact as quadrature_exact
from .rbm import BernoulliRBM as BernoulliRBM
from .rbm_exact import (
    RBMExact as RBMExact,
    rbm_exact as rbm_exact,
    rbm_log_z as rbm_log_z,
    rbm_samples as rbm_samples,
)
from .rbm_path import IndependentBits as IndependentBits, RBMPath as RBMPath
from .rem import RandomEnergy as RandomEnergy, RandomEnergyLimit as RandomEnergyLimit, rem_limit as rem_limit
from .rosenbrock import Rosenbrock as Rosenbrock
from .seeds import Seeds as Seeds
from .self_normalised import SelfNormalised as SelfNormalised
from .spin_glass import (
    SKHighTemperature as SKHighTemperature,
    edwards_anderson as edwards_anderson,
    sherrington_kirkpatrick as sherrington_kirkpatrick,
    sk_high_temperature as sk_high_temperature,
    sk_log_mean_z as sk_log_mean_z,
)
from .wells import DoubleWell as DoubleWell, ManyWell as ManyWell
