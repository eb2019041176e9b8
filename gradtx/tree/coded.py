"""Rules on quantized arrays: decoded, computed and encoded leaf by leaf, so that few are decoded at a time."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax import lax

from gradtx.numerics import hidden_zero
from gradtx.tree.quantized import Coded, Format, is_quantized

_Row = Sequence[Any]


def format_of(rows: Iterable[_Row]) -> Format | None:
    """Return how the quantized arrays among some leaves are coded; None if there are none.

    Raises:
      TypeError: the first of a row is one, whose result would be quantized, too.
    """
    found = None
    for row in rows:
        for k, leaf in enumerate(row):
            if isinstance(leaf, Coded):
                if k == 0:
                    raise TypeError("a quantized array cannot stand for updates")
                found = leaf.format
    return found


def on_coded_rows(on_leaf: Callable[..., Any], its_format: Format, replaced: tuple[int, ...]) -> Callable[..., list[Any]]:
    """Return a function of rows, as `on_rows` does, where arrays of a row may be quantized: what replaces them is, too.

    Left to itself the compiler decodes all leaves before it encodes the first, as it does with the updates that come of them.
    It does not mix what is in the branches of a condition, which is always true, but not known to be; and as each condition
    awaits the one before it, what is done with the updates of a leaf comes before the next leaf.

    Args:
      on_leaf: the rule on the arrays of a leaf.
      its_format: of the codes.
      replaced: for each result which of the arrays it replaces.
    """

    def on_codes(turn: jax.Array, leaf: _Row, scalars: dict[str, Any]) -> tuple[jax.Array, tuple[Any, ...]]:
        def compute() -> tuple[Any, ...]:
            results = on_leaf(*(its_format.decode(x) if is_quantized(x) else x for x in leaf), **scalars)
            pairs = zip(results if isinstance(results, tuple) else (results,), replaced, strict=False)
            return tuple(its_format.encode(new) if is_quantized(leaf[k]) else new for new, k in pairs)

        old = tuple(leaf[k] for k, _ in zip(replaced, jax.eval_shape(compute), strict=False))
        return lax.cond(turn >= 0, lambda: (turn, compute()), lambda: (turn + 1, old))

    on_codes.__name__ = on_leaf.__name__
    jitted = jax.jit(on_codes)

    def on_all(rows: Sequence[_Row], **scalars: Any) -> list[Any]:
        turn = hidden_zero()
        results: list[Any] = []
        for row in rows:
            if any(isinstance(leaf, Coded) for leaf in row):
                plain = [leaf.quantized if isinstance(leaf, Coded) else leaf for leaf in row]
                turn, result = jitted(turn, plain, scalars)
                coded = tuple(Coded(each, its_format) if is_quantized(each) else each for each in result)
                results.append(coded[0] if len(coded) == 1 else coded)
            else:
                results.append(on_leaf(*row, **scalars))
        return results

    return on_all
