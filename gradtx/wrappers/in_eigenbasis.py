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
from gradtx.tree.axis_statistics import (
    Squares,
    accumulated,
    any_of,
    diagonal_squares,
    due_leaves,
    gram,
    in_units,
    is_used,
    part_of_leaf,
    run_for_leaf,
    times,
    times_others,
    whole_leaf,
)
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import kept_like
from gradtx.tree.masks import Mask, check_mask, evaluate_mask, fill_masked, mask_out
from gradtx.tree.scopes import as_whole, whole_shape
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
    kl: bool = False,
    stagger: bool = False,
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

    With `kl` the statistics of an axis are taken of the gradient preconditioned along the others, and are nearer to a Kronecker
    product of the covariance of gradients (KL-SOAP):

        hᵢ = g ×ⱼ Λⱼ^(−½)·Qⱼᵀ for all j ≠ i, Λⱼ = diag(Qⱼᵀ·Gⱼ·Qⱼ)      Gᵢ ← decay·Gᵢ + (1−decay)·⟨hᵢ, hᵢ⟩/∏ⱼ sizeⱼ

    Eigenvalues below a millionth of the largest count as that.

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
      kl: whether statistics are those of KL-SOAP.
      stagger: whether leaf i of n changes its bases i·every/n steps early, so that only the first step makes all bases, and the
        others take about the same time. It takes longer to compile.

    Raises:
      ValueError: a number is out of range, or a word is another one.

    Conventions:
      The authors' code skips the first step and counts from the next, and so does `start="skip"`; SPlus has
      `start="identity", basis="eigh"`. The first bases are eigenvectors in either.

    References:
      Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2024, https://arxiv.org/abs/2409.11321
      Lin et al., Understanding and Improving Shampoo and SOAP via Kullback-Leibler Minimization, 2025,
        https://arxiv.org/abs/2509.03378
    """
    inner = with_extra_args_support(inner)
    if mask is not None:
        check_mask(mask)

    @tree.lift(like="g", same_shapes=False)
    def project(g, bases):
        return part_of_leaf(_rotated(whole_leaf(g), bases), g)

    @tree.lift(like="g", same_shapes=False)
    def project_back(g, u, bases):
        return part_of_leaf(_rotated_back(whole_leaf(u), bases), g)

    @tree.lift(like="statistics", same_shapes=False)
    def accumulate(g, statistics, bases):
        whole = squarable(whole_leaf(g))
        whitening = list(map(_whitening, statistics, bases)) if kl else []

        def new(axis: int) -> jax.Array:
            if not kl:
                return gram(whole, axis)
            return gram(times_others(whole, whitening, axis), axis) * (whole.shape[axis] / max(1, whole.size))

        def mean(axis: int, old: jax.Array) -> jax.Array:
            return accumulated(old, new(axis), decay, 1 - decay) if is_used(old) else old

        return (tuple(mean(axis, old) for axis, old in enumerate(statistics)),)  # one result, which is several arrays

    @tree.lift(like="bases bases", same_shapes=False)
    def first_bases(g, statistics, bases):
        return _constant(map(_eigenvectors, statistics, bases))

    @tree.lift(like="bases bases", same_shapes=False)
    def next_bases(g, statistics, bases, due):
        def renewed() -> tuple[Squares, Squares]:
            return _constant(map(_eigenvectors if basis == "eigh" else _iterated, statistics, bases))

        return run_for_leaf(due, renewed, lambda: (bases, tuple(map(_identity_like, bases))), stagger)

    @tree.lift(like="m", same_shapes=False)
    def between_bases(m, old, new, due):
        def moved() -> jax.Array:
            return part_of_leaf(_rotated(_rotated_back(whole_leaf(m), old), new), m)

        return run_for_leaf(due, moved, lambda: m, stagger)

    @tree.lift(like="v", same_shapes=False)
    def in_order(v, orders):
        whole = whole_leaf(v)
        for axis, order in enumerate(orders):
            whole = jnp.take(whole, jnp.argmax(order.real, axis=0), axis=axis) if is_used(order) else whole
        return part_of_leaf(whole, v)

    def carried(state: OptState, where: Any, wide: Updates, old: Any, new: Any, orders: Any, due: Any) -> OptState:
        """The state of `inner` in the new bases."""

        def in_new_bases(field: str, part: Any) -> Any:
            own = mask_out(where, part)
            moved = between_bases(own, old, new, due) if field in rotate else in_order(own, orders)
            return fill_masked(where, moved, part)

        return map_parameter_shaped(in_new_bases, state, wide)

    def init(params: Params) -> InEigenbasisState:
        zeros = tree.moment_like(params)
        own = mask_out(_rotated_leaves(mask, zeros), zeros)

        def squares(diagonal: float) -> Any:
            return tree.map_leaves(lambda zero: diagonal_squares(zero, _sizes(whole_shape(zero), max_size), diagonal), own)

        return InEigenbasisState(jnp.zeros((), jnp.int32), squares(0.0), squares(1.0), inner.init(params))

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
        (statistics,) = accumulate(own, state.statistics, state.bases)
        is_first = count == 1
        due = due_leaves(own, state.count if skips else count, every, stagger, also=is_first)

        def renewed() -> tuple[Any, OptState]:
            old = state.bases
            bases, orders = jax.lax.cond(
                is_first, lambda: first_bases(own, statistics, old), lambda: next_bases(own, statistics, old, due)
            )
            return bases, keep_dtypes(carried(inner_state, where, wide, old, bases, orders, due), inner_state)

        bases, inner_state = jax.lax.cond(any_of(due), renewed, lambda: (state.bases, keep_dtypes(inner_state, inner_state)))
        # As they lay: the compiler lays out what is made of whole arrays as it likes.
        statistics, bases = jax.tree.map(kept_like, (state.statistics, state.bases), (statistics, bases))
        back = tree.cast_like(tree.map_leaves(kept_like, wide, back), updates)
        return back, InEigenbasisState(count, statistics, bases, inner_state)

    return GradientTransformationExtraArgs(init, update)


def _rotated_leaves(mask: Mask | None, like: Any) -> Any:
    if mask is None:
        return jax.tree.map(lambda x: jnp.ndim(x) > 1, as_whole(like))
    return evaluate_mask(mask, like)


# --- bases ------------------------------------------------------------------------------------------------------------


def _sizes(shape: Sequence[int], max_size: int) -> list[int]:
    """The sizes of the bases of an array, 1 for an axis that is not rotated."""
    return [size if 1 < size <= max_size else 1 for size in shape]


def _rotated(x: jax.Array, bases: Sequence[jax.Array]) -> jax.Array:
    """The coordinates of x in the bases of its axes."""
    return times(x, [jnp.conj(basis) for basis in bases])


def _rotated_back(x: jax.Array, bases: Sequence[jax.Array]) -> jax.Array:
    return times(x, [basis.mT for basis in bases])


def _whitening(statistics: jax.Array, basis: jax.Array) -> jax.Array:
    """What an axis is multiplied by to be rotated into its basis and divided by the roots of the eigenvalues there."""
    if not is_used(basis):
        return basis
    eigenvalues = _along(statistics, basis)
    largest = jnp.max(eigenvalues)
    floored = jnp.maximum(eigenvalues, 1e-6 * largest)
    return jnp.conj(basis) / jnp.sqrt(jnp.where(largest > 0, floored, 1))[None, :]


def _identity_like(basis: jax.Array) -> jax.Array:
    """The order of a basis that stays."""
    return jnp.eye(len(basis), dtype=basis.dtype)


def _eigenvectors(statistics: jax.Array, old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The eigenvectors of statistics, that of the largest eigenvalue first, and the order of the old ones."""
    if not is_used(old):
        return old, old
    scaled, _ = in_units(statistics)
    _, vectors = jnp.linalg.eigh(scaled)
    return _finite_or_old(vectors[:, ::-1], scaled, old)


