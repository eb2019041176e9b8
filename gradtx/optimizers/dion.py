"""Dion (Ahn et al. 2025): orthogonal updates of low rank, with Adam for what is not a matrix."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    chain,
    factory,
    tells,
)
from gradtx.errors import unnamed
from gradtx.numerics import abs_sq, adjoint, safe_sqrt
from gradtx.optimizers.adam import scale_by_adam
from gradtx.optimizers.muon import MuonDimensionNumbers, for_matrices, scale_by_matrix_shape, stepping
from gradtx.require import DECAY, NONNEGATIVE
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import all_gathered, kept_like, reshard_like
from gradtx.tree.masks import Mask
from gradtx.tree.matrices import as_matrices, from_matrices, numbers_of, same_on_all_devices
from gradtx.tree.randomness import as_key, one_key, split_key
from gradtx.tree.scopes import nothing_placed, places_of

_HIGHEST = jax.lax.Precision.HIGHEST


class DionState(NamedTuple):
    """Sum of the gradients less what was applied of it, and of each matrix the directions of its inputs, (inputs, rank)."""

    mu: Updates
    factors: Updates


@factory
def scale_by_dion(
    rank: float = 0.25,
    decay: float = 0.95,
    eps: float = 1e-8,
    key: jax.Array | int | None = None,
    *,
    seed: int | None = None,
    weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformation:
    """Dion's update: momentum, orthogonalized in a few directions, which one step of the power iteration follows.

        M ← M + g
        P = qr(MᵀQ)              Q of the step before, at first random normal
        R = M·P
        M ← M − (1−decay)·R·Pᵀ   error feedback: what P does not see stays whole
        Q ← R / (‖columns of R‖ + eps)
        u = Q·Pᵀ

    A step is two products of M with a thin matrix and one QR decomposition of another; `scale_by_muon` needs all directions.
    If M has fewer directions than `rank`, as that of one example, the others are made of rounding, and u is of full norm there.
    Meta-gradients take P for a constant.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`. There and on explicit meshes each device has
    M whole while it computes.

    Args:
      rank: how many directions, an integer, at most all; or their share of the smaller side, a float up to 1.0, rounded up.
      decay: what is left of M, after a step, in the directions of the step.
      eps: keeps what is divided by above 0.
      key: key of the first Q, or the number to make it from; 0 by default, so that each run draws the same.
      seed: another word for `key`, a number.
      weight_dimension_numbers: which axes are inputs and outputs; see `scale_by_muon`. All that it sees must be matrices: leave
        the others to another transformation by `masked` or `partition`, as `dion` does.

    Conventions:
      M and u are (inputs, outputs); the authors' are (outputs, inputs). M is a sum, not a mean. Their factor of u,
      √(outputs/inputs), is that of `scale_by_matrix_shape(shape_factor="scion")`. A column of R that is 0 leaves that of Q as
      it was, so that gradients of 0 do not end all directions; so does one that is not finite.

    Raises:
      ValueError: `rank` is neither; both `key` and `seed` are given; an array has other axes than said.

    References:
      Ahn et al., Dion: Distributed Orthonormalized Updates, 2025, https://arxiv.org/abs/2504.05295
    """
    _check_rank(rank)
    start = one_key("scale_by_dion", key, seed, default=0)

    @tree.lift(like="m m q", same_shapes=False)
    def rule(m, q):
        u, rest, q = _step(all_gathered(m), q, decay, eps)
        return reshard_like(m, u), reshard_like(m, rest), q

    @tree.lift
    def accumulate(g, m):
        return m + g

    @tree.lift(like="m")
    def replace(rest, m):
        return rest

    def init(params: Params) -> DionState:
        mu = tree.moment_like(params)
        numbers = numbers_of(weight_dimension_numbers, mu, MuonDimensionNumbers())
        leaves, structure = jax.tree.flatten(as_matrices(mu, numbers))
        _, [first] = split_key(as_key(start), start)
        keys = jax.random.split(first, max(1, len(leaves)))
        with nothing_placed():
            factors = [_random(one, all_gathered(x), rank) for one, x in zip(keys, leaves, strict=False)]
        return DionState(mu, same_on_all_devices(structure.unflatten(factors), mu, places_of(mu)))

    @tells(whole_matrices=True)
    def update(updates: Updates, state: DionState, params: Params | None = None):
        wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        sums = accumulate(wide, state.mu)
        numbers = numbers_of(weight_dimension_numbers, sums, MuonDimensionNumbers())
        matrices = as_matrices(sums, numbers)
        with nothing_placed():
            u, rest, factors = rule(matrices, state.factors)
        laid_out = jax.tree.map(kept_like, state.factors, same_on_all_devices(factors, sums, places_of(sums)))
        new_state = DionState(replace(from_matrices(rest, sums, numbers), state.mu), laid_out)
        return tree.cast_like(from_matrices(u, sums, numbers), updates), new_state

    return GradientTransformation(init, update)


def _check_rank(rank: float) -> None:
    """Raise `ValueError` unless it is a number of directions or a share of them."""
    if isinstance(rank, bool) or (rank < 1 if isinstance(rank, int) else not 0 < rank <= 1):
        raise unnamed(ValueError, f"rank must be an integer of at least 1, or a float above 0 and at most 1, got {rank!r}.")


def _random(key: jax.Array, matrix: jax.Array, rank: float) -> jax.Array:
    """The first Q of matrices."""
    *batch, inputs, outputs = matrix.shape
    smaller = min(inputs, outputs)
    directions = min(rank, smaller) if isinstance(rank, int) else math.ceil(rank * smaller)
    # Drawn in 32 bits, so that it is the same in wider dtypes.
    dtype = jnp.complex64 if jnp.iscomplexobj(matrix) else jnp.float32
    return jax.random.normal(key, (*batch, inputs, directions), dtype).astype(matrix.dtype)


def _step(m: jax.Array, q: jax.Array, decay: float, eps: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The update of matrices, what is left of their sums, and the next Q."""
    if not m.size:
        return m, m, q
    # In units of the largest entry, where no square overflows or vanishes; P does not depend on the unit.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(m), axis=(-2, -1), keepdims=True))
    unit = jnp.where(largest == 0, 1, largest)
    scaled = m / unit
    # LAPACK need not end on what is not finite: then the update is NaN, as `scaled` is.
    seen = jnp.where(jnp.isfinite(scaled), scaled, 0)
    p = jax.lax.stop_gradient(jnp.linalg.qr(_product(adjoint(seen), q))[0])
    r = _product(scaled, p)
    norms = safe_sqrt(jnp.sum(abs_sq(r), axis=-2, keepdims=True))
    new = r / jnp.maximum(norms + eps / unit, jnp.finfo(norms.dtype).tiny)  # zeros stay zeros
    rest = m - (1 - decay) * unit * _product(r, adjoint(p))
    usable = jnp.all(jnp.isfinite(new), axis=-2, keepdims=True) & jnp.any(new != 0, axis=-2, keepdims=True)
    return _product(new, adjoint(p)), rest, jnp.where(usable, new, q)


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(x, y, precision=_HIGHEST)


@factory(
    adam_b1=DECAY,
    adam_b2=DECAY,
    adam_eps=NONNEGATIVE,
    adam_weight_decay=NONNEGATIVE,
    adam_learning_rate=NONNEGATIVE,
)
def dion(
    learning_rate: ScalarOrSchedule,
    rank: float = 0.25,
    decay: float = 0.95,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.01,
    weight_decay_mask: Mask | None = None,
    key: jax.Array | int | None = None,
    *,
    seed: int | None = None,
    adam_b1: float = 0.9,
    adam_b2: float = 0.999,
    adam_eps: float = 1e-8,
    adam_weight_decay: ScalarOrSchedule = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Any | Callable[[Params], Any] | None = None,
) -> GradientTransformationExtraArgs:
    """Dion: orthogonal updates of low rank, with error feedback; parameters that are not matrices use AdamW.

        u = Q·Pᵀ of the momentum, of `rank` directions            see `scale_by_dion`
        Δp = −η·(√(outputs/inputs)·u + weight_decay·p)

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      rank, decay, eps, key, seed: as in `scale_by_dion`.
      weight_decay, weight_decay_mask: of the matrices; see `add_decayed_weights`.
      adam_b1, adam_b2, adam_eps: `b1`, `b2` and `eps` of `scale_by_adam`.
      adam_weight_decay, adam_learning_rate: those of parameters that are not matrices; the learning rate is η by default.
      muon_weight_dimension_numbers: which parameters are matrices, and of which axes; see `muon`.

    Conventions:
      Matrices are (inputs, outputs), as in Flax; the authors' are PyTorch's (outputs, inputs), for which
      `MuonDimensionNumbers(1, 0)` is to be given.

    Raises:
      ValueError: as `scale_by_dion`.

    References:
      Ahn et al., Dion: Distributed Orthonormalized Updates, 2025, https://arxiv.org/abs/2504.05295
    """
    start = one_key("dion", key, seed, default=0)

    def matrices(numbers: Callable[[Any], Any]) -> Transformation:
        return chain(
            scale_by_dion(rank, decay, eps, start, weight_dimension_numbers=numbers),
            scale_by_matrix_shape(numbers, shape_factor="scion"),
            add_decayed_weights(weight_decay, weight_decay_mask),
            scale_by_learning_rate(learning_rate),
        )

    direction = scale_by_adam(adam_b1, adam_b2, adam_eps)
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    others = stepping(direction, adam_weight_decay, weight_decay_mask, rate)
    return for_matrices(matrices, others, muon_weight_dimension_numbers)
