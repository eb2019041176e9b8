"""An optimizer that sees gradients in the eigenbases of their own statistics (SOAP, Vyas et al. 2024)."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.compiled import compiled, keep_dtypes, run_if
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    no_updates,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count, safe_increment, squarable
from gradtx.require import AT_LEAST_ONE
from gradtx.tree import mismatch
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import all_gathered, kept_like, reshard_like
from gradtx.tree.masks import Mask, check_mask, evaluate_mask, fill_masked, mask_out
from gradtx.tree.scopes import as_whole, gathered, own_part, place_of_leaf, same_on_all, whole_shape
from gradtx.wrappers.parameter_shaped import map_parameter_shaped

_HIGHEST = jax.lax.Precision.HIGHEST


class InEigenbasisState(NamedTuple):
    """Updates so far, statistics and bases for each axis of a leaf (shape (1, 1) if it is not rotated), and the inner state."""

    count: Count
    statistics: Updates
    bases: Updates
    inner_state: OptState


@factory(decay=require.DECAY, every=AT_LEAST_ONE, max_size=AT_LEAST_ONE)
def in_eigenbasis(
    inner: Transformation,
    *,
    decay: float = 0.95,
    every: int = 10,
    rotate: tuple[str, ...] = ("mu",),
    start: Literal["skip", "identity"] = "skip",
    basis: Literal["qr", "eigh"] = "qr",
    max_size: int = 10_000,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """SOAP's wrapper: rotate gradients into the eigenbases of their own statistics, let `inner` run there, and rotate back.

        r = g ×₁ Q₁ᵀ ×₂ Q₂ᵀ ...       u = inner(r) ×₁ Q₁ ×₂ Q₂ ...
        Gᵢ ← decay·Gᵢ + (1−decay)·⟨g, g⟩        over all axes but i
        every so many steps: Qᵢ ← qr(Gᵢ·Qᵢ)     one step of the power iteration towards the eigenvectors of Gᵢ

    When a basis changes, means in the state of `inner` (the fields named in `rotate`) are rotated from the old into the new
    one. Its other parameter-shaped states, such as mean squares, are put into the order of the new basis, whose largest
    eigenvalue comes first. With `scale_by_adam` this is SOAP; any other that does not read the parameters will do.

    Statistics and bases are float32 at least, products of the highest precision. A basis that is not finite is not taken: the
    old one stays. Meta-gradients take bases for constants.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`. Each device works on whole arrays.

    Args:
      inner: a transformation that does not read the parameters, which have no place in the basis; weight decay comes after.
      decay: of the statistics.
      every: steps of `inner` from one change of the bases to the next.
      rotate: the fields of the states of `inner` that are means of gradients.
      start: "skip" makes no update of the first gradients, of which the first bases are made; "identity" begins with the
        coordinates themselves, and makes the first bases after the first step.
      basis: how bases are made again: "qr", one step of the power iteration, or "eigh", the eigenvectors themselves.
      max_size: an axis that is longer is not rotated.
      mask: which leaves are rotated, a tree of bools or a function that makes one; the others go to `inner` as they are. By
        default arrays of two axes or more.

    Raises:
      ValueError: a number is out of range, or a word is another one.

    Conventions:
      The authors' code skips the first step and counts from the next, and so does `start="skip"`; SPlus has
      `start="identity", basis="eigh"`. The first bases are eigenvectors in either.

    References:
      Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2024, https://arxiv.org/abs/2409.11321
    """
    inner = with_extra_args_support(inner)
    if mask is not None:
        check_mask(mask)

    @tree.lift(like="g", same_shapes=False)
    def project(g, bases):
        return _part_of(_rotated(_whole(g), bases), g)

    @tree.lift(like="g", same_shapes=False)
    def project_back(g, u, bases):
        return _part_of(_rotated_back(_whole(u), bases), g)

    @tree.lift(like="statistics", same_shapes=False)
    def accumulate(g, statistics):
        whole = squarable(_whole(g))

        def mean(axis: int, old: jax.Array) -> jax.Array:
            new = decay * old + (1 - decay) * _gram(whole, axis)
            return _known_to_be_the_same(jnp.where(jnp.isfinite(new), new, old))

        new = tuple(mean(axis, old) if _is_used(old) else old for axis, old in enumerate(statistics))
        return (new,)  # one result, which is several arrays

    @tree.lift(like="bases bases", same_shapes=False)
    def first_bases(g, statistics, bases):
        return _constant(map(_eigenvectors, statistics, bases))

    @tree.lift(like="bases bases", same_shapes=False)
    def next_bases(g, statistics, bases):
        return _constant(map(_eigenvectors if basis == "eigh" else _iterated, statistics, bases))

    @tree.lift(like="m", same_shapes=False)
    def between_bases(m, old, new):
        return _part_of(_rotated(_rotated_back(_whole(m), old), new), m)

    @tree.lift(like="v", same_shapes=False)
    def in_order(v, orders):
        whole = _whole(v)
        for axis, order in enumerate(orders):
            whole = jnp.take(whole, jnp.argmax(order.real, axis=0), axis=axis) if _is_used(order) else whole
        return _part_of(whole, v)

    def carried(state: OptState, where: Any, wide: Updates, old: Any, new: Any, orders: Any) -> OptState:
        """The state of `inner` in the new bases."""

        def in_new_bases(field: str, part: Any) -> Any:
            own = mask_out(where, part)
            moved = between_bases(own, old, new) if field in rotate else in_order(own, orders)
            return fill_masked(where, moved, part)

        return map_parameter_shaped(in_new_bases, state, wide)

    def init(params: Params) -> InEigenbasisState:
        zeros = tree.moment_like(params)
        own = mask_out(_rotated_leaves(mask, zeros), zeros)
        statistics = tree.map_leaves(lambda zero: _squares(zero, max_size, 0.0), own)
        bases = tree.map_leaves(lambda zero: _squares(zero, max_size, 1.0), own)
        return InEigenbasisState(jnp.zeros((), jnp.int32), statistics, bases, inner.init(params))

    @tells(precise=("statistics", "bases"))
    @forwards_to(inner, changes_updates=True)
    @compiled
    def update(updates: Updates, state: InEigenbasisState, params: Params | None = None, **extra_args: Any):
        with mismatch.explaining(g=updates):
            wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        where = _rotated_leaves(mask, wide)
        own = mask_out(where, wide)

        def run() -> tuple[Updates, OptState]:
            rotated = fill_masked(where, project(own, state.bases), wide)
            return inner.update(rotated, state.inner_state, None, **extra_args)

        skips = start == "skip"
        skipped = no_updates(inner, wide), state.inner_state
        steps, inner_state = run_if(state.count > 0, run, lambda: skipped) if skips else run()
        back = fill_masked(where, project_back(own, mask_out(where, steps), state.bases), steps)
        count = safe_increment(state.count)
        if not jax.tree.leaves(own):
            return tree.cast_like(back, updates), state._replace(count=count, inner_state=inner_state)
        (statistics,) = accumulate(own, state.statistics)
        is_first = count == 1

        def renewed() -> tuple[Any, OptState]:
            old = state.bases
            bases, orders = jax.lax.cond(
                is_first, lambda: first_bases(own, statistics, old), lambda: next_bases(own, statistics, old)
            )
            return bases, keep_dtypes(carried(inner_state, where, wide, old, bases, orders), inner_state)

        taken = state.count if skips else count
        bases, inner_state = jax.lax.cond(
            is_first | (taken % every == 0), renewed, lambda: (state.bases, keep_dtypes(inner_state, inner_state))
        )
        # As they lay: the compiler lays out what is made of whole arrays as it likes.
        statistics, bases = jax.tree.map(kept_like, (state.statistics, state.bases), (statistics, bases))
        back = tree.cast_like(tree.map_leaves(kept_like, wide, back), updates)
        return back, InEigenbasisState(count, statistics, bases, inner_state)

    return GradientTransformationExtraArgs(init, update)


def _rotated_leaves(mask: Mask | None, like: Any) -> Any:
    if mask is None:
        return jax.tree.map(lambda x: jnp.ndim(x) > 1, as_whole(like))
    return evaluate_mask(mask, like)


# --- arrays that may be parts of leaves -------------------------------------------------------------------------------


def _whole(x: jax.Array) -> jax.Array:
    """The whole leaf of which a rule sees a part."""
    place = place_of_leaf()
    return gathered(all_gathered(x), place) if place.split else all_gathered(x)


def _part_of(whole: jax.Array, x: jax.Array) -> jax.Array:
    """The part of a whole leaf that a rule sees as `x`."""
    place = place_of_leaf()
    return reshard_like(x, own_part(whole, place) if place.split else whole)


def _known_to_be_the_same(x: jax.Array) -> jax.Array:
    place = place_of_leaf()
    return same_on_all(x, place) if place.split else x


# --- bases ------------------------------------------------------------------------------------------------------------


def _squares(zero: jax.Array, max_size: int, diagonal: float) -> tuple[jax.Array, ...]:
    """For each axis a matrix with a number on its diagonal; of shape (1, 1) where the axis is not rotated."""
    sizes = [size if 1 < size <= max_size else 1 for size in whole_shape(zero)]
    squares = [tree.full_of_shape(all_gathered(zero), (size, size)) for size in sizes]
    return tuple(_known_to_be_the_same(square + diagonal * jnp.eye(len(square), dtype=square.dtype)) for square in squares)


def _is_used(square: jax.Array) -> bool:
    return square.size > 1


def _gram(x: jax.Array, axis: int) -> jax.Array:
    """⟨x, x⟩ over all axes but one."""
    others = [other for other in range(x.ndim) if other != axis]
    return jnp.tensordot(x, jnp.conj(x), axes=(others, others), precision=_HIGHEST)


def _rotated(x: jax.Array, bases: Sequence[jax.Array]) -> jax.Array:
    """The coordinates of x in the bases of its axes."""
    return _times(x, [jnp.conj(basis) for basis in bases])


def _rotated_back(x: jax.Array, bases: Sequence[jax.Array]) -> jax.Array:
    return _times(x, [basis.mT for basis in bases])


def _times(x: jax.Array, matrices: Sequence[jax.Array]) -> jax.Array:
    """Multiply each axis of x by a matrix from the right."""
    for axis, matrix in enumerate(matrices):
        if _is_used(matrix):
            x = jnp.moveaxis(jnp.tensordot(x, matrix, axes=(axis, 0), precision=_HIGHEST), -1, axis)
    return x


def _eigenvectors(statistics: jax.Array, old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The eigenvectors of statistics, that of the largest eigenvalue first, and the order of the old ones."""
    if not _is_used(old):
        return old, old
    scaled = _scaled(statistics)
    _, vectors = jnp.linalg.eigh(scaled)
    return _finite_or_old(vectors[:, ::-1], scaled, old)


def _iterated(statistics: jax.Array, old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step of the power iteration from the old basis, and the order that it was put into for that."""
    if not _is_used(old):
        return old, old
    scaled = _scaled(statistics)
    image = jnp.matmul(scaled, old, precision=_HIGHEST)
    vectors, _ = jnp.linalg.qr(image[:, _order(scaled, old)])
    return _finite_or_old(vectors, scaled, old)


def _scaled(statistics: jax.Array) -> jax.Array:
    """Statistics in units of their largest number; 0 if one is not finite, which LAPACK may never come back from."""
    largest = jnp.max(jnp.abs(statistics))
    scaled = statistics / jnp.where(largest > 0, largest, 1)
    return jnp.where(jnp.isfinite(largest), scaled, 0)


def _order(statistics: jax.Array, basis: jax.Array) -> jax.Array:
    """The order of the vectors of a basis, that along which the statistics are largest first."""
    image = jnp.matmul(statistics, basis, precision=_HIGHEST)
    return jnp.argsort(-jnp.sum(jnp.real(jnp.conj(basis) * image), axis=0))


def _finite_or_old(vectors: jax.Array, statistics: jax.Array, old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The new basis, and the order of the old one as a permutation; the old one itself if the new one cannot be used."""
    usable = jnp.all(jnp.isfinite(vectors)) & jnp.any(statistics != 0)
    order = jnp.where(usable, _order(statistics, old), jnp.arange(len(old)))
    return jnp.where(usable, vectors, old), jnp.eye(len(old), dtype=old.dtype)[:, order]


def _constant(pairs: Iterable[tuple[jax.Array, jax.Array]]) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """Bases and orders, each together, without derivatives: those of eigenvectors are infinite where eigenvalues are equal."""
    bases, orders = zip(*jax.lax.stop_gradient(list(pairs)), strict=True)
    return bases, orders
