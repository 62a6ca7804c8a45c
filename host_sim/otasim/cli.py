"""Commands of the simulator."""

import typer

app = typer.Typer()
