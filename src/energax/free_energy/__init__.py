"""From paths and work to log Z, with error bars and bounds."""

from .accounts import Account as Account
from .ais import (
    AISResult as AISResult,
    ais as ais,
    annealed_weights as annealed_weights,
    bootstrap_interval as bootstrap_interval,
    resample as resample,
)
from .bar import BAR as BAR, bar as bar
from .bracket import Bracket as Bracket, bracket as bracket
from .conditional_ess import Temperatures as Temperatures, adapt_temperatures as adapt_temperatures
from .cost import Cost as Cost, count_evaluations as count_evaluations
from .crooks import WorkStatistics as WorkStatistics, crooks as crooks
from .escorted import escorted as escorted, euler as euler
from .jarzynski import Works as Works, jarzynski as jarzynski, reverse_jarzynski as reverse_jarzynski
from .ledger import Ledger as Ledger, ledger as ledger
from .mbar import MBAR as MBAR, mbar as mbar
from .nodes import mbar_along as mbar_along
from .perturbation import Perturbation as Perturbation, perturbation as perturbation
from .pilot import tune_path as tune_path
from .population_annealing import (
    PopulationAnnealingResult as PopulationAnnealingResult,
    family_sizes as family_sizes,
    population_annealing as population_annealing,
)
from .reverse_ais import reverse_ais as reverse_ais, reverse_weights as reverse_weights
from .smc import SMCResult as SMCResult, smc as smc
from .thermodynamic import (
    ThermodynamicResult as ThermodynamicResult,
    thermodynamic_integration as thermodynamic_integration,
)
from .wang_landau import WangLandauResult as WangLandauResult, wang_landau as wang_landau
