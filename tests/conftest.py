"""Strict by default: promotions raise, warnings are errors, eight simulated devices, shapes checked by beartype."""

import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")

import jax
import pytest

_CACHE = Path(__file__).parent.parent / ".pytest_cache" / "jax"

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


@pytest.fixture
def key():
    """One fixed typed key."""
    return jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """Compiled programs live as long as a module's tests: a whole run would keep 10 GB of them."""
    yield
    jax.clear_caches()


def pytest_terminal_summary(terminalreporter):
    """How often a right package would fail the statistical judges that were called, were the seeds drawn anew."""
    judges = sys.modules.get("judges")
    if judges is not None and judges.SPENT:
        rate = sum(judges.SPENT)
        terminalreporter.write_line(f"{len(judges.SPENT)} statistical verdicts; false-fail rate together {rate:.1e}")
