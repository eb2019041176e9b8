"""What an argument of a command may be, and how an error is told: in one line."""

import argparse
import math
import os
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

PICTURE_FORMATS = ("png", "svg", "pdf")


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


def mesh_axes(text: str) -> dict[str, int]:
    """Parse the axes of a mesh with their sizes: data=64,model=16."""
    sizes = {}
    for word in text.split(","):
        name, _, size = word.partition("=")
        if not name.isidentifier() or not size.isdecimal() or int(size) < 1 or name in sizes:
            raise ArgumentTypeError(f"must be axes with their sizes such as data=64,model=16, got {text!r}")
        sizes[name] = int(size)
    return sizes


def large_number(text: str) -> int:
    """Parse how many there are of something, exactly, up to 10³⁰: 7e9, 7B, 7_000_000_000."""
    power = {"K": 3, "M": 6, "B": 9, "T": 12}.get(text[-1:].upper(), 0)
    try:
        number = Decimal(text[:-1] if power else text)
        if not 0 < number < math.inf:
            raise ArgumentTypeError(f"must be a number above 0, got {text!r}")
        number = number.scaleb(power)
    except ArithmeticError:
        raise ArgumentTypeError(f"must be a number above 0, got {text!r}") from None
    if not 1 <= number <= 10**30:
        raise ArgumentTypeError(f"must be at least 1 and at most 1e30, got {text!r}")
    return round(number)


def output_file(text: str) -> Path:
    """Parse the path of a file that can be written: better to know before hours of training than after."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a directory; name a file in it")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ArgumentTypeError(f"cannot write to directory {str(path.parent)!r}: {error.strerror}") from None
    if path.exists() and not os.access(path, os.W_OK):
        raise ArgumentTypeError(f"cannot write to {text!r}: it is read-only")
    return path


def picture_file(text: str) -> Path:
    """Parse the path of a picture that can be written."""
    path = Path(text)
    if not path.is_dir() and picture_format(path) not in PICTURE_FORMATS:
        png = path.with_suffix(".png").name
        raise ArgumentTypeError(f"a picture is written as {', '.join(PICTURE_FORMATS)}, got {text!r}; name it such as {png!r}")
    return output_file(text)


def picture_format(path: Path) -> str:
    """Return the format that the suffix of a path says; without one it is a PNG."""
    return path.suffix.lower().removeprefix(".") or "png"