def _iterated(statistics: jax.Array, old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step of the power iteration from the old basis, and the order that it was put into for that."""
    if not is_used(old):
        return old, old
    scaled, _ = in_units(statistics)
    image = jnp.matmul(scaled, old, precision=_HIGHEST)
    vectors, _ = jnp.linalg.qr(image[:, _order(scaled, old)])
    return _finite_or_old(vectors, scaled, old)


def _order(statistics: jax.Array, basis: jax.Array) -> jax.Array:
    """The order of the vectors of a basis, that along which the statistics are largest first."""
    return jnp.argsort(-_along(statistics, basis))


def _along(statistics: jax.Array, basis: jax.Array) -> jax.Array:
    """The diagonal of statistics in a basis."""
    image = jnp.matmul(statistics, basis, precision=_HIGHEST)
    return jnp.sum(jnp.real(jnp.conj(basis) * image), axis=0)


def _finite_or_old(vectors: jax.Array, statistics: jax.Array, old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The new basis, and the order of the old one as a permutation; the old one itself if the new one cannot be used."""
    usable = jnp.all(jnp.isfinite(vectors)) & jnp.any(statistics != 0)
    order = jnp.where(usable, _order(statistics, old), jnp.arange(len(old)))
    return jnp.where(usable, vectors, old), _identity_like(old)[:, order]


def _constant(pairs: Iterable[tuple[jax.Array, jax.Array]]) -> tuple[Squares, Squares]:
    """Bases and orders, each together, without derivatives: those of eigenvectors are infinite where eigenvalues are equal."""
    bases, orders = zip(*jax.lax.stop_gradient(list(pairs)), strict=True)
    return bases, orders
