"""Shampoo's preconditioner (Gupta et al. 2018): inverse roots of the statistics of each axis."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.compiled import compiled
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    identity,
    tells,
    with_extra_args_support,
)
from gradtx.errors import unnamed
from gradtx.linalg import matrix_inverse_pth_root
from gradtx.numerics import Count, debias, safe_increment, squarable
from gradtx.require import AT_LEAST_ONE, Range
from gradtx.tree import mismatch
from gradtx.tree.axis_statistics import (
    Squares,
    accumulated,
    any_of,
    cut,
    diagonal_squares,
    due_leaves,
    gram,
    in_units,
    joined,
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

_HIGHEST = jax.lax.Precision.HIGHEST


class ScaleByShampooState(NamedTuple):
    """Updates so far, statistics and inverse roots of each axis of each block of a leaf, and the inner state."""

    count: Count
    statistics: Updates
    roots: Updates
    inner_state: OptState


@factory(decay=Range(low=0, high=1), every=AT_LEAST_ONE, start=AT_LEAST_ONE, max_size=AT_LEAST_ONE)
def scale_by_shampoo(
    inner: Transformation | None = None,
    *,
    decay: float = 1.0,
    eps: float = 1e-12,
    every: int = 1,
    start: int | None = None,
    exponent: float | Mapping[int, float] | None = None,
    bias_correction: bool = True,
    kl: bool = False,
    root: Literal["eigh", "newton"] = "eigh",
    max_size: int = 1024,
    mask: Mask | None = None,
    stagger: bool = False,
) -> GradientTransformationExtraArgs:
    """Shampoo: multiply each axis of the gradient by an inverse root of the statistics of that axis.

        Lᵢ ← decay·Lᵢ + (1−decay)·⟨g, g⟩       over all axes but i; with a decay of 1 they are summed up
        L̂ᵢ = Lᵢ / (1−decayᵗ)
        at t = start, and then whenever `every` divides t: Pᵢ = (L̂ᵢ + eps·I)^(−exponent)
        u = inner(g) ×₁ P₁ ×₂ P₂ ...

    The exponent is 1/(2·axes), axes of size 1 not counted: ¼ for a matrix and ½ for a vector, whose one statistic is g·gᵀ. A
    scalar has no axis, and is what `inner` makes of it.

    The size of u says little; `grafted` gives it that of another optimizer, as in `distributed_shampoo`. `in_eigenbasis` is
    SOAP's way to use the same statistics.

    Statistics and roots are float32 at least, products of the highest precision. A root that is not finite is not taken: the
    old one stays, at first the identity. Meta-gradients take roots for constants.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`. Each device works on whole arrays.

    Args:
      inner: what makes of the gradient what is multiplied, such as `ema(0.9)`; by default the gradient itself.
      decay: of the statistics; 1 for their sum.
      eps: added to the diagonal of the statistics.
      every: steps from one change of the roots to the next.
      start: the step, counted from 1, of the first roots; by default `every`.
      exponent: another exponent, for all or by the number of axes, such as {2: 0.5}.
      bias_correction: whether to divide the statistics by the weight accumulated so far.
      kl: whether the statistics of an axis are those of g multiplied by the roots of the other axes (KL-Shampoo).
      root: how roots are computed: "eigh", of eigenvalues, or "newton", by products alone (`matrix_inverse_pth_root`), for
        devices on which eigenvalues are slow. Of complex matrices it is always "eigh".
      max_size: a longer axis is cut into blocks of so many entries, which have statistics of their own.
      mask: which leaves have statistics, a tree of bools or a function that makes one; the others are what `inner` makes of
        them. By default all, vectors too.
      stagger: whether leaf i of n changes its roots i·every/n steps early, so that only the first change is of all at once. It
        takes longer to compile.

    Raises:
      ValueError: a number is out of its range, a word is another one, or "newton" has an exponent that is not 1/(an integer).

    Conventions:
      Those of facebook's Distributed Shampoo, where eigenvalues that rounding cannot tell from 0 are raised to that rounding.

    References:
      Gupta, Koren and Singer, Shampoo: Preconditioned Stochastic Tensor Optimization, 2018, https://arxiv.org/abs/1802.09568
      Shi et al., A Distributed Data-Parallel PyTorch Implementation of the Distributed Shampoo Optimizer, 2023,
        https://arxiv.org/abs/2309.06497
      Lin et al., Understanding and Improving Shampoo and SOAP via Kullback-Leibler Minimization, 2025,
        https://arxiv.org/abs/2509.03378
    """
    inner = with_extra_args_support(identity() if inner is None else inner)
    first = every if start is None else start
    if mask is not None:
        check_mask(mask)
    for given in exponent.values() if isinstance(exponent, Mapping) else (exponent,):
        _check_exponent(given, root)

    @tree.lift
    def bounded(g):
        return squarable(g)

    @tree.lift(like="statistics", same_shapes=False)
    def accumulate(g, statistics, roots):
        whole = whole_leaf(g)
        weight = jnp.where(decay == 1, 1.0, 1 - decay)

        def mean(block: jax.Array, axis: int, old: Squares, block_roots: Squares) -> jax.Array:
            if whole.shape[axis] < 2 or not whole.size:
                return old[axis]
            seen = times_others(block, list(map(_from_the_left, block_roots)), axis) if kl else block
            return accumulated(old[axis], gram(seen, axis), decay, weight)

        def of_block(block: jax.Array, old: Squares, block_roots: Squares) -> Squares:
            return tuple(mean(block, axis, old, block_roots) for axis in range(block.ndim))

        return (tuple(map(of_block, cut(whole, max_size), statistics, roots)),)  # one result, which is many arrays

    @tree.lift(like="roots", same_shapes=False)
    def next_roots(g, statistics, roots, due, *, weight):
        shape = whole_shape(g)
        power = _exponent(exponent, shape)

        def of_axis(size: int, matrix: jax.Array, old: jax.Array) -> jax.Array:
            if size < 2 or 0 in shape:
                return old
            return _inverse_root(jax.lax.stop_gradient(matrix) / weight, power, eps, root, old)

        def renewed() -> tuple[Squares, ...]:
            return tuple(tuple(map(of_axis, shape, *block)) for block in zip(statistics, roots, strict=True))

        return (run_for_leaf(due, renewed, lambda: roots, stagger),)

    @tree.lift(like="u", same_shapes=False)
    def precondition(u, roots):
        whole = whole_leaf(u)
        blocks = zip(cut(whole, max_size), roots, strict=True)
        products = [times(block, list(map(_from_the_left, block_roots))) for block, block_roots in blocks]
        return part_of_leaf(joined(products, whole.shape, max_size), u)

    def init(params: Params) -> ScaleByShampooState:
        zeros = tree.moment_like(params)
        own = mask_out(_preconditioned_leaves(mask, zeros), zeros)

        def squares(diagonal: float) -> Any:
            def of_leaf(zero: jax.Array) -> tuple[Squares, ...]:
                return tuple(diagonal_squares(zero, sizes, diagonal) for sizes in _sizes_of_blocks(whole_shape(zero), max_size))

            return tree.map_leaves(of_leaf, own)

        return ScaleByShampooState(jnp.zeros((), jnp.int32), squares(0.0), squares(1.0), inner.init(params))

    @tells(precise=("statistics", "roots"))
    @forwards_to(inner, changes_updates=True)
    @compiled
    def update(updates: Updates, state: ScaleByShampooState, params: Params | None = None, **extra_args: Any):
        with mismatch.explaining(g=updates):
            wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        gradients = bounded(wide)
        directions, inner_state = inner.update(gradients, state.inner_state, params, **extra_args)
        where = _preconditioned_leaves(mask, wide)
        own, count = mask_out(where, gradients), safe_increment(state.count)
        if not jax.tree.leaves(own):
            return tree.cast_like(directions, updates), state._replace(count=count, inner_state=inner_state)
        (statistics,) = accumulate(own, state.statistics, state.roots)
        due = due_leaves(own, count, every, stagger, also=count == first)
        due = jax.tree.map(lambda each: each & (count >= first), due)
        weight = jnp.where(decay == 1, 1.0, debias(decay, count)) if bias_correction else 1.0

        def renewed() -> Any:
            (roots,) = next_roots(own, statistics, state.roots, due, weight=weight)
            return roots

        roots = jax.lax.cond(any_of(due), renewed, lambda: state.roots)
        # As they lay: the compiler lays out what is made of whole arrays as it likes.
        statistics, roots = jax.tree.map(kept_like, (state.statistics, state.roots), (statistics, roots))
        scaled = fill_masked(where, precondition(mask_out(where, directions), roots), directions)
        scaled = tree.map_leaves(kept_like, wide, scaled)
        return tree.cast_like(scaled, updates), ScaleByShampooState(count, statistics, roots, inner_state)

    return GradientTransformationExtraArgs(init, update)


def _preconditioned_leaves(mask: Mask | None, like: Any) -> Any:
    if mask is None:
        return jax.tree.map(lambda x: jnp.ndim(x) > 0, as_whole(like))
    return evaluate_mask(mask, like)


def _sizes_of_blocks(shape: Sequence[int], max_size: int) -> list[tuple[int, ...]]:
    """The sizes of the matrices of each block of an array."""
    if 0 in shape:
        return [(1,) * len(shape)]
    return [block.shape for block in jax.eval_shape(lambda: cut(jnp.zeros(shape), max_size))]


def _from_the_left(root: jax.Array) -> jax.Array:
    """What `times`, which multiplies from the right, is given for a product from the left."""
    return root.mT


# --- roots ------------------------------------------------------------------------------------------------------------


def _check_exponent(exponent: float | None, root: str) -> None:
    if exponent is None:
        return
    require.in_range("exponent", exponent, require.POSITIVE)
    if root == "newton" and not float(1 / exponent).is_integer():
        raise unnamed(ValueError, f'root="newton" takes exponents such as 1/2 and 1/4, got {exponent!r}; write root="eigh".')


def _exponent(given: float | Mapping[int, float] | None, shape: Sequence[int]) -> float:
    """The exponent of the roots of an array; axes of size 1 do not count."""
    axes = max(1, sum(size > 1 for size in shape))
    if isinstance(given, Mapping):
        return given.get(axes, 1 / (2 * axes))
    return 1 / (2 * axes) if given is None else given


def _inverse_root(statistics: jax.Array, exponent: float, eps: Any, root: str, old: jax.Array) -> jax.Array:
    """(L + eps·I)^(−exponent), and the old one where that is not finite."""
    scaled, unit = in_units(statistics)
    of = _by_newton if root == "newton" and not jnp.iscomplexobj(scaled) else _by_eigenvalues
    new = of(scaled, unit, exponent, eps)
    return jnp.where(jnp.all(jnp.isfinite(new)) & jnp.isfinite(unit), new, old)


def _by_eigenvalues(scaled: jax.Array, unit: jax.Array, exponent: float, eps: Any) -> jax.Array:
    eigenvalues, vectors = jnp.linalg.eigh(scaled)
    # Rounding makes those that are 0 this large, some of them below 0.
    rounding = jnp.finfo(eigenvalues.dtype).eps * jnp.max(eigenvalues)
    powers = (jnp.maximum(eigenvalues, rounding) * unit + eps) ** -exponent
    return jnp.matmul(vectors * powers[None, :], jnp.conj(vectors.mT), precision=_HIGHEST)


def _by_newton(scaled: jax.Array, unit: jax.Array, exponent: float, eps: Any) -> jax.Array:
    inverse = round(1 / exponent)
    damped = scaled + eps / jnp.where(unit > 0, unit, 1) * jnp.eye(len(scaled), dtype=scaled.dtype)
    new, error = matrix_inverse_pth_root(damped, inverse)
    return jnp.where(error < 0.1, new * jnp.where(unit > 0, unit, 1) ** -exponent, jnp.nan)
