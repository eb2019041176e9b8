"""An optimizer that sees gradients in the eigenbases of their own statistics (SOAP, Vyas et al. 2024)."""

import functools
from collections.abc import Sequence
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
from gradtx.errors import unnamed
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
    is_used,
    part_of_leaf,
    run_for_leaf,
    times_others,
    whole_leaf,
)
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.eigenbases import (
    constant,
    eigenvectors,
    identity_like,
    iterated,
    rotated,
    rotated_back,
    whitening,
)
from gradtx.tree.layout import kept_like
from gradtx.tree.masks import Mask, check_mask, evaluate_mask, fill_masked, mask_out
from gradtx.tree.scopes import as_whole, whole_shape
from gradtx.wrappers.parameter_shaped import map_parameter_shaped


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
    refresh: Literal["after", "before"] = "after",
    reorder: bool = True,
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
      refresh: whether bases change after a step or before it; before it the first ones are made at step `every`, and the step
        that they are made of is the first to use them. That needs `start="identity"`.
      reorder: whether mean squares are put into the order of a new basis. If not, they stay where they are, and a basis has the
        eigenvector of the smallest eigenvalue first. That needs `basis="eigh"`.

    Raises:
      ValueError: a number is out of range, a word is another one, or one argument needs another one.

    Conventions:
      The authors' code skips the first step and counts from the next, and so does `start="skip"`; SPlus has
      `start="identity", basis="eigh"`. The first bases are eigenvectors in either. Eigenvalue-corrected Shampoo of facebook's
      Distributed Shampoo is `start="identity", basis="eigh", refresh="before", reorder=False` around `scale_by_adam`.

    References:
      Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2024, https://arxiv.org/abs/2409.11321
      Lin et al., Understanding and Improving Shampoo and SOAP via Kullback-Leibler Minimization, 2025,
        https://arxiv.org/abs/2509.03378
    """
    inner = with_extra_args_support(inner)
    if mask is not None:
        check_mask(mask)
    if refresh == "before" and start == "skip":
        raise unnamed(ValueError, 'refresh="before" needs start="identity": there are no bases for the step that skips.')
    if basis == "qr" and not reorder:
        raise unnamed(ValueError, 'reorder=False needs basis="eigh": each step of the power iteration begins with a new order.')
    exact = functools.partial(eigenvectors, descending=reorder)
    first = every if refresh == "before" else 1

    @tree.lift(like="g", same_shapes=False)
    def project(g, bases):
        return part_of_leaf(rotated(whole_leaf(g), bases), g)

    @tree.lift(like="g", same_shapes=False)
    def project_back(g, u, bases):
        return part_of_leaf(rotated_back(whole_leaf(u), bases), g)

    @tree.lift(like="statistics", same_shapes=False)
    def accumulate(g, statistics, bases):
        whole = squarable(whole_leaf(g))
        factors = list(map(whitening, statistics, bases)) if kl else []

        def new(axis: int) -> jax.Array:
            if not kl:
                return gram(whole, axis)
            return gram(times_others(whole, factors, axis), axis) * (whole.shape[axis] / max(1, whole.size))

        def mean(axis: int, old: jax.Array) -> jax.Array:
            return accumulated(old, new(axis), decay, 1 - decay) if is_used(old) else old

        return (tuple(mean(axis, old) for axis, old in enumerate(statistics)),)  # one result, which is several arrays

    @tree.lift(like="bases bases", same_shapes=False)
    def first_bases(g, statistics, bases):
        return constant(map(exact, statistics, bases))

    @tree.lift(like="bases bases", same_shapes=False)
    def next_bases(g, statistics, bases, due):
        def renewed() -> tuple[Squares, Squares]:
            return constant(map(exact if basis == "eigh" else iterated, statistics, bases))

        return run_for_leaf(due, renewed, lambda: (bases, tuple(map(identity_like, bases))), stagger)

    @tree.lift(like="m", same_shapes=False)
    def between_bases(m, old, new, due):
        def moved() -> jax.Array:
            return part_of_leaf(rotated(rotated_back(whole_leaf(m), old), new), m)

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
            if field not in rotate and not reorder:
                return part
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

        count = safe_increment(state.count)

        def step(bases: Any, inner_state: OptState) -> tuple[Updates, OptState]:
            def run() -> tuple[Updates, OptState]:
                projected = fill_masked(where, project(own, bases), wide)
                return inner.update(projected, inner_state, None, **extra_args)

            skipped = no_updates(inner, wide), inner_state
            steps, new_state = run_if(state.count > 0, run, lambda: skipped) if start == "skip" else run()
            return fill_masked(where, project_back(own, mask_out(where, steps), bases), steps), new_state

        def refreshed(inner_state: OptState) -> tuple[Any, Any, OptState]:
            (statistics,) = accumulate(own, state.statistics, state.bases)
            is_first, old = count == first, state.bases
            due = due_leaves(own, state.count if start == "skip" else count, every, stagger, also=is_first)
            due = jax.tree.map(lambda each: each & (count >= first), due)

            def renewed() -> tuple[Any, OptState]:
                bases, orders = jax.lax.cond(
                    is_first, lambda: first_bases(own, statistics, old), lambda: next_bases(own, statistics, old, due)
                )
                return bases, keep_dtypes(carried(inner_state, where, wide, old, bases, orders, due), inner_state)

            bases, inner_state = jax.lax.cond(any_of(due), renewed, lambda: (old, keep_dtypes(inner_state, inner_state)))
            # As they lay: the compiler lays out what is made of whole arrays as it likes.
            return *jax.tree.map(kept_like, (state.statistics, old), (statistics, bases)), inner_state

        if not jax.tree.leaves(own):
            back, inner_state = step(state.bases, state.inner_state)
            return tree.cast_like(back, updates), state._replace(count=count, inner_state=inner_state)
        if refresh == "before":
            statistics, bases, inner_state = refreshed(state.inner_state)
            back, inner_state = step(bases, inner_state)
        else:
            back, inner_state = step(state.bases, state.inner_state)
            statistics, bases, inner_state = refreshed(inner_state)
        back = tree.cast_like(tree.map_leaves(kept_like, wide, back), updates)
        return back, InEigenbasisState(count, statistics, bases, inner_state)

    return GradientTransformationExtraArgs(init, update)


def _rotated_leaves(mask: Mask | None, like: Any) -> Any:
    if mask is None:
        return jax.tree.map(lambda x: jnp.ndim(x) > 1, as_whole(like))
    return evaluate_mask(mask, like)


def _sizes(shape: Sequence[int], max_size: int) -> list[int]:
    """The sizes of the bases of an array, 1 for an axis that is not rotated."""
    return [size if 1 < size <= max_size else 1 for size in shape]
