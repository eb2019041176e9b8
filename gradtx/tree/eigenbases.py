"""Eigenvectors of the statistics of axes: how they are made, and coordinates in them."""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp

from gradtx.tree.axis_statistics import Squares, in_units, is_used, times

_HIGHEST = jax.lax.Precision.HIGHEST


def rotated(x: jax.Array, bases: Sequence[jax.Array]) -> jax.Array:
    """Return the coordinates of x in the bases of its axes."""
    return times(x, [jnp.conj(basis) for basis in bases])


def rotated_back(x: jax.Array, bases: Sequence[jax.Array]) -> jax.Array:
    """Return the array that has the coordinates x."""
    return times(x, [basis.mT for basis in bases])


def whitening(statistics: jax.Array, basis: jax.Array) -> jax.Array:
    """Return what `times` rotates an axis by into its basis, divided by the roots of the eigenvalues there.

    Eigenvalues below a millionth of the largest count as that.
    """
    if not is_used(basis):
        return basis
    eigenvalues = _along(statistics, basis)
    largest = jnp.max(eigenvalues)
    floored = jnp.maximum(eigenvalues, 1e-6 * largest)
    return jnp.conj(basis) / jnp.sqrt(jnp.where(largest > 0, floored, 1))[None, :]


def identity_like(basis: jax.Array) -> jax.Array:
    """Return the order of a basis that stays, as a permutation."""
    return jnp.eye(len(basis), dtype=basis.dtype)


def eigenvectors(statistics: jax.Array, old: jax.Array, descending: bool) -> tuple[jax.Array, jax.Array]:
    """Return the eigenvectors of statistics in the order of their eigenvalues, and the descending order of the old ones."""
    if not is_used(old):
        return old, old
    scaled, _ = in_units(statistics)
    _, vectors = jnp.linalg.eigh(scaled)
    return _finite_or_old(vectors[:, ::-1] if descending else vectors, scaled, old)


def iterated(statistics: jax.Array, old: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return one step of the power iteration from the old basis, and the order that it was put into for that."""
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
    return jnp.where(usable, vectors, old), identity_like(old)[:, order]


def constant(pairs: Iterable[tuple[jax.Array, jax.Array]]) -> tuple[Squares, Squares]:
    """Return bases and orders, each together, without derivatives, which are infinite where eigenvalues are equal."""
    bases, orders = zip(*jax.lax.stop_gradient(list(pairs)), strict=True)
    return bases, orders
