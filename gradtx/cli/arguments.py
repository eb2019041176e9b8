"""What an argument of a command may be, and how an error is told: in one line."""

import argparse
import math
import os
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class CommandError(Exception):
    """What stops a command, in one line for the user."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def whole_number(low: int, high: float = math.inf) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""
    allowed = f"a whole number from {low} to {high}" if high < math.inf else f"a whole number of at least {low}"

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ArgumentTypeError(f"must be {allowed}, got {text!r}") from None
        if not low <= number <= high:
            raise ArgumentTypeError(f"must be {allowed}, got {text}")
        return number

    return parse


def positive_number(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def large_number(text: str) -> int:
    """Parse how many there are of something: 7e9, 7B, 7_000_000_000."""
    factor = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1:].upper())
    number = positive_number(text if factor is None else text[:-1]) * (factor or 1)
    if number < 1:
        raise ArgumentTypeError(f"must be at least 1, got {text!r}")
    return round(number)


def png_file(text: str) -> Path:
    """Parse the path of a PNG file that can be written: better to know before hours of training than after."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a directory; name a file in it")
    if path.suffix.lower() not in ("", ".png"):
        raise ArgumentTypeError(f"the picture is a PNG, got {text!r}; name it {path.with_suffix('.png').name!r}")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ArgumentTypeError(f"cannot write to directory {str(path.parent)!r}: {error.strerror}") from None
    if path.exists() and not os.access(path, os.W_OK):
        raise ArgumentTypeError(f"cannot write to {text!r}: it is read-only")
    return path
