"""Programs that tests compile with fewer passes are spared one more: half the compile time of a lone operation.

XLA's pass `fusion-wrapper` makes a fusion of every operation that stands alone, which is then compiled the slow way.
No setting of JAX switches it off for some programs only, so this reaches into its insides, and where these look
otherwise than in the pinned version nothing happens: the same programs, compiled more slowly.
"""

from typing import Any

import jax


def install() -> None:
    """Switches the pass off for whatever is compiled with `jax_disable_most_optimizations`."""
    try:
        from jax._src import compiler
        from jax._src.lib.mlir import ir

        compile_and_load = compiler.backend_compile_and_load
    except (ImportError, AttributeError):
        return

    def compiled(backend: Any, module: Any, devices: Any, options: Any, *rest: Any, **more: Any) -> Any:
        names = set()
        module.operation.walk(lambda op: names.add(op.name) or ir.WalkResult.ADVANCE)
        debug = options.executable_build_options.debug_options
        # what scatters keeps the pass, since XLA has no other way; what it refuses is compiled as it would have been
        if debug.xla_backend_optimization_level == 0 and not any("scatter" in name for name in names):
            before, debug.xla_disable_hlo_passes = debug.xla_disable_hlo_passes, "fusion-wrapper"
            try:
                return compile_and_load(backend, module, devices, options, *rest, **more)
            except jax.errors.JaxRuntimeError:
                debug.xla_disable_hlo_passes = before
        return compile_and_load(backend, module, devices, options, *rest, **more)

    compiler.backend_compile_and_load = compiled
