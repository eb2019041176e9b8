"""The parts of a transformation, each beside its own part of the state."""

from collections.abc import Iterator

from gradtx.core import OptState, Part, Transformation, description, supported


def parts(tx: Transformation, state: OptState) -> list[Part]:
    """Return what `tx` wraps or chains, one level down; nothing for a leaf and for what is not of gradtx.

    Args:
      tx: a transformation.
      state: its state: arrays, or anything in their places.
    """
    return description(supported(tx)).parts(state)


def walk(tx: Transformation, state: OptState) -> Iterator[Part]:
    """Yield all that `tx` is made of at every depth, itself first."""
    tx = supported(tx)
    yield Part(None, tx, state)
    for part in parts(tx, state):
        yield from walk(part.tx, part.state)


def holds_hyperparameters(tx: Transformation) -> bool:
    """Whether `tx` keeps the hyperparameters of what it wraps in its state: its one part is that as it is at present."""
    return description(tx).adjust is not None
