"""Strict by default: promotions raise, warnings are errors, eight simulated devices, shapes checked by beartype."""

import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # threads of torch that wait for busy cores take a minute for a second's work

import jax
import pytest

import energax  # noqa: F401  first, before JAX computes: it switches a wrong fusion of XLA's off
import quick_xla

AS_USERS = bool(os.environ.get("ENERGAX_TEST_XLA_AS_USERS"))
_SPENT: list[float] = []
_CACHE = Path(__file__).parent.parent / ".pytest_cache" / "jax"
_STATM, _ROOMY = Path("/proc/self/statm"), 2.5e9  # bytes that a worker may hold

quick_xla.install()
jax.config.update("jax_disable_most_optimizations", not AS_USERS)  # for what modules compute as they are collected
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


@pytest.fixture
def key():
    """One fixed typed key."""
    return jax.random.key(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Most tests compile for longer than they run: fewer passes over their programs, the same arithmetic.

    A hook and no fixture: what a module prepares for its tests is compiled as they are, whichever comes first.
    """
    quick = not AS_USERS and item.get_closest_marker("optimised") is None
    jax.config.update("jax_disable_most_optimizations", quick)


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Modules share the programs of small operations, up to a size: a whole run would keep 10 GB of programs."""
    yield
    if not _STATM.exists() or int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > _ROOMY:
        jax.clear_caches()


def pytest_collection_finish():
    """What is imported stays: the collector of garbage need not visit it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_sessionfinish(session):
    """A worker hands its account of false-fail rates over."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["spent"] = list(getattr(sys.modules.get("judges"), "SPENT", []))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """And the controller adds them up."""
    _SPENT.extend(getattr(node, "workeroutput", {}).get("spent", []))


def pytest_terminal_summary(terminalreporter):
    """How often a right package would fail the statistical judges that were called, were the seeds drawn anew."""
    spent = _SPENT + list(getattr(sys.modules.get("judges"), "SPENT", []))
    if spent:
        terminalreporter.write_line(f"{len(spent)} statistical verdicts; false-fail rate together {sum(spent):.1e}")
