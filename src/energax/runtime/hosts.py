"""Several processes as one run: start, who is the main one, which rows are whose."""

import jax

from energax.core import checks


def initialize(coordinator: str, num_processes: int, process_id: int) -> None:
    """Joins this process to the run; call it before anything touches a device.

    Processes on CPUs talk through gloo. After this `jax.devices()` lists the devices of all processes, and
    `Placement.auto()` spans them.

    Args:
        coordinator: "host:port" of process 0, which listens there.
        num_processes: How many processes the run has, >= 1.
        process_id: This one's number, in [0, num_processes).

    Raises:
        ValueError: The address has no port, or the numbers do not fit.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"hosts.initialize: coordinator must be 'host:port'; got {coordinator!r}.")
    checks.count("hosts.initialize", "num_processes", num_processes)
    checks.count("hosts.initialize", "process_id", process_id, least=0)
    if process_id >= num_processes:
        raise ValueError(f"hosts.initialize: process_id must be < num_processes {num_processes}; got {process_id}.")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, num_processes, process_id)


def shutdown() -> None:
    """Leaves the run; the others may go on to their own end."""
    jax.distributed.shutdown()


def host() -> int:
    """This process's number; 0 where there is only one."""
    return jax.process_index()


def hosts() -> int:
    """How many processes the run has."""
    return jax.process_count()


def is_main() -> bool:
    """Whether this process writes the files and the screen."""
    return jax.process_index() == 0


def host_slice(size: int) -> slice:
    """This process's rows of `size` rows that all processes share evenly.

    Raises:
        ValueError: `size` cannot be cut into equal slices.

    Example:
        >>> host_slice(8)
        slice(0, 8, None)
    """
    num = jax.process_count()
    if size % num:
        raise ValueError(f"hosts.host_slice: size must be divisible by the {num} processes; got {size}.")
    rows = size // num
    return slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)
