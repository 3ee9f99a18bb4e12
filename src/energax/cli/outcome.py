"""How a command ends: exit codes, and one red sentence instead of a traceback where the user can mend it."""

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from energax.errors import DataError, DivergenceError, EnergaxError

OK, FAILED, USAGE, DIVERGED = 0, 1, 2, 3
_PACKAGE = str(Path(__file__).resolve().parent.parent)


class Guarded(TyperGroup):
    """A group whose commands never show a traceback for a mistake of the user's; `--debug`, anywhere, shows it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Moves `--debug` to where the group reads it."""
        if "--debug" in args:
            args = ["--debug", *(word for word in args if word != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; turns what the user can mend into a sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get("debug") or not is_users(error):
                raise
            fail(sentence(error))
            raise typer.Exit(exit_code(error)) from None


def is_users(error: Exception) -> bool:
    """Whether an error is a refusal of energax's own or of the file system, and not a bug."""
    if isinstance(error, (EnergaxError, OSError)):
        return not isinstance(error, BrokenPipeError)
    if isinstance(error, ImportError):
        return error.name is None  # a sentence about an extra; a module that breaks has its name there
    if not isinstance(error, ValueError) or error.__traceback__ is None:
        return False
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    return last.tb_frame.f_code.co_filename.startswith(_PACKAGE)


def sentence(error: Exception) -> str:
    """What went wrong, without the class name."""
    if isinstance(error, OSError) and not isinstance(error, EnergaxError) and error.strerror:
        return f"{error.filename or 'The system'}: {error.strerror}."
    return str(error)


def exit_code(error: Exception) -> int:
    """2 for what was asked and is refused, 3 for training that diverged, 1 for a file, data or run that fails."""
    if isinstance(error, ValueError) and not isinstance(error, DataError):
        return USAGE
    return DIVERGED if isinstance(error, DivergenceError) else FAILED


def fail(text: str) -> None:
    """Prints to stderr, in red on a terminal."""
    typer.secho(text, fg=typer.colors.RED, err=True)


def print_json(value: Any) -> None:
    """Prints a value as JSON; numbers that are not finite become text, which JSON can hold."""
    import json
    import math

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {str(key): plain(each) for key, each in item.items()}
        if isinstance(item, (list, tuple)):
            return [plain(each) for each in item]
        if hasattr(item, "tolist"):
            return plain(item.tolist())
        if isinstance(item, float) and not math.isfinite(item):
            return str(item)
        return item if isinstance(item, (str, int, float, bool, type(None))) else str(item)

    typer.echo(json.dumps(plain(value), indent=1, ensure_ascii=False))
