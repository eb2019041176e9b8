"""Factors of PSGD's Kronecker preconditioner: an upper-triangular matrix for each axis of a leaf, or a diagonal."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.numerics import clipped_to_finite
from gradtx.tree.axis_statistics import accumulated, gram, in_units
from gradtx.tree.layout import all_gathered

_HIGHEST = jax.lax.Precision.HIGHEST

Factors: TypeAlias = tuple[jax.Array, ...]
"""For each axis of an array a matrix, or a vector: the diagonal of one. A scalar has one axis of size 1."""


def first_factors(zero: jax.Array, shape: Sequence[int], max_size: int, one_diagonal: bool, scale: Any) -> Factors:
    """Return multiples of the identity whose Kronecker product is scale·I.

    Args:
      zero: the leaf, or what has its dtype and lies where it lies.
      shape: of the whole leaf.
      max_size: a longer axis has a diagonal.
      one_diagonal: whether the longest axis has one too, of equal ones the last.
      scale: the number.
    """
    sizes = [1] if not shape or 0 in shape else list(shape)
    longest = max(range(len(sizes)), key=lambda axis: (sizes[axis], axis))

    def factor(axis: int, size: int) -> jax.Array:
        is_diagonal = len(sizes) < 2 or size == 1 or size > max_size or (one_diagonal and axis == longest)
        start = tree.full_of_shape(all_gathered(zero), (size,) if is_diagonal else (size, size))
        ones = jnp.ones(size, start.dtype) if is_diagonal else jnp.eye(size, dtype=start.dtype)
        # The sum only: a factor is the same on all devices if nothing is known to differ.
        return accumulated(start, ones, 1.0, scale ** (1 / len(sizes)))

    return tuple(factor(axis, size) for axis, size in enumerate(sizes))


def whitened(x: jax.Array, factors: Factors) -> jax.Array:
    """Return Q·x: each axis multiplied by its factor from the left."""
    return _along_axes(x, factors, transposed=False)


def preconditioned(x: jax.Array, factors: Factors) -> jax.Array:
    """Return Qᴴ·Q·x."""
    return _along_axes(whitened(x, factors), factors, transposed=True)


def renewed(x: jax.Array, noise: jax.Array, factors: Factors, rate: Any) -> Factors:
    """Return the factors after one step towards those that whiten x; of an x of zeros, which tells nothing, the same.

    Both statistics are taken in one unit, as their quotient is all that counts: squares of 1e30 have no place in float32.
    """
    scaled, unit = in_units(x)
    a, b = whitened(scaled, factors), _solved(noise, factors)
    size_of_a, size_of_b = jnp.max(jnp.abs(a)), jnp.max(jnp.abs(b))
    largest = jnp.maximum(clipped_to_finite(unit * size_of_a), size_of_b)
    a, b = a * (unit / largest), b / largest

    def stepped(axis: int, q: jax.Array) -> jax.Array:
        of_a, of_b = _statistics(a, axis, q), _statistics(b, axis, q)
        bound = _norm_bound(of_a + of_b)
        change = (of_a - of_b) / jnp.where(bound > 0, bound, 1)
        change = change * q if q.ndim == 1 else jnp.matmul(jnp.triu(change), q, precision=_HIGHEST)
        learns = jnp.all(jnp.isfinite(change)) & (unit > 0) & jnp.isfinite(unit)
        return accumulated(q, jnp.where(learns, change, 0), 1.0, -rate)

    return tuple(stepped(axis, q) for axis, q in enumerate(factors))


def balanced(factors: Factors) -> Factors:
    """Return factors of the same product whose largest entries are equal."""
    logs = [jnp.log(jnp.max(jnp.abs(q))) for q in factors]
    mean = sum(logs[1:], logs[0]) / len(logs)
    return tuple(accumulated(q, q, 0.0, jnp.exp(mean - log)) for q, log in zip(factors, logs, strict=True))


def _along_axes(x: jax.Array, factors: Factors, transposed: bool) -> jax.Array:
    """Products from the left with the factors, or with their conjugate transposes."""
    for axis, q in enumerate(factors):
        if q.ndim == 1:
            x = x * _beside(jnp.conj(q) if transposed else q, axis, x.ndim)
        else:
            x = _product(jnp.conj(q) if transposed else q.mT, x, axis)
    return x


def _product(matrix: jax.Array, x: jax.Array, axis: int) -> jax.Array:
    return jnp.moveaxis(jnp.tensordot(x, matrix, axes=(axis, 0), precision=_HIGHEST), -1, axis)


def _solved(x: jax.Array, factors: Factors) -> jax.Array:
    """Q⁻ᴴ·x."""
    for axis, q in enumerate(factors):
        if q.ndim == 1:
            x = x / _beside(jnp.conj(q), axis, x.ndim)
            continue
        first = jnp.moveaxis(x, axis, 0)
        columns = jax.scipy.linalg.solve_triangular(q, first.reshape(len(q), -1), trans="C")
        x = jnp.moveaxis(columns.reshape(first.shape), 0, axis)
    return x


def _statistics(x: jax.Array, axis: int, q: jax.Array) -> jax.Array:
    """⟨x, x⟩ over all axes but one, or its diagonal."""
    if q.ndim == 2:
        return gram(x, axis)
    others = tuple(other for other in range(x.ndim) if other != axis)
    return jnp.sum(x * jnp.conj(x), axis=others)


def _norm_bound(x: jax.Array) -> jax.Array:
    """A lower bound of the spectral norm of a Hermitian matrix, or of a diagonal: one power step from the longest column."""
    if x.ndim == 1:
        return jnp.max(jnp.abs(x))
    scaled, unit = in_units(x)
    longest = jnp.argmax(jnp.sum(jnp.abs(scaled) ** 2, axis=0))
    row = jnp.matmul(jnp.conj(scaled[:, longest]), scaled, precision=_HIGHEST)
    length = jnp.linalg.norm(row)
    image = jnp.matmul(scaled, jnp.conj(row / jnp.where(length > 0, length, 1)), precision=_HIGHEST)
    return jnp.linalg.norm(image) * unit


def _beside(vector: jax.Array, axis: int, ndim: int) -> jax.Array:
    return jnp.expand_dims(vector, [other for other in range(ndim) if other != axis])
