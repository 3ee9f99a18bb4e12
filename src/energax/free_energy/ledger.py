"""The ledger: several estimators of one log Z on the same path, what each cost, and whether they agree.

Source: Neal (2001), doi:10.1023/A:1008923215028 (ais); Burda, Grosse and Salakhutdinov (2015), arXiv:1412.8566
(reverse ais); Del Moral, Doucet and Jasra (2006), doi:10.1111/j.1467-9868.2006.00553.x (smc); Hukushima and Iba
(2003), doi:10.1063/1.1632130 (population); Jarzynski (1997), doi:10.1103/PhysRevLett.78.2690 (jarzynski); Crooks
(1999), doi:10.1103/PhysRevE.60.2721, with Bennett (1976), doi:10.1016/0021-9991(76)90078-4 (crooks: BAR of driven
works; bar: of the end states); Vaikuntanathan and Jarzynski (2008), doi:10.1103/PhysRevLett.100.190601 (escorted, where
a map is given); Shirts and Chodera (2008), doi:10.1063/1.2978177 (mbar); Kirkwood (1935), doi:10.1063/1.1749657 (ti);
Zwanzig (1954), doi:10.1063/1.1740409 (fep).
Estimates log Z by every one that is asked for, each with about the same number of kernel steps, on one schedule with
one set of step sizes, from one pilot. What differs: nothing is averaged. The most certain of the estimates that have
enough effective samples is the reference; another agrees if it lies within `threshold` joint standard errors of it.
Cost: counted in the programs themselves (cost.py), pilot and target samples apart.
Fails: estimators that share a path share its blind spots: where all miss the same mode, all agree and are wrong;
`crooks` needs a kernel in detailed balance; target samples that come from chains are a check and no proof.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractPath, AbstractSampler, Key, X, checks
from energax.samplers import advance, init_chains
from energax.samplers.chains import traced

from . import doors
from .accounts import ACCOUNTS, NEED_TARGETS, Account, Terms, forward_run, stay
from .ais import resample
from .cost import Cost, count_evaluations
from .escorted import Escort
from .pilot import at_step_size, pilot_cost, tuned

ESTIMATORS = tuple(ACCOUNTS)
_ROUNDING = 3e-6  # of log Z, relative: what float32 leaves of an estimate without scatter
_STARTS = ("exact", "chains")


@dataclass(frozen=True)
class Ledger:
    """What several estimators say of one log Z.

    Attributes:
        accounts: One an estimator, in the order asked for.
        preparation: (what, cost) of the pilot and of the target samples, which all accounts share.
        reference: Name of the account that the others are held against.
        threshold: Joint standard errors within which an account agrees.
        agree: Whether every account that is not weak agrees with the reference.
        start: Where the target samples came from: "exact", "chains", or "" where none were needed.
        exact: The true log Z if it was given, nats.
        forward_work: Works of the forward annealed run, nats; None where there was none.
        reverse_work: Works of the reverse annealed run, nats; None where there was none.
        verdict: What to make of it, in sentences.
    """

    accounts: tuple[Account, ...]
    preparation: tuple[tuple[str, Cost], ...]
    reference: str
    threshold: float
    agree: bool
    start: str
    exact: float | None
    forward_work: np.ndarray | None
    reverse_work: np.ndarray | None
    verdict: tuple[str, ...]

    def __getitem__(self, name: str) -> Account:
        """The account of an estimator."""
        return next(each for each in self.accounts if each.name == name)

    def deviations(self) -> dict[str, float]:
        """(estimate - exact) / standard error of every account that is judged; empty where `exact` is not known."""
        if self.exact is None:
            return {}
        rounding = _ROUNDING * max(1.0, abs(self.exact))
        return {
            each.name: (each.log_z - self.exact) / math.hypot(each.std_error, rounding)
            for each in self.accounts
            if not each.weak
        }

    def as_dict(self) -> dict[str, object]:
        """Plain numbers and words, without the works; `sigma` is an account's deviation."""
        off = self.deviations()
        return {
            "accounts": [{**asdict(each), "sigma": off.get(each.name)} for each in self.accounts],
            "preparation": {what: {"energies": c.energies, "gradients": c.gradients} for what, c in self.preparation},
            "reference": self.reference,
            "threshold": self.threshold,
            "agree": self.agree,
            "start": self.start,
            "exact": self.exact,
            "verdict": list(self.verdict),
        }


