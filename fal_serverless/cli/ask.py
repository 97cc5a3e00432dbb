"""Questions to a person; a program that runs the command is told which option answers instead."""

from __future__ import annotations

import sys

import typer

from fal_serverless.cli import render
from fal_serverless.errors import UsageError


def or_abort(question: str) -> None:
    """Ask, and go on with a yes only.

    Raises:
        UsageError: nobody can answer, as neither stdin nor stderr may be a pipe for that.
        typer.Exit: the answer was no.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "A person has to agree to that.",
            reason=f"nobody can be asked here: {question}",
            hint="look at the list above, and say --yes",
        )
    if not typer.confirm(question, err=True):
        render.note("Nothing was changed.")
        raise typer.Exit(1)
