"""Programs that tests compile with fewer passes are spared more of XLA: half the compile time, the same arithmetic.

Three things that no setting of JAX reaches for some programs only, so this reaches into its insides; where these look
otherwise than in the pinned version nothing happens: the same programs, compiled more slowly.

- XLA is asked for its fast way of making code, in one piece, by the older emitter of loops.
- The pass `fusion-wrapper` makes a fusion of every operation that stands alone; it is left out where nothing scatters.
- JAX loads all dialects of MLIR anew for every program; here a context serves a few hundred.
"""

from typing import Any

import jax

QUICK = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_COMPILE",
}
_PROGRAMS_A_CONTEXT = 300  # types and locations of all of them stay in it


def install() -> None:
    """Compiles whatever is compiled with `jax_disable_most_optimizations` the quick way."""
    try:
        from jax._src import compiler
        from jax._src.interpreters import mlir
        from jax._src.lib.mlir import ir

        compile_and_load, make_context = compiler.backend_compile_and_load, mlir.make_ir_context
    except (ImportError, AttributeError):
        return
    compiler.backend_compile_and_load = _quickly(compile_and_load, ir.WalkResult.ADVANCE)
    mlir.make_ir_context = _shared(make_context)


def _quickly(compile_and_load: Any, go_on: Any) -> Any:
    def compiled(backend: Any, module: Any, devices: Any, options: Any, *rest: Any, **more: Any) -> Any:
        debug = options.executable_build_options.debug_options
        if debug.xla_backend_optimization_level != 0:
            return compile_and_load(backend, module, devices, options, *rest, **more)
        names: set[str] = set()
        module.operation.walk(lambda op: names.add(op.name) or go_on)
        before = debug.xla_disable_hlo_passes, options.env_option_overrides
        if not any("scatter" in name for name in names):
            debug.xla_disable_hlo_passes = "fusion-wrapper"
        options.env_option_overrides = [*before[1], *QUICK.items()]
        try:
            return compile_and_load(backend, module, devices, options, *rest, **more)
        except jax.errors.JaxRuntimeError:  # what is refused so is compiled as it would have been
            debug.xla_disable_hlo_passes, options.env_option_overrides = before
        return compile_and_load(backend, module, devices, options, *rest, **more)

    return compiled


def _shared(make_context: Any) -> Any:
    held: list[Any] = []

    def context() -> Any:
        if not held or held[1] == 0:
            held[:] = [make_context(), _PROGRAMS_A_CONTEXT]
        held[1] -= 1
        return held[0]

    return context
