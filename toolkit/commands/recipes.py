"""`av1part recipes`: list the named recipes."""

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def recipes(as_json: bool) -> None:
    """List the named recipes of `av1part train --recipe NAME`, with their sources and options."""
    from dataclasses import asdict

    from toolkit.training.config import RECIPES

    if as_json:
        click.echo(json.dumps({name: asdict(recipe) for name, recipe in RECIPES.items()}))
        return
    for name, recipe in RECIPES.items():
        options = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in recipe.options.items())
        click.echo(f"{name}\n    {recipe.text}\n    source: {recipe.source}\n    options: {options}")
