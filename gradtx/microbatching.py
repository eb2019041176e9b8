"""Evaluate a function on a batch part by part, where the whole batch does not fit into memory.

`microbatch` is the general one; `micro_vmap` and `micro_grad` are `jax.vmap` and per-example gradients made with it.
"""

import dataclasses
import enum
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import hints, tree
from gradtx.tree.dtypes import at_least_float32


class AccumulationType(enum.Enum):
    """How the results of the parts become one: MEAN = Σ/n of all n parts, RUNNING_MEAN that of those which ran."""

    MEAN = enum.auto()
    SUM = enum.auto()
    RUNNING_MEAN = enum.auto()
    CONCAT = enum.auto()


@dataclasses.dataclass(frozen=True)
class Accumulator:
    """A way of one's own to make one result of those of the parts.

    Attributes:
      init: a function of the shapes and dtypes of one result; makes the carry.
      update: a function of (carry, result, index of the part); makes the next carry.
      finalize: a function of the last carry; makes the result.
      aggregate: for `micro_vmap`, a function that makes one result of those of the examples of a part (leading axis).
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], Any]
    finalize: Callable[[Any], Any]
    aggregate: Callable[[Any], Any]


class Aux(NamedTuple):
    """What `micro_grad` returns beside the gradients, for each example."""

    values: Any
    metrics: Any = None
    aux: Any = None


def reshape_batch_axis(tree: Any, microbatch_size: int, axis: int = 0) -> Any:
    """Return a tree with the batch axis of each leaf split into two, (parts, microbatch_size).

    Part k takes the examples k, k + n, k + 2n, ... of n parts: a batch that is sharded along its axis stays so in each part.

    Args:
      tree: a tree of arrays with a batch axis.
      microbatch_size: examples in a part; must divide the batch.
      axis: the batch axis.

    Raises:
      ValueError: the batch is not a multiple of `microbatch_size`.
    """

    def reshape(x: jax.Array) -> jax.Array:
        at = axis % x.ndim
        count = _number_of_parts(x.shape[at], microbatch_size)
        return jnp.swapaxes(x.reshape(*x.shape[:at], microbatch_size, count, *x.shape[at + 1 :]), at, at + 1)

    return jax.tree.map(reshape, tree)


def microbatch(
    fun: Callable[..., Any],
    argnums: int | Sequence[int],
    microbatch_size: int | None,
    accumulator: Accumulator | AccumulationType | Any = AccumulationType.SUM,
    *,
    argnames: str | Sequence[str] = (),
    in_axes: int | Sequence[int] = 0,
    num_real_microbatches: int | jax.Array | None = None,
) -> Callable[..., Any]:
    """Return `fun` as a loop over parts of the batch, one after another.

        microbatch(fun)(batch) = fun(part₁) + fun(part₂) + ...

    Sums and means are kept in float32 at least. The loop can be differentiated unless `num_real_microbatches` is given.

    Args:
      fun: a function of a batch.
      argnums: which arguments have a batch axis.
      microbatch_size: examples in a part; must divide the batch. None leaves `fun` as it is.
      accumulator: how the results of the parts become one; for results that are trees also a tree of these, or one that ends
        above the leaves.
      argnames: which keyword arguments have a batch axis.
      in_axes: the batch axis, one for all or one for each of `argnums` and `argnames`.
      num_real_microbatches: how many parts to run, the others being padding; may be traced.

    Raises:
      ValueError: `fun` has no argument of such a number or name; from the returned function, if the call has none, if batches
        differ in size or are not a multiple of `microbatch_size`, and for a mean of integers.
    """
    _check_has("microbatch", fun, _sequence(argnames), argnums=_sequence(argnums))
    if microbatch_size is None:
        return fun

    def microbatched(*args: Any, **kwargs: Any) -> Any:
        _check_numbers("microbatch", "argnums", _sequence(argnums), len(args), "the call gives")
        _check_names(_sequence(argnames), kwargs)
        which: list[int | str] = [*(position % len(args) for position in _sequence(argnums)), *_sequence(argnames)]
        axes = [in_axes] * len(which) if isinstance(in_axes, int) else in_axes
        arguments: dict[int | str, Any] = {**dict(enumerate(args)), **kwargs}
        count = _number_of_parts(_batch_size(zip(axes, (arguments[name] for name in which), strict=True)), microbatch_size)
        parts = {
            name: reshape_batch_axis(arguments[name], microbatch_size, axis) for name, axis in zip(which, axes, strict=True)
        }

        def on_part(index: Any) -> Any:
            chosen = {name: _take(parts[name], index, axis) for name, axis in zip(which, axes, strict=True)}
            given = {**arguments, **chosen}
            return fun(*(given[position] for position in range(len(args))), **{name: given[name] for name in kwargs})

        result = jax.eval_shape(on_part, 0)
        accumulators = jax.tree.map(lambda kind, part: _resolved(kind, part, count), accumulator, result)

        def step(index: Any, carry: Any) -> Any:
            return jax.tree.map(lambda each, c, part: each.update(c, part, index), accumulators, carry, on_part(index))

        start = jax.tree.map(lambda each, part: each.init(part), accumulators, result)
        stop = count if num_real_microbatches is None else jnp.minimum(num_real_microbatches, count)
        carry = jax.lax.fori_loop(0, stop, step, start)
        return jax.tree.map(lambda each, c: each.finalize(c), accumulators, carry)

    return microbatched


def micro_vmap(
    fun: Callable[..., Any],
    in_axes: int | Sequence[int | None] = 0,
    out_axes: Any = 0,
    *,
    microbatch_size: int | None = None,
    vmap_fn: Callable[..., Callable[..., Any]] = jax.vmap,
    accumulator: Accumulator | AccumulationType | Any = AccumulationType.CONCAT,
    num_real_microbatches: int | jax.Array | None = None,
) -> Callable[..., Any]:
    """Return `jax.vmap(fun)` as a loop over parts of the batch, with what becomes of the results of the examples.

    Args:
      fun: a function of one example.
      in_axes: the batch axis of the arguments, one for all or one for each; None for an argument without. Those by keyword
        have theirs first.
      out_axes: 0, the only one there is.
      microbatch_size: examples in a part; must divide the batch. None makes one part.
      vmap_fn: what is called as `jax.vmap(fun, in_axes, out_axes)`.
      accumulator: CONCAT gives what `jax.vmap` does, the others reduce over the batch; see `microbatch`.
      num_real_microbatches: as in `microbatch`.

    Raises:
      NotImplementedError: `out_axes` is not 0.
    """
    if out_axes != 0:
        raise NotImplementedError(f"micro_vmap: out_axes must be 0, got {out_axes}.")
    over_examples = vmap_fn(fun, in_axes, out_axes)

    def mapped(*args: Any, **kwargs: Any) -> Any:
        axes = [in_axes] * len(args) if isinstance(in_axes, int) else in_axes
        batched = [position for position, axis in enumerate(axes) if axis is not None]

        def on_part(*args: Any, **kwargs: Any) -> Any:
            results = over_examples(*args, **kwargs)
            return jax.tree.map(lambda kind, part: _aggregation(kind)(part), accumulator, results)

        run = microbatch(
            on_part,
            batched,
            microbatch_size,
            accumulator,
            argnames=list(kwargs),
            in_axes=[axis for axis in axes if axis is not None] + [0] * len(kwargs),
            num_real_microbatches=num_real_microbatches,
        )
        return run(*args, **kwargs)

    return mapped


def micro_grad(
    fun: Callable[..., Any],
    has_aux: bool = False,
    argnums: int | Sequence[int] = 0,
    *,
    batch_argnums: int | Sequence[int] = 1,
    keep_batch_dim: bool = True,
    microbatch_size: int | None = None,
    accumulator: Accumulator | AccumulationType | Any = AccumulationType.SUM,
    transform_fn: Callable[[Any], Any] = lambda x: x,
    metrics_fn: Callable[[Any], Any] = lambda x: None,
    num_real_microbatches: int | jax.Array | None = None,
) -> Callable[..., tuple[Any, Aux]]:
    """Return a function that computes the gradients of single examples, transforms each, and adds them up.

        Σᵢ transform_fn(∇fun(params, exampleᵢ))

    To clip, square or measure the gradient of each example, in the memory of one part of the batch.

    Args:
      fun: a function of (params, batch, ...) with a scalar value.
      has_aux: whether it returns `(value, aux)`.
      argnums: which arguments to differentiate.
      batch_argnums: which arguments have a batch axis, the leading one.
      keep_batch_dim: whether `fun` gets a batch of one example, or the example alone.
      microbatch_size: examples in a part; must divide the batch. None makes one part.
      accumulator: how the transformed gradients become one; see `microbatch`.
      transform_fn: a function of the gradient of one example.
      metrics_fn: a function of it, whose results are returned for each example.
      num_real_microbatches: as in `microbatch`.

    Returns:
      A function of the arguments of `fun` that returns the gradients, and `Aux` of values, metrics and aux of all examples.

    Raises:
      ValueError: `fun`, or a call, has no argument of one of the `batch_argnums`.
    """
    _check_has("micro_grad", fun, batch_argnums=_sequence(batch_argnums))
    value_and_grad = jax.value_and_grad(fun, argnums, has_aux)

    def gradients(*args: Any, **kwargs: Any) -> tuple[Any, Aux]:
        _check_numbers("micro_grad", "batch_argnums", _sequence(batch_argnums), len(args), "the call gives")
        batched = {position % len(args) for position in _sequence(batch_argnums)}

        def on_example(*args: Any) -> tuple[Any, Aux]:
            if keep_batch_dim:
                args = tuple(_as_batch(arg) if position in batched else arg for position, arg in enumerate(args))
            value, gradient = value_and_grad(*args, **kwargs)
            value, aux = value if has_aux else (value, None)
            return transform_fn(gradient), Aux(value, metrics_fn(gradient), aux)

        run = micro_vmap(
            on_example,
            [0 if position in batched else None for position in range(len(args))],
            microbatch_size=microbatch_size,
            accumulator=(accumulator, AccumulationType.CONCAT),
            num_real_microbatches=num_real_microbatches,
        )
        return run(*args)

    return gradients


def _check_has(owner: str, fun: Callable[..., Any], argnames: Sequence[str] = (), **argnums: Sequence[int]) -> None:
    """Raise `ValueError` if `fun` takes no argument of such a number or name; some functions do not say what they take."""
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return
    kinds = {p.kind for p in parameters}
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        for name, numbers in argnums.items():
            _check_numbers(owner, name, numbers, len(positional), "the function takes")
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for name in argnames:
            if name not in by_name:
                hint = hints.nearest(name, by_name, otherwise=f"it takes {', '.join(by_name) or 'none by name'}.")
                raise ValueError(f"{owner}: argnames has {name!r}, which the function does not take; {hint}")


def _check_numbers(owner: str, name: str, numbers: Sequence[int], count: int, which: str) -> None:
    """Raise `ValueError` unless there are arguments of these numbers among `count` positional ones."""
    for number in numbers:
        if not -count <= number < count:
            raise ValueError(f"{owner}: {name} has {number}, but {which} {count} by position.")


def _check_names(names: Sequence[str], given: Iterable[str]) -> None:
    """Raise `ValueError` unless all names are given."""
    if missing := [name for name in names if name not in given]:
        raise ValueError(f"microbatch: argnames has {missing[0]!r}, but the call does not give it as a keyword argument.")


def _resolved(kind: Any, part: Any, count: int) -> Accumulator:
    """The accumulator that `kind` means for results like `part`."""
    if isinstance(kind, Accumulator):
        return kind
    if kind is AccumulationType.CONCAT:
        return _concatenation(part, count)
    if kind is AccumulationType.SUM:
        return _sum(part, 1)
    for leaf in jax.tree.leaves(part):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            raise ValueError(f"microbatch: {kind.name} needs floating-point results, got {leaf.dtype}.")
    return _sum(part, count) if kind is AccumulationType.MEAN else _running_mean(part)


def _sum(part: Any, divisor: int) -> Accumulator:
    def finalize(carry: Any) -> Any:
        return tree.cast_like(carry if divisor == 1 else jax.tree.map(lambda c: c / divisor, carry), part)

    return Accumulator(
        init=lambda part: jax.tree.map(lambda x: jnp.zeros(x.shape, _carried(x)), part),
        update=lambda carry, part, index: jax.tree.map(lambda c, x: c + x.astype(c.dtype), carry, part),
        finalize=finalize,
        aggregate=_aggregation(AccumulationType.SUM),
    )


def _running_mean(part: Any) -> Accumulator:
    def update(carry: Any, part: Any, index: Any) -> Any:
        return jax.tree.map(lambda c, x: c + (x.astype(c.dtype) - c) / jnp.asarray(index + 1, c.dtype), carry, part)

    return dataclasses.replace(_sum(part, 1), update=update, aggregate=_aggregation(AccumulationType.RUNNING_MEAN))


def _concatenation(part: Any, count: int) -> Accumulator:
    def join(x: jax.Array) -> jax.Array:
        if x.ndim == 1:
            return x  # one number of each part
        return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:])  # the inverse of `reshape_batch_axis`

    return Accumulator(
        init=lambda part: jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), part),
        update=lambda carry, part, index: jax.tree.map(lambda c, x: c.at[index].set(x), carry, part),
        finalize=lambda carry: jax.tree.map(join, carry),
        aggregate=_aggregation(AccumulationType.CONCAT),
    )


def _aggregation(kind: Any) -> Callable[[Any], Any]:
    """What `micro_vmap` does with the results of the examples of one part."""
    if isinstance(kind, Accumulator):
        return kind.aggregate
    if kind is AccumulationType.CONCAT:
        return lambda results: results
    reduce = jnp.sum if kind is AccumulationType.SUM else jnp.mean
    return lambda results: jax.tree.map(lambda x: reduce(x, axis=0), results)


def _carried(x: Any) -> Any:
    return at_least_float32(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else x.dtype


def _take(parts: Any, index: Any, axis: int) -> Any:
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index, axis % (x.ndim - 1), keepdims=False), parts)


def _as_batch(example: Any) -> Any:
    return jax.tree.map(lambda x: x[None], example)


def _sequence(names: Any) -> Sequence[Any]:
    return [names] if isinstance(names, int | str) else list(names)


def _batch_size(batches: Iterable[tuple[int, Any]]) -> int:
    sizes = sorted({x.shape[axis] for axis, batch in batches for x in jax.tree.leaves(batch)})
    if len(sizes) != 1:
        raise ValueError(f"microbatch: all batch axes must have one size, got {', '.join(map(str, sizes)) or 'no batch'}.")
    return sizes[0]


def _number_of_parts(batch_size: int, microbatch_size: int) -> int:
    if microbatch_size < 1 or batch_size % microbatch_size:
        raise ValueError(f"microbatch: the batch of {batch_size} is not divisible by the microbatch_size {microbatch_size}.")
    return batch_size // microbatch_size
