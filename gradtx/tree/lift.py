"""`lift`: write the rule for one array, get the rule for a tree.

The only machinery of gradtx, and the place of its four policies:

- *holes* (`None`, `MaskedNode()`) are skipped, and stay holes;
- *dtype*: a rule computes in float32 or wider, and each result takes the dtype of what it replaces;
- *tracing*: a rule is traced once for each distinct shape and dtype, not once for each leaf, and outside of `jit` a
  repeated call runs compiled code;
- *errors*: trees that do not match are reported by the path of the first leaf that differs.
"""

import dataclasses
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.caches import LastOfEachKind
from gradtx.errors import unnamed
from gradtx.signatures import arguments_of
from gradtx.tree import mismatch
from gradtx.tree.batches import on_rows
from gradtx.tree.coded import format_of, on_coded_rows
from gradtx.tree.dtypes import truncates, working_dtype
from gradtx.tree.holes import is_hole
from gradtx.tree.quantized import Format
from gradtx.tree.scopes import Place, at_place, in_leaf, place_of_leaf, places_of
from gradtx.values import WORDS, is_own, without_number


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """A rule as a compiled function of one leaf, and of many."""

    on_leaf: Callable[..., Any]
    on_leaves: Callable[..., list[Any]]


def lift(
    rule: Callable[..., Any] | None = None,
    *,
    like: str | None = None,
    same_shapes: bool | str = True,
    advice: str | None = None,
) -> Callable[..., Any]:
    """Carry a rule on arrays to trees: trees go in by position, scalars by keyword.

        @tree.lift
        def rule(g, m, *, decay):
            m = decay * m + g
            return m, m

        updates, trace = rule(updates, state.trace, decay=0.9)

    All trees have the structure and the shapes of the first. The k-th result replaces the k-th tree, or that which `like`
    names: it has its structure and its dtype. Where the first tree has a hole, every tree keeps what it has. A scalar is
    shared by all leaves: compute it once, outside of the rule. A Python number that never changes is better closed over: the
    compiler can fold it in.

    Args:
      rule: a pure function of arrays of one shape that returns an array or a tuple of several.
        Its parameters are named by the paper's letters: `g` or `u` (updates), `p` (params), any other for a part of the
        state; the errors use them.
      like: for each result the parameter of the rule that it is like, such as "g v" of `rule(g, m, v)`; by default the first
        ones in their order.
      same_shapes: False lets the other trees differ from the first: rows and columns, a number for each leaf, or several arrays
        for each leaf. The names of some parameters, such as "p", let all but these differ. `like` then says what the results
        replace.
      advice: what the error adds when trees do not match, for a rule that is not a transformation's: its parameters are called
        by their names then. By default it is about the arguments of `update`.

    Returns:
      A function of trees that returns a tree, or a tuple of trees.

    Raises:
      TypeError: `same_shapes` is not True and `like` is None.
      TypeError, ValueError: from the returned function, when the trees do not match or hold something other than
        floating-point or complex arrays.
    """
    if rule is None:
        return functools.partial(lift, like=like, same_shapes=same_shapes, advice=advice)
    names = arguments_of(rule).positional
    if like is None and same_shapes is not True:
        message = f"lift: with same_shapes={same_shapes!r}, {rule.__qualname__} must say what its results are like"
        raise TypeError(f"{message}, such as like={names[0]!r}.")
    replaced = range(len(names)) if like is None else [names.index(name) for name in like.split()]
    alike = range(len(names)) if same_shapes is True else [0, *(names.index(name) for name in (same_shapes or "").split())]

    compiled = _compiled_rule(rule, tuple(alike), tuple(replaced))

    @functools.lru_cache(maxsize=4)
    def on_coded_leaves(its_format: Format) -> Callable[..., list[Any]]:
        return on_coded_rows(compiled.on_leaf, its_format, tuple(replaced))

    def lifted(*trees: Any, **scalars: Any) -> Any:
        try:
            structure, rows = aligned(trees)
            its_format = format_of(rows)
            on_rows_of = compiled.on_leaves if its_format is None else on_coded_leaves(its_format)
            places, leaves = places_of(trees[0], is_hole), [row for row in rows if not is_hole(row[0])]
            computed = iter(on_rows_of(leaves, **scalars) if places is None else on_placed(on_rows_of, leaves, places, scalars))
            results = [None if is_hole(row[0]) else next(computed) for row in rows]
        except Exception as error:
            mismatch.explain(names, trees, alike, advice)  # raises if the trees are to blame
            if same_shapes is not True and isinstance(error, TypeError | ValueError):  # as errors of shapes are
                shapes = mismatch.shapes_seen(names, trees, compiled.on_leaf, scalars)
                raise unnamed(type(error), f"{shapes} {error}") from error
            raise
        sample = next((result for result in results if result is not None), None)
        if sample is None:  # nothing but holes: how many results there would have been?
            sample = none_results(scalars)
        if not isinstance(sample, tuple):
            return structure.unflatten(_filled(results, rows, replaced[0], None))
        return tuple(structure.unflatten(_filled(results, rows, replaced[k], k)) for k in range(len(sample)))

    def on_placed(
        on_rows_of: Callable[..., list[Any]], leaves: list[tuple[Any, ...]], places: list[Place], scalars: dict[str, Any]
    ) -> Iterator[Any]:
        for leaf, place in zip(leaves, places, strict=True):
            with in_leaf(place):
                [result] = on_rows_of([leaf], **scalars)
            yield result

    def none_results(scalars: dict[str, Any]) -> Any:
        if like is not None:
            return like if len(replaced) == 1 else tuple(replaced)
        scalar = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.eval_shape(compiled.on_leaf, *[scalar] * len(names), **scalars)

    return lifted


