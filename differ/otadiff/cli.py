"""Commands of the differ."""

import typer

app = typer.Typer()
