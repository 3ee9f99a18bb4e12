"""`energax certify`: is this kernel what it says? One that ships, or one of the user's own."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Annotated, Any

import typer

from .outcome import FAILED, print_json
from .words import Device, Json

SITES = ("spins", "bits", "categories")
_WHERE = "path/to/file.py:Kernel or package.module:make"

Kernel = Annotated[
    str | None,
    typer.Argument(
        metavar="[KERNEL]", help=f"A kernel that ships, or your own: {_WHERE}. Its code is run.", show_default=False
    ),
]


def certify(
    kernel: Kernel = None,
    every: Annotated[bool, typer.Option("--all", help="All kernels that ship.")] = False,
    seeds: Annotated[str, typer.Option(metavar="N or A,B,...", help="How many seeds, or which.")] = "1",
    sites: Annotated[str | None, typer.Option(help="Your kernel's sites: spins, bits or categories.")] = None,
    reversible: Annotated[bool, typer.Option("--reversible", help="Ask your kernel for detailed balance.")] = False,
    chains: Annotated[int, typer.Option(min=1000, help="Chains of a continuous kernel on each target.")] = 19_200,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Certify a kernel: its exact transition matrix on discrete targets, moments and joint tests on continuous ones."""
    from energax.errors import ConfigError

    numbers = parse_seeds(seeds)
    if every == (kernel is not None):
        raise ConfigError(f"certify: name one kernel ({_names()}, or {_WHERE}), or ask for --all.")
    if (every or ":" not in str(kernel)) and (sites is not None or reversible):
        raise ConfigError("certify: --sites and --reversible are for a kernel of your own; a shipped one has its own.")
    if sites is not None and sites not in SITES:
        raise ConfigError(f"--sites must be one of {', '.join(SITES)}; got {sites!r}.")

    from energax.runtime import backend

    backend.start(device)
    if kernel is not None and ":" in kernel:
        found = iter([_own(kernel, sites, reversible, numbers, chains)])
    else:
        found = _shipped([kernel] if kernel is not None else _shipped_names(), numbers, chains)
    _finish(found, as_json, whole=not every)


def parse_seeds(text: str) -> tuple[int, ...]:
    """`5` as the first five seeds, `3,7` as those two.

    Raises:
        ConfigError: It is neither.
    """
    from energax.errors import ConfigError

    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and 0 < numbers[0] <= 1000 and "," not in text:
        numbers = list(range(numbers[0]))
    elif len(numbers) < 2 or not all(0 <= number < 2**31 for number in numbers):
        raise ConfigError(f"--seeds must be how many (1 to 1000) or which, such as 5 or 3,7; got {text!r}.")
    return tuple(numbers)


def load(place: str) -> Any:
    """What `file.py:Name` or `package.module:name` names.

    Raises:
        ConfigError: There is no such file, module or name, or its code fails when it is run.
    """
    from energax.errors import ConfigError

    module, _, name = place.rpartition(":")
    if not module or not name:
        raise ConfigError(f"certify: a kernel of your own must be {_WHERE}; got {place!r}.")
    try:
        found = _file(Path(module)) if module.endswith(".py") else _module(module)
    except Exception as error:
        raise ConfigError(f"certify: {module} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"certify: {module} must have a {name}; it has no {part}.")
        found = getattr(found, part)
    return found


def as_kernel(place: str, found: Any) -> Any:
    """A kernel, or a function of a target that makes one, of what was loaded.

    Raises:
        ConfigError: It is neither, or cannot be made without arguments.
    """
    from energax.core import AbstractSampler
    from energax.errors import ConfigError

    if callable(found) and not isinstance(found, AbstractSampler):
        needed = _needed(found)
        if needed == 1 and not inspect.isclass(found):
            return found
        if needed:
            raise ConfigError(f"certify: {place} must be made without arguments; name a function that fills them in.")
        found = found()
    if not isinstance(found, AbstractSampler):
        raise ConfigError(f"certify: {place} must be or make an AbstractSampler; got {type(found).__name__}.")
    return found


def _own(place: str, sites: str | None, reversible: bool, seeds: tuple[int, ...], chains: int) -> Any:
    from energax import samplers
    from energax.evaluation import certify as judge

    kernel: Callable | Any = as_kernel(place, load(place))
    return judge(
        kernel,
        name=place.rpartition(":")[2],
        sites=None if sites is None else getattr(samplers, sites.upper()),
        reversible=reversible or None,
        seeds=seeds,
        num_chains=chains,
    )


def _shipped(names: list[str], seeds: tuple[int, ...], chains: int) -> Iterator[Any]:
    from energax.evaluation import certify_shipped

    return (certify_shipped(name, seeds, chains) for name in names)


def _finish(certificates: Iterator[Any], as_json: bool, whole: bool) -> None:
    """Tells each as it comes, and fails where one failed."""
    from energax.report.certificate import as_dict, lines

    told, failed = [], 0
    for each in certificates:
        failed += each.verdict == "failed"
        told.append(each)
        if not as_json:
            for line in lines(each, whole=whole):
                typer.echo(line)
    if as_json:
        print_json([as_dict(each) for each in told])
    elif len(told) > 1:
        typer.echo(f"{len(told)} kernels, {failed} failed.")
    if failed:
        raise typer.Exit(FAILED)


def _file(path: Path) -> Any:
    """The module of a file, which may import its neighbours."""
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with _first_on_path(path.parent):
        spec.loader.exec_module(module)
    return module


def _module(name: str) -> Any:
    with _first_on_path(Path.cwd()):
        return import_module(name)


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    text = str(folder.resolve())
    sys.path.insert(0, text)
    try:
        yield
    finally:
        sys.path.remove(text)


def _needed(function: Callable) -> int:
    """How many arguments it cannot be called without."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return sum(each.default is inspect.Parameter.empty and each.kind in kinds for each in parameters)


def _shipped_names() -> list[str]:
    from energax.evaluation import SHIPPED

    return list(SHIPPED)


def _names() -> str:
    return ", ".join(_shipped_names())