def ledger(
    key: Key,
    path: AbstractPath,
    kernel: AbstractSampler,
    *,
    estimators: Sequence[str] | None = None,
    budget: int = 100_000,
    num_chains: int = 256,
    steps_per_temperature: int = 1,
    targets: X | None = None,
    start: str = "exact",
    escort: Escort | None = None,
    exact: float | None = None,
    pilot_chains: int = 64,
    target_acceptance: float = 0.65,
    threshold: float = 4.0,
) -> Ledger:
    """Runs the chosen estimators of log Z on one path and holds them against each other.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        kernel: A sampler that leaves each temperature's density exactly invariant; for "crooks", in detailed
            balance (`reversible`).
        estimators: Some of "ais", "reverse ais", "smc", "population", "jarzynski", "crooks", "escorted", "bar",
            "mbar", "ti", "fep"; None for all that fit ("escorted" where there is a map, "crooks" where the kernel is
            reversible).
        budget: Kernel steps of each estimator, over all its chains, >= 2 * `num_chains` * `steps_per_temperature`;
            "fep" takes as many energies, 20,000 at most.
        num_chains: Chains (particles, works) of each; "mbar" and "ti" take 64 of them at most, and longer ones.
        steps_per_temperature: Transitions at each temperature of the annealed estimators, >= 1.
        targets: Samples of the target, chains on axis 0, for "reverse ais", "crooks" and "bar". If None, the ends of
            the forward run are resampled and walked on, and `start` is "chains".
        start: Where `targets` came from: "exact" or "chains".
        escort: The map of "escorted", as in `escorted`.
        exact: The true log Z, nats, if it is known: it is only carried along.
        pilot_chains: Chains of the pilot that chooses schedule and step sizes, >= 8.
        target_acceptance: What the pilot aims at, in (0, 1).
        threshold: Joint standard errors that still count as agreement, > 0; at 4, one pair in 16,000 fails by chance.

    Raises:
        ValueError: An argument is out of range, the sampler is unadjusted (or not reversible, for "crooks"), or the
            energy does not return a scalar.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import DoubleWell, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(1), DoubleWell(2.0, tilt=0.5))
        >>> found = ledger(jax.random.key(0), path, MALA(0.1), estimators=("ais", "fep"), budget=10_000)
        >>> found.agree, found["ais"].gradients > 10_000
        (True, True)
    """
    dtype = doors.run("ledger", key, path, kernel, num_chains, steps_per_temperature)
    names = _names(estimators, escort, kernel)
    checks.count("ledger", "budget", budget, 2 * num_chains * steps_per_temperature)
    checks.count("ledger", "pilot_chains", pilot_chains, 8)
    checks.positive("ledger", "threshold", threshold, ndim=0)
    if exact is not None:
        checks.finite("ledger", "exact", exact, ndim=0)
    if start not in _STARTS:
        raise ValueError(f"ledger.start must be one of {', '.join(_STARTS)}; got {start!r}.")
    if targets is not None:
        doors.starts("ledger", path, targets)
    pilot_key, target_key, run_key = jax.random.split(key, 3)
    length = 1 + budget // (num_chains * steps_per_temperature)
    betas, steps = tuned(
        dtype, pilot_key, path, kernel, num_temperatures=length, steps_per_temperature=steps_per_temperature,
        num_chains=pilot_chains, target_acceptance=target_acceptance, owner="ledger",
    )  # fmt: skip
    preparation = [("pilot", pilot_cost(path, kernel, length, pilot_chains, steps_per_temperature))]
    terms = Terms(
        run_key, path, traced(kernel, dtype), betas, steps, num_chains, budget, steps_per_temperature, targets,
        stay if escort is None else escort,
    )  # fmt: skip
    needed = any(name in NEED_TARGETS for name in names)
    if needed and targets is None:
        start = "chains"
        preparation.append(("target samples", _walk_on(target_key, terms)))
    accounts, reference = _held(tuple(ACCOUNTS[name](terms) for name in names), threshold)
    judged = [each for each in accounts if not each.weak]
    agree = bool(judged) and all(abs(each.z) <= threshold for each in judged)
    return Ledger(
        accounts=accounts,
        preparation=tuple(preparation),
        reference=reference,
        threshold=float(threshold),
        agree=agree,
        start=start if needed else "",
        exact=None if exact is None else float(exact),
        forward_work=_works(terms, "forward"),
        reverse_work=_works(terms, "reverse"),
        verdict=tuple(_verdict(accounts, reference, threshold, start if needed else "")),
    )


