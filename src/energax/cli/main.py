"""`energax`: the verbs, each in a file of its own. Nothing heavy is imported before a verb is called."""

import sys
from typing import Annotated

import typer

from . import audit, calibrate, certify, data, doctor, gebm, logz, measure, ood, physics, recipes, runs, train
from .outcome import Guarded

app = typer.Typer(
    cls=Guarded,
    name="energax",
    help="Train energy-based models, sample them, measure their partition function, and prove each number.",
    epilog="Start with:  energax train digits     Exit codes: 0 done, 1 failed or contradicted, 2 what was asked is "
    "refused, 3 training diverged, 130 or 143 stopped by a signal and saved.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

TRAINING, MODELS, SURE = "Train", "Use a trained model", "Is my model sure?"
PHYSICS, LOOKING = "Statistical physics", "Look around"
app.command(rich_help_panel=TRAINING)(train.train)
app.command(rich_help_panel=TRAINING)(train.resume)
app.command(rich_help_panel=TRAINING)(audit.audit)
app.command(rich_help_panel=MODELS)(measure.sample)
app.command(rich_help_panel=MODELS)(measure.evaluate)
app.command(rich_help_panel=MODELS)(logz.logz)
app.command(rich_help_panel=MODELS)(measure.report)
app.command(rich_help_panel=SURE)(ood.ood)
app.command(rich_help_panel=SURE)(calibrate.calibrate)
app.command(rich_help_panel=SURE)(gebm.gebm)
app.add_typer(physics.app, name="physics", rich_help_panel=PHYSICS)
app.command(rich_help_panel=PHYSICS)(certify.certify)
app.command(rich_help_panel=LOOKING)(runs.runs)
app.add_typer(recipes.app, name="recipes", rich_help_panel=LOOKING)
app.add_typer(data.app, name="data", rich_help_panel=LOOKING)
app.command(rich_help_panel=LOOKING)(doctor.doctor)


def _version(asked: bool) -> None:
    if asked:
        from energax import __version__

        typer.echo(f"energax {__version__}")
        raise typer.Exit()


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
) -> None:
    pass


def run() -> None:
    """The entry point of the `energax` command and of `python -m energax`."""
    try:
        app(prog_name="energax")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our pipe left: `energax runs | head`
        sys.stderr.close()
        sys.exit(0)
