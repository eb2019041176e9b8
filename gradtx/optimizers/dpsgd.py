"""Differentially private gradients (Abadi et al. 2016), and the clipping of single examples' gradients."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree
from gradtx.core import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Params,
    ScalarOrSchedule,
    Updates,
    chain,
    factory,
    identity,
)
from gradtx.errors import names_errors, unnamed
from gradtx.require import NONNEGATIVE, POSITIVE
from gradtx.transforms.momentum import trace
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.tree.randomness import as_key, one_key, split_key
from gradtx.tree.scopes import Place, batch_axes, devices_along, own_key, places_of


class DifferentiallyPrivateAggregateState(NamedTuple):
    """Key of the next noise: its integers, or in states of Optax a typed key."""

    rng_key: jax.Array


@names_errors
def per_example_global_norm_clip(grads: Updates, l2_norm_clip: float) -> tuple[Updates, jax.Array]:
    """DP-SGD's clipping: clip the gradient of each example to a norm, and sum them.

        Σᵢ gᵢ · min(1, l2_norm_clip / ‖gᵢ‖)

    Args:
      grads: a tree of arrays whose leading axis is that of the examples.
      l2_norm_clip: the largest norm of the gradient of an example.

    Returns:
      The sum, and how many gradients were clipped (an int32 scalar).

    Raises:
      ValueError: leaves have no leading axis of one size.

    References:
      Abadi et al., Deep Learning with Differential Privacy, 2016, https://arxiv.org/abs/1607.00133
    """
    _number_of_examples(grads)
    total, norms = _clipped_sums(grads, l2_norm_clip)
    return jax.tree.map(_in_its_dtype, total, grads), jnp.sum(norms > l2_norm_clip, dtype=jnp.int32)


@names_errors
def per_example_layer_norm_clip(grads: Updates, global_l2_norm_clip: float, uniform: bool = True) -> tuple[Updates, Updates]:
    """DP-SGD's clipping by layers: clip each example's gradient leaf by leaf, within one norm for all leaves, and sum them.

        Cₗ = C / √(number of leaves), or without `uniform` C·√(size of the leaf / size of all)

    Args:
      grads: a tree of arrays whose leading axis is that of the examples.
      global_l2_norm_clip: C, the largest norm of the gradient of an example.
      uniform: whether all leaves have the same share.

    Returns:
      The sums, and for each leaf how many gradients were clipped (int32 scalars).

    Raises:
      ValueError: leaves have no leading axis of one size.

    References:
      McMahan et al., Learning Differentially Private Recurrent Language Models, 2018, https://arxiv.org/abs/1710.06963
    """
    _number_of_examples(grads)
    leaves, structure = jax.tree.flatten(grads)
    sizes = [math.prod(g.shape[1:]) for g in leaves]
    shares = [1 / len(leaves) if uniform else size / sum(sizes) for size in sizes]
    limits = [global_l2_norm_clip * share**0.5 for share in shares]
    norms = [jax.vmap(tree.norm)(g) for g in leaves]
    sums = [_in_its_dtype(_clipped_sum(*each), each[0]) for each in zip(leaves, norms, limits, strict=True)]
    clipped = [jnp.sum(norm > limit, dtype=jnp.int32) for norm, limit in zip(norms, limits, strict=True)]
    return structure.unflatten(sums), structure.unflatten(clipped)


@factory(l2_norm_clip=POSITIVE, noise_multiplier=NONNEGATIVE)
def differentially_private_aggregate(
    l2_norm_clip: float, noise_multiplier: float, key: jax.Array | int | None = None, *, seed: int | None = None
) -> GradientTransformation:
    """DP-SGD's aggregation: clip the gradient of each example, add Gaussian noise to their sum, and divide by their number.

        u = 1/n · ( Σᵢ gᵢ·min(1, C/‖gᵢ‖) + N(0, (C·noise_multiplier)²) )

    It takes gradients with a leading axis for the examples, as `jax.vmap(jax.grad(loss), (None, 0))` gives, and returns updates
    of the shape of the parameters: nothing but this may come first in the chain.

    To accumulate k batches, clip, sum, and then add the noise once. (`MultiSteps` after this has noise from each batch, of k
    times the variance in all.)

        sums = [per_example_global_norm_clip(grads, C)[0] for grads in batches]
        total = jax.tree.map(lambda *each: sum(each), *sums)
        noise = gradtx.tree.random_like(key, total)
        u = jax.tree.map(lambda g, z: (g + C * noise_multiplier * z) / n, total, noise)        n: examples in all batches

    Inside of `shard_map` it needs `per_shard`, also where examples alone are split: each device would add noise of its own.

    Args:
      l2_norm_clip: C, the largest norm of the gradient of an example.
      noise_multiplier: standard deviation of the noise, relative to C.
      key: key of the random numbers, or the number to make it from.
      seed: another word for `key`, a number; give one of the two.

    Raises:
      ValueError: neither `key` nor `seed` is given, or both are; from `update`, leaves have no leading axis of one
        size, or the batch is empty.

    References:
      Abadi et al., Deep Learning with Differential Privacy, 2016, https://arxiv.org/abs/1607.00133
    """
    start = one_key("differentially_private_aggregate", key, seed)
    deviation = l2_norm_clip * noise_multiplier

    @tree.lift
    def rule(u, noise, *, examples):
        return (u + deviation * noise) / examples

    def init(params: Params) -> DifferentiallyPrivateAggregateState:
        tree.moment_like(params)  # refuses what has no gradient
        return DifferentiallyPrivateAggregateState(as_key(start))

    def update(updates: Updates, state: DifferentiallyPrivateAggregateState, params: Params | None = None):
        examples = _number_of_examples(updates)
        if not examples:
            raise unnamed(ValueError, "a batch needs one example at least, got none.")
        total, _ = _clipped_sums(updates, l2_norm_clip)
        if devices := batch_axes(updates):
            total, examples = jax.lax.psum(total, devices), examples * devices_along(devices)
        leaves, structure = jax.tree.flatten(total)
        next_key, keys = split_key(state.rng_key, start, len(leaves) + 1)
        keys = map(own_key, keys, places_of(total) or [Place()] * len(leaves))
        noise = structure.unflatten(jax.random.normal(k, g.shape, g.dtype) for k, g in zip(keys, leaves, strict=True))
        private = rule(total, noise, examples=float(examples))
        return tree.cast_like(private, updates), DifferentiallyPrivateAggregateState(next_key)

    return GradientTransformation(init, update)


def _clipped_sums(grads: Updates, limit: float) -> tuple[Updates, jax.Array]:
    """The sum of the clipped gradients, in float32 at least, and the norm of each of them."""
    norms = jax.vmap(tree.norm)(grads) if jax.tree.leaves(grads) else jnp.zeros(0)
    return jax.tree.map(lambda g: _clipped_sum(g, norms, limit), grads), norms


def _in_its_dtype(total: jax.Array, g: jax.Array) -> jax.Array:
    """The sum in the dtype of the gradients, but for integers, of which clipping makes fractions."""
    return total.astype(g.dtype) if jnp.issubdtype(g.dtype, jnp.inexact) else total


def _clipped_sum(g: jax.Array, norms: jax.Array, limit: float) -> jax.Array:
    """Σᵢ gᵢ·min(1, limit/‖gᵢ‖) over the leading axis."""
    # A gradient of zeros is not divided by its norm, also in the branch not taken.
    factors = jnp.where(norms > limit, limit / jnp.where(norms == 0, 1, norms), 1)
    with jax.numpy_dtype_promotion("standard"):  # complex gradients have real norms
        # In the full precision of float32: a GPU that rounds the products would break the bound on each gradient.
        wide = jnp.result_type(factors, g)
        return jnp.einsum("i,i...->...", factors, g, precision=jax.lax.Precision.HIGHEST, preferred_element_type=wide)


def _number_of_examples(grads: Updates) -> int:
    leaves = jax.tree.leaves(grads)
    sizes = {g.shape[:1] for g in leaves} or {(1,)}
    if len(sizes) > 1 or () in sizes:
        shapes = ", ".join(str(g.shape) for g in leaves[:5])
        raise unnamed(ValueError, f"all gradients must have a leading axis of one size for the examples, got shapes {shapes}.")
    ((examples,),) = sizes
    return examples


@factory(l2_norm_clip=POSITIVE, noise_multiplier=NONNEGATIVE)
def dpsgd(
    learning_rate: ScalarOrSchedule,
    l2_norm_clip: float,
    noise_multiplier: float,
    key: jax.Array | int | None = None,
    momentum: float | None = None,
    nesterov: bool = False,
    *,
    seed: int | None = None,
) -> GradientTransformationExtraArgs:
    """DP-SGD: SGD on clipped and noised gradients of single examples, which come with a leading axis for the examples.

        Δp = −η·u, or with `momentum` −η·(sum of u with that decay)        u of `differentially_private_aggregate`

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      learning_rate: η, a number or a schedule.
      l2_norm_clip, noise_multiplier, key, seed: as in `differentially_private_aggregate`.
      momentum, nesterov: as in `sgd`.

    References:
      Abadi et al., Deep Learning with Differential Privacy, 2016, https://arxiv.org/abs/1607.00133
    """
    return chain(
        differentially_private_aggregate(l2_norm_clip, noise_multiplier, key, seed=seed),
        identity() if momentum is None else trace(momentum, nesterov),
        scale_by_learning_rate(learning_rate),
    )
