"""Commands for boards."""

import typer

app = typer.Typer()