def _names(estimators: Sequence[str] | None, escort: Escort | None, kernel: AbstractSampler) -> tuple[str, ...]:
    if estimators is None:
        fit = {"escorted": escort is not None, "crooks": kernel.reversible}
        return tuple(name for name in ESTIMATORS if fit.get(name, True))
    names = (estimators,) if isinstance(estimators, str) else tuple(estimators)
    for name in names:
        if name not in ACCOUNTS:
            raise ValueError(f"ledger.estimators must be some of {', '.join(ACCOUNTS)}; got {name!r}.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"ledger.estimators must name at least one estimator, each once; got {', '.join(names)}.")
    if "escorted" in names and escort is None:
        raise ValueError("ledger.escort must be a map y = phi(x, here, there) for 'escorted'; got None.")
    if "crooks" in names:
        doors.reversal("ledger", kernel)
    return names


def _walk_on(key: Key, terms: Terms) -> Cost:
    """Sets samples of the target, one a chain: the resampled ends of the forward run, walked on; returns the cost."""
    pick, walk = jax.random.split(key)
    xs = resample(pick, forward_run(terms), terms.num_chains)
    kernel = at_step_size(terms.kernel, terms.step_sizes, jnp.array(-1))
    num_steps = terms.steps * (terms.betas.shape[0] - 1)

    def run(path: AbstractPath) -> X:
        energy = path.at(terms.betas[-1])
        return advance(walk, kernel, energy, init_chains(kernel, energy, xs), num_steps)[0].states.x

    terms.targets = run(terms.path)
    return count_evaluations(run, terms.path)


def _held(accounts: tuple[Account, ...], threshold: float) -> tuple[tuple[Account, ...], str]:
    """-> (accounts with their z against the reference, the reference's name)."""
    sound = [each for each in accounts if not each.weak] or list(accounts)
    reference = min(sound, key=lambda each: each.std_error if math.isfinite(each.std_error) else math.inf)

    def z(each: Account) -> float:
        if each is reference:
            return 0.0
        rounding = _ROUNDING * max(1.0, abs(reference.log_z))
        return (each.log_z - reference.log_z) / math.hypot(each.std_error, reference.std_error, rounding)

    return tuple(replace(each, z=z(each)) for each in accounts), reference.name


def _works(terms: Terms, direction: str) -> np.ndarray | None:
    run = terms.runs.get(direction)
    return None if run is None else -np.asarray(run.log_weights, np.float64)


def _verdict(accounts: tuple[Account, ...], reference: str, threshold: float, start: str) -> list[str]:
    said = [f"{each.name} is not judged: {each.weak}." for each in accounts if each.weak]
    for each in accounts:
        if not each.weak and not abs(each.z) <= threshold:
            said.append(
                f"{each.name} differs from {reference} by {abs(each.z):.1f} joint standard errors, more than "
                f"{threshold:g}: one of the two is wrong, or its error bar is."
            )
    if all(each.weak for each in accounts):
        said.append("No estimate can be believed: lengthen the schedule, or choose another path or kernel.")
    if start == "chains":
        said.append("The target samples came from chains: reverse estimates are as right as those have converged.")
    return said
