"""Errors that begin with the name of who is meant.

A rule, a mask or a check of trees serves many transformations, and says who asked as well as it can. Who has called knows
better: when a transformation is built, its factory; in an update, the innermost transformation that the error leaves.
"""

import contextlib
from collections.abc import Iterator


def named(kind: type[Exception], owner: str | None, message: str) -> Exception:
    """Return the error `owner: message`, to which `rename` can give another owner."""
    error = kind(message if owner is None else f"{owner}: {message}")
    vars(error)["said"] = message
    return error


def rename(owner: str, error: Exception) -> None:
    """Put another owner before what was said, if that was made by `named`."""
    if hasattr(error, "said"):
        error.args = (f"{owner}: {vars(error)['said']}",)


@contextlib.contextmanager
def naming(owner: str) -> Iterator[None]:
    """Give `owner` to the errors within."""
    try:
        yield
    except Exception as error:
        rename(owner, error)
        raise


def is_new(error: Exception) -> bool:
    """Return whether an error is seen for the first time: the innermost transformation explains it, those around do not."""
    seen = hasattr(error, "explained")
    vars(error)["explained"] = True
    return not seen
