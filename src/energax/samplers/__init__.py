"""One transition of one chain a file; `chains` is the only runner."""

from .adaptation import (
    AdaptiveStep as AdaptiveStep,
    DualAveraging as DualAveraging,
    DualAveragingState as DualAveragingState,
    warm_up as warm_up,
    with_step_size as with_step_size,
)
from .annealed_langevin import annealed_langevin as annealed_langevin
from .barker import Barker as Barker, BarkerInfo as BarkerInfo, BarkerState as BarkerState
from .blackjax import (
    Blackjax as Blackjax,
    BlackjaxInfo as BlackjaxInfo,
    BlackjaxState as BlackjaxState,
    adjusted_mclmc as adjusted_mclmc,
    elliptical_slice as elliptical_slice,
    multinomial_hmc as multinomial_hmc,
    nuts as nuts,
    slice_sampling as slice_sampling,
)
from .block_gibbs import BlockGibbs as BlockGibbs, BlockGibbsInfo as BlockGibbsInfo, BlockGibbsState as BlockGibbsState
from .chains import (
    Draws as Draws,
    advance as advance,
    init_chains as init_chains,
    num_chains as num_chains,
    one_step as one_step,
    sample as sample,
)
from .checkerboard import (
    CheckerboardGibbs as CheckerboardGibbs,
    CheckerboardGibbsInfo as CheckerboardGibbsInfo,
    CheckerboardGibbsState as CheckerboardGibbsState,
    checkerboard as checkerboard,
    colouring as colouring,
)
from .clusters import cluster_labels as cluster_labels
from .cycle import Cycle as Cycle, CycleInfo as CycleInfo, CycleState as CycleState
from .dmala import DMALA as DMALA, DMALAInfo as DMALAInfo, DMALAState as DMALAState
from .dula import DULA as DULA, DULAInfo as DULAInfo, DULAState as DULAState
from .generalised_hmc import (
    GeneralisedHMC as GeneralisedHMC,
    GeneralisedHMCInfo as GeneralisedHMCInfo,
    GeneralisedHMCState as GeneralisedHMCState,
)
from .gibbs import Gibbs as Gibbs, GibbsInfo as GibbsInfo, GibbsState as GibbsState
from .gibbs_with_gradients import (
    GibbsWithGradients as GibbsWithGradients,
    GibbsWithGradientsInfo as GibbsWithGradientsInfo,
    GibbsWithGradientsState as GibbsWithGradientsState,
)
from .hmc import HMC as HMC, HMCInfo as HMCInfo, HMCState as HMCState
from .independence import (
    Independence as Independence,
    IndependenceInfo as IndependenceInfo,
    IndependenceState as IndependenceState,
)
from .ladder import Ladder as Ladder, adapt_ladder as adapt_ladder, equal_steps as equal_steps
from .leimkuhler_matthews import (
    LeimkuhlerMatthews as LeimkuhlerMatthews,
    LeimkuhlerMatthewsInfo as LeimkuhlerMatthewsInfo,
    LeimkuhlerMatthewsState as LeimkuhlerMatthewsState,
)
from .mala import MALA as MALA, MALAInfo as MALAInfo, MALAState as MALAState
from .moments import Moments as Moments, first_two as first_two, moments as moments
from .multispin import MultispinRun as MultispinRun, multispin as multispin
from .pairs import AbstractPair as AbstractPair, PairStep as PairStep, ULAPair as ULAPair
from .parallel_tempering import (
    ParallelTempering as ParallelTempering,
    ParallelTemperingInfo as ParallelTemperingInfo,
    ParallelTemperingState as ParallelTemperingState,
    tempered_energy as tempered_energy,
    tempered_joint as tempered_joint,
)
from .preconditioned_ula import (
    PreconditionedULA as PreconditionedULA,
    PreconditionedULAInfo as PreconditionedULAInfo,
    PreconditionedULAState as PreconditionedULAState,
)
from .random_scan_gibbs import (
    RandomScanGibbs as RandomScanGibbs,
    RandomScanGibbsInfo as RandomScanGibbsInfo,
    RandomScanGibbsState as RandomScanGibbsState,
)
from .random_walk import (
    RandomWalk as RandomWalk,
    RandomWalkInfo as RandomWalkInfo,
    RandomWalkState as RandomWalkState,
)
from .replay import ReplayBuffer as ReplayBuffer, Restarted as Restarted, finite_rows as finite_rows
from .simulated_annealing import Annealed as Annealed, simulated_annealing as simulated_annealing
from .simulated_tempering import (
    LevelLogZ as LevelLogZ,
    SimulatedTempering as SimulatedTempering,
    SimulatedTemperingInfo as SimulatedTemperingInfo,
    SimulatedTemperingState as SimulatedTemperingState,
    learn_weights as learn_weights,
    level_log_z as level_log_z,
    sample_levels as sample_levels,
)
from .site_metropolis import (
    SiteMetropolis as SiteMetropolis,
    SiteMetropolisInfo as SiteMetropolisInfo,
    SiteMetropolisState as SiteMetropolisState,
)
from .sites import (
    BITS as BITS,
    CATEGORIES as CATEGORIES,
    SPINS as SPINS,
    AbstractSites as AbstractSites,
    Binary as Binary,
    OneHot as OneHot,
)
from .svgd import (
    Particles as Particles,
    median_bandwidth as median_bandwidth,
    stein_direction as stein_direction,
    svgd as svgd,
)
from .swendsen_wang import (
    SwendsenWang as SwendsenWang,
    SwendsenWangInfo as SwendsenWangInfo,
    SwendsenWangState as SwendsenWangState,
)
from .tamed_ula import TamedULA as TamedULA, TamedULAInfo as TamedULAInfo, TamedULAState as TamedULAState
from .ula import ULA as ULA, ULAInfo as ULAInfo, ULAState as ULAState
from .underdamped import (
    Underdamped as Underdamped,
    UnderdampedInfo as UnderdampedInfo,
    UnderdampedState as UnderdampedState,
)
from .whitened import Whitened as Whitened, WhitenedState as WhitenedState
from .windows import stan_windows as stan_windows, window_warm_up as window_warm_up
from .wolff import Wolff as Wolff, WolffInfo as WolffInfo, WolffState as WolffState
