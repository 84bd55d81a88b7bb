"""Completion in a shell: a script of commands and options, written by shtab, so that no Python runs at each Tab."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from vapi_frames.cli.console import WRONG, print_data, print_error
from vapi_frames.errors import MissingExtraError

__all__ = ["SHELLS", "PrintCompletion"]

SHELLS = ("bash", "zsh", "tcsh")


class PrintCompletion(argparse.Action):
    """Prints the script of a shell, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, shell: Any, __: object = None) -> NoReturn:
        """Print the completion of *parser* for *shell*."""
        try:
            import shtab
        except ImportError:
            print_error(MissingExtraError("completion", "shtab", "--completion"))
            parser.exit(WRONG)
        print_data(shtab.complete(parser, shell))
        parser.exit()