_rules = LastOfEachKind(kinds=64)


def _compiled_rule(rule: Callable[..., Any], alike: tuple[int, ...], replaced: tuple[int, ...]) -> _Compiled:
    """A rule, compiled; equal rules, as equal transformations have them, share it."""
    cells = [cell.cell_contents for cell in rule.__closure__ or ()] if isinstance(rule, types.FunctionType) else [rule]
    # The rules of others may read what is not in their code, or close over what a cache must not keep.
    if not is_own(rule) or not all(isinstance(x, WORDS) for x in cells):
        return _compile(rule, alike, replaced)
    kind = (rule.__module__, rule.__code__, alike, replaced, tuple(map(without_number, cells)))
    values = tuple((type(x), repr(x)) for x in cells)
    return _rules.get((kind, values), kind, lambda: _compile(rule, alike, replaced))


def _compile(rule: Callable[..., Any], alike: tuple[int, ...], replaced: tuple[int, ...]) -> _Compiled:
    def on_leaf(*leaf: Any, **scalars: jax.Array) -> Any:
        place = place_of_leaf()
        return at_place(place, functools.partial(on_array, **scalars), *leaf) if place.layers else on_array(*leaf, **scalars)

    def on_array(*leaf: Any, **scalars: jax.Array) -> Any:
        mismatch.refuse(leaf, alike)
        wide = working_dtype(jax.tree.leaves(leaf))
        wide_leaf, wide_scalars = jax.tree.map(lambda x: _cast(x, wide), (leaf, scalars))
        # All arrays have one precision here; what is left to promote is real with complex, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            results = rule(*wide_leaf, **wide_scalars)
        several = isinstance(results, tuple)
        pairs = [(new, leaf[k]) for new, k in zip(results if several else [results], replaced, strict=False)]
        mismatch.refuse_broadcast(leaf[0], pairs)
        cast = tuple(jax.tree.map(_like, *each) for each in pairs)
        return cast if several else cast[0]

    on_leaf.__name__ = rule.__qualname__.split(".")[0].lstrip("_")  # the name that profilers and compiled code show
    compiled = jax.jit(on_leaf)
    return _Compiled(compiled, on_rows(compiled))


def aligned(trees: tuple[Any, ...]) -> tuple[Any, list[tuple[Any, ...]]]:
    """The structure of the first tree, and a row for each of its leaves with what the other trees have there."""
    try:  # the common case: holes, if any, are the same in all trees
        leaves, structure = jax.tree.flatten(trees[0])
        columns = [structure.flatten_up_to(tree) for tree in trees[1:]]
    except ValueError:
        leaves, structure = jax.tree.flatten(trees[0], is_leaf=is_hole)
        columns = [structure.flatten_up_to(tree) for tree in trees[1:]]
    return structure, list(zip(leaves, *columns, strict=True))


def _filled(results: list[Any], rows: list[tuple[Any, ...]], position: int, k: int | None) -> list[Any]:
    """The results of one kind, and in holes what was there."""
    return [
        row[position] if result is None else (result if k is None else result[k])
        for result, row in zip(results, rows, strict=True)
    ]


def _cast(x: Any, dtype: Any) -> Any:
    """Floats to `dtype`, complex numbers to the complex dtype of its precision; integers, booleans and keys as they are."""
    if not hasattr(x, "dtype"):
        return x
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return x.astype(jnp.complex128 if dtype == jnp.float64 else jnp.complex64)
    return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _like(new: jax.Array, old: jax.Array) -> jax.Array:
    """`new` in the dtype of `old`, which must hold numbers of its kind: rounding is expected, truncation is not."""
    if truncates(new.dtype, old.dtype):
        raise unnamed(TypeError, f"a result of dtype {new.dtype} cannot replace an array of dtype {old.dtype}.")
    return new.astype(old.dtype)
