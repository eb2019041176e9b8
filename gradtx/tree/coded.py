"""Rules on quantized arrays: decoded, computed and encoded leaf by leaf, so that few are decoded at a time."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.numerics import hidden_zero
from gradtx.tree.elementwise import same_on_entries
from gradtx.tree.quantized import Coded, Format, is_quantized

_Row = Sequence[Any]
_CHUNK = 1 << 19  # entries


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

    A large leaf goes in chunks, if the rule is one on entries: decoded numbers stay in the cache, and updates and codes are
    written over gradients and codes.

    Args:
      on_leaf: the rule on the arrays of a leaf.
      its_format: of the codes.
      replaced: for each result which of the arrays it replaces.
    """

    def computed(leaf: _Row, scalars: dict[str, Any]) -> tuple[Any, ...]:
        results = on_leaf(*(its_format.decode(x) if is_quantized(x) else x for x in leaf), **scalars)
        return results if isinstance(results, tuple) else (results,)

    def encoded(results: tuple[Any, ...], leaf: _Row) -> tuple[Any, ...]:
        pairs = zip(results, replaced, strict=False)
        return tuple(its_format.encode(new) if is_quantized(leaf[k]) else new for new, k in pairs)

    def on_codes(turn: jax.Array, leaf: _Row, scalars: dict[str, Any]) -> tuple[jax.Array, tuple[Any, ...]]:
        if (chunks := chunks_of(leaf, its_format)) and chunked_alike(leaf, chunks, scalars):
            return on_chunks(turn, leaf, scalars, chunks)

        def compute() -> tuple[Any, ...]:
            return encoded(computed(leaf, scalars), leaf)

        old = tuple(leaf[k] for k, _ in zip(replaced, jax.eval_shape(compute), strict=False))
        return lax.cond(turn >= 0, lambda: (turn, compute()), lambda: (turn + 1, old))

    def on_chunks(turn: jax.Array, leaf: _Row, scalars: dict[str, Any], chunks: int) -> tuple[jax.Array, tuple[Any, ...]]:
        def on_chunk(place: jax.Array, carry: tuple[jax.Array, list[Any]]) -> tuple[jax.Array, list[Any]]:
            turn, rows = carry
            chunk = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, place, keepdims=False), rows)
            none = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(computed, chunk, scalars))
            # Here the condition has it that what is decoded is not decoded again wherever a result of it is encoded.
            turn, results = lax.cond(turn >= 0, lambda: (turn, computed(chunk, scalars)), lambda: (turn + 1, none))
            for k, new in zip(replaced, encoded(results, chunk), strict=False):
                rows[k] = jax.tree.map(lambda x, y: lax.dynamic_update_index_in_dim(x, y, place, 0), rows[k], new)
            return turn, rows

        first = jnp.where(turn >= 0, leaf[0], 0)  # which makes a copy, if it must be copied, await its turn
        rows = jax.tree.map(lambda x: x.reshape(chunks, -1), [first, *leaf[1:]])
        turn, rows = lax.fori_loop(0, chunks, on_chunk, (turn, rows))
        new_leaf = jax.tree.map(lambda x, old: x.reshape(old.shape), rows, list(leaf))
        count = len(jax.eval_shape(computed, leaf, scalars))
        return turn, tuple(new_leaf[k] for k in replaced[:count])

    def chunked_alike(leaf: _Row, chunks: int, scalars: dict[str, Any]) -> bool:
        shapes = [jax.eval_shape(its_format.decode, x) if is_quantized(x) else x for x in leaf]
        wholes, parts = (
            [jax.ShapeDtypeStruct(shape, x.dtype) for x in shapes] for shape in (shapes[0].shape, (shapes[0].size // chunks,))
        )
        return same_on_entries(on_leaf, wholes, parts, scalars)

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


def chunks_of(leaf: _Row, its_format: Format) -> int:
    """Return in how many chunks of whole blocks a leaf goes, each about as large as a cache is; 0 if in none.

    On several devices a chunk would be gathered from all of them.
    """
    shapes = {its_format.shape_of(x) if is_quantized(x) else jnp.shape(x) for x in leaf}
    if jax.device_count() > 1 or len(shapes) > 1:
        return 0
    blocks, rest = divmod(math.prod(shapes.pop()), its_format.block_size)
    most = _CHUNK // its_format.block_size
    if rest or blocks <= most:
        return 0
    largest = next(divisor for divisor in range(most, 0, -1) if blocks % divisor == 0)
    return blocks // largest if 16 * largest >= most else 0
