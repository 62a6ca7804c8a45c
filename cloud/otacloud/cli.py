"""Commands of the cloud."""

import typer

app = typer.Typer()
