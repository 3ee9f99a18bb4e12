"""`energax recipes`: list them, show one, print the schema."""

from typing import Annotated

import typer

from .outcome import print_json
from .words import Json, Overrides, complete_recipe

app = typer.Typer(help="List recipes, show one, print their schema.", invoke_without_command=True)


@app.callback()
def recipes(
    ctx: typer.Context,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a recipe.")] = False,
    objectives: Annotated[
        bool, typer.Option("--objectives", help="List the training rules by family, for [cyan]objective=NAME[/cyan].")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the recipes that ship with energax, show one, print the schema, or list the training rules."""
    if objectives:
        _list_objectives(as_json)
        raise typer.Exit()
    if schema:
        from energax.runtime.config import schema as json_schema

        print_json(json_schema())
        raise typer.Exit()
    if ctx.invoked_subcommand is None:
        _list(as_json)


@app.command("list")
def list_recipes(as_json: Json = False) -> None:
    """List the recipes that ship with energax."""
    _list(as_json)


def _list(as_json: bool) -> None:
    from energax.runtime.config import recipe_names, resolve

    found = [resolve(name) for name in recipe_names()]
    if as_json:
        print_json([{"name": config.name, "description": config.description} for config in found])
        return
    width = max(len(config.name) for config in found)
    for config in found:
        typer.echo(f"{config.name:<{width}}  {config.description}")


def _list_objectives(as_json: bool) -> None:
    from energax.runtime.objectives import listed, rules

    families = listed()
    if as_json:
        print_json(families)
        return
    width = max(len(kind) for kinds in families.values() for kind in kinds)
    takes = {kind: " + ".join(rule.takes) for kind, rule in rules().items()}
    broad = max(len(each) for each in takes.values())
    for family, kinds in families.items():
        typer.echo(f"{family.capitalize()}:")
        for kind, line in kinds.items():
            typer.echo(f"  {kind:<{width}}  {takes[kind]:<{broad}}  {line}")
        typer.echo()
    typer.echo("real: for networks of real numbers; bits: for machines of bits (energy=rbm).")
    typer.echo("Choose one by its name: energax train moons objective=nce")
    typer.echo("                        energax train rbm-digits objective=pseudolikelihood")


@app.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A recipe's name or a YAML file.", autocompletion=complete_recipe, show_default=False
        ),
    ],
    overrides: Overrides = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Write every default out.")] = False,
    as_json: Json = False,
) -> None:
    """Show a recipe as it is written, or resolved with settings on top."""
    from energax.runtime.config import dump, recipe_names, recipe_text, resolve

    config = resolve(name, overrides or ())
    if as_json:
        print_json(config.model_dump(mode="json"))
    elif resolved or overrides or name not in recipe_names():
        typer.echo(dump(config), nl=False)
    else:
        typer.echo(recipe_text(name), nl=False)
