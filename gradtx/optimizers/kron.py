"""PSGD Kron (Li 2018, 2022): a preconditioner that whitens gradients, a factor for each axis, learnt step by step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import numerics, tree
from gradtx.compiled import compiled, run_if
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    at_step,
    chain,
    factory,
    tells,
)
from gradtx.numerics import Count, abs_sq, in_dtype, safe_increment, safe_sqrt
from gradtx.require import AT_LEAST_ONE, LIMIT, POSITIVE, Range
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree import mismatch
from gradtx.tree.axis_statistics import in_units, part_of_leaf, whole_leaf
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.kron_factors import balanced, first_factors, preconditioned, renewed
from gradtx.tree.layout import kept_like
from gradtx.tree.masks import Mask
from gradtx.tree.randomness import as_key, one_key, split_key
from gradtx.tree.scopes import as_whole, whole_shape

PROBABILITY = Range(low=0, high=1)
_DAMPING = 2.0**-11.5  # √ε of float32, whatever the dtype


class ScaleByKronState(NamedTuple):
    """Steps taken, key of the next noise, mean of the gradients, and factors of each axis of a leaf."""

    count: Count
    rng_key: jax.Array
    mu: Updates
    factors: Updates


@factory(
    factor_rate=POSITIVE,
    update_probability=PROBABILITY,
    balance_probability=PROBABILITY,
    initial_scale=POSITIVE,
    max_size=AT_LEAST_ONE,
    max_rms=LIMIT,
)
def scale_by_kron(
    b1: float = 0.9,
    *,
    factor_rate: float = 0.1,
    update_probability: ScalarOrSchedule | None = None,
    balance_probability: float = 0.01,
    initial_scale: float = 1.0,
    max_size: int = 8192,
    one_diagonal: bool = False,
    max_rms: float = 1.1,
    key: jax.Array | int | None = None,
) -> GradientTransformation:
    """PSGD Kron: multiply each axis of the mean gradient by QᵢᵀQᵢ, where the factors Qᵢ learn to whiten it.

        m ← b1·m + (1−b1)·g,  m̂ = m / (1−b1ᵗ)
        with the probability of an update:
            m̂ ← m̂ + √ε·mean|m̂|·V                        V standard normal, ε of float32
            A = m̂ ×₁ Q₁ ×₂ Q₂ ...,  B = V ×₁ Q₁⁻ᵀ ×₂ Q₂⁻ᵀ ...
            Qᵢ ← Qᵢ − factor_rate·triu(Tᵢ − Sᵢ)/ℓ(Tᵢ + Sᵢ)·Qᵢ
                                                          Tᵢ = ⟨A, A⟩, Sᵢ = ⟨B, B⟩ over all axes but i
        u = m̂ ×₁ Q₁ᵀQ₁ ×₂ Q₂ᵀQ₂ ...
        u ← u·min(1, max_rms/rms(u))

    ℓ is a lower bound of the spectral norm. Factors are upper triangular; those of vectors, scalars and long axes are diagonal.

    Factors are float32 at least, products of the highest precision. A factor that would not be finite stays as it is, and so do
    the factors of a leaf whose mean is 0. Meta-gradients take factors for constants.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`. Each device works on whole arrays.

    Args:
      b1: decay of the mean.
      factor_rate: learning rate of the factors.
      update_probability: that of an update of the factors, a number or a schedule; by default 1 for 500 steps, then
        exp(−0.001·(t−500)) down to 0.03.
      balance_probability: that an update also makes the largest entries of the factors of a leaf equal, without which one may
        grow while another shrinks.
      initial_scale: the Kronecker product of the first factors is this multiple of the identity.
      max_size: a longer axis has a diagonal.
      one_diagonal: whether the longest axis of a leaf has a diagonal too (of equal ones the last), which takes less memory.
      max_rms: what the root mean square of an update of a leaf is kept below.
      key: key of the random numbers, or the number to make it from; 0 by default, so that each run draws the same.

    Raises:
      ValueError: a number is out of its range.

    Conventions:
      Those of the authors' package kron-torch: the noise of an update of the factors is in that step's direction too. Axes are
      not merged.

    References:
      Li, Preconditioned Stochastic Gradient Descent, 2015, https://arxiv.org/abs/1512.04202
      Pooladzandi and Li, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, 2024,
        https://arxiv.org/abs/2402.11858
    """
    start = one_key("scale_by_kron", key, None, default=0)
    probability = _published_probability if update_probability is None else update_probability

    @tree.lift
    def average(g, m, *, weight):
        m = b1 * m + (1 - b1) * g
        return m / weight, m

    @tree.lift(like="m factors", same_shapes=False)
    def renew(m, noise, factors, *, balance):
        whole, v = _with_axes(whole_leaf(m)), _with_axes(whole_leaf(noise))
        if not whole.size:
            return m, factors
        scaled, unit = _in_constant_units(whole)
        noised = whole + v * (jnp.mean(jnp.abs(scaled)) * unit * _DAMPING)
        new = renewed(*jax.lax.stop_gradient((noised, v, factors)), factor_rate)
        if len(new) > 1:
            new = jax.lax.cond(balance, balanced, lambda same: same, new)
        return part_of_leaf(noised.reshape(whole_shape(m)), m), new

    @tree.lift(like="m", same_shapes=False)
    def precondition(m, factors):
        whole = _with_axes(whole_leaf(m))
        if not whole.size:
            return m
        scaled, unit = _in_constant_units(whole)
        u = preconditioned(scaled, jax.lax.stop_gradient(factors))
        in_unit, size = _in_constant_units(u)
        rms = size * safe_sqrt(jnp.mean(abs_sq(in_unit)))
        factor = jnp.where(rms > 0, jnp.minimum(unit, max_rms / jnp.where(rms > 0, rms, 1)), unit)
        u = jnp.where(jnp.isfinite(unit), u * factor, jnp.nan)
        return part_of_leaf(u.reshape(whole_shape(m)), m)

    def init(params: Params) -> ScaleByKronState:
        mu = tree.moment_like(params)

        def of_leaf(zero: jax.Array) -> Any:
            return first_factors(zero, whole_shape(zero), max_size, one_diagonal, initial_scale)

        return ScaleByKronState(jnp.zeros((), jnp.int32), as_key(start), mu, tree.map_leaves(of_leaf, mu))

    @tells(precise=("factors",), decays={"mu": ("b1", b1)})
    @compiled
    def update(updates: Updates, state: ScaleByKronState, params: Params | None = None):
        with mismatch.explaining(g=updates):
            wide = tree.map_leaves(lambda g: g.astype(at_least_float32(g.dtype)), updates)
        count = safe_increment(state.count)
        means, mu = average(wide, state.mu, weight=numerics.debias(b1, count))
        next_key, [noise_key, turn_key] = split_key(state.rng_key, start, 3)
        turn, balance = jax.random.uniform(turn_key, (2,), jnp.float32)

        def learnt() -> tuple[Updates, Updates]:
            return renew(
                means, draw_noise(noise_key, means), state.factors, balance=balance < in_dtype(balance_probability, jnp.float32)
            )

        due = turn < in_dtype(at_step(probability, state.count), jnp.float32)
        means, factors = run_if(due, learnt, lambda: (means, state.factors))
        # As they lay: the compiler lays out what is made of whole arrays as it likes.
        factors = jax.tree.map(kept_like, state.factors, factors)
        scaled = tree.map_leaves(kept_like, wide, precondition(means, factors))
        return tree.cast_like(scaled, updates), ScaleByKronState(count, next_key, mu, factors)

    return GradientTransformation(init, update)


@factory(
    factor_rate=POSITIVE,
    update_probability=PROBABILITY,
    balance_probability=PROBABILITY,
    initial_scale=POSITIVE,
    max_size=AT_LEAST_ONE,
    max_rms=LIMIT,
)
def kron(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: float = 0.9,
    weight_decay: float = 0.0,
    mask: Mask | None = None,
    *,
    factor_rate: float = 0.1,
    update_probability: ScalarOrSchedule | None = None,
    balance_probability: float = 0.01,
    initial_scale: float = 1.0,
    max_size: int = 8192,
    one_diagonal: bool = False,
    max_rms: float = 1.1,
    key: jax.Array | int | None = None,
) -> GradientTransformationExtraArgs:
    """PSGD Kron with weight decay and a learning rate.

        u = the mean gradient, whitened by a factor for each axis       see `scale_by_kron`
        Δp = −η·(u + λ·p)

    Args:
      learning_rate: η, a number or a schedule.
      b1: decay of the mean.
      weight_decay: λ.
      mask: what decays, as in `add_decayed_weights`; by default arrays of two axes or more.
      factor_rate, update_probability, balance_probability, initial_scale: as in `scale_by_kron`.
      max_size, one_diagonal, max_rms, key: as in `scale_by_kron`.

    Raises:
      ValueError: a number is out of its range.

    References:
      Li, Preconditioned Stochastic Gradient Descent, 2015, https://arxiv.org/abs/1512.04202
      Pooladzandi and Li, Curvature-Informed SGD via General Purpose Lie-Group Preconditioners, 2024,
        https://arxiv.org/abs/2402.11858
    """
    direction = scale_by_kron(
        b1,
        factor_rate=factor_rate,
        update_probability=update_probability,
        balance_probability=balance_probability,
        initial_scale=initial_scale,
        max_size=max_size,
        one_diagonal=one_diagonal,
        max_rms=max_rms,
        key=key,
    )
    decay = add_decayed_weights(weight_decay, _of_two_axes if mask is None else mask)
    return chain(direction, decay, scale_by_learning_rate(learning_rate))


def draw_noise(key: jax.Array, like: Updates) -> Updates:
    """Return standard normal numbers in a tree of arrays like those of `like`."""
    return tree.random_like(key, like)


def _published_probability(count: jax.Array) -> jax.Array:
    return jnp.clip(jnp.exp(-0.001 * (count.astype(jnp.float32) - 500)), 0.03, 1.0)


def _of_two_axes(params: Params) -> Any:
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, as_whole(params))


def _with_axes(x: jax.Array) -> jax.Array:
    """A scalar as an array of one axis."""
    return x if x.ndim else x[None]


def _in_constant_units(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`in_units` with a unit that derivatives take for a constant: they do not depend on it, and have no largest of zeros."""
    _, unit = in_units(jax.lax.stop_gradient(x))
    return x / jnp.where(unit > 0, unit, 1), unit
