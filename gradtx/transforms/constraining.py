"""Updates that keep to something: nonnegative parameters, zero mean, no NaN, unit norm."""

from typing import NamedTuple

import jax.numpy as jnp

from gradtx import tree
from gradtx.core import EmptyState, GradientTransformation, Params, Updates, factory, init_empty_state, tells
from gradtx.errors import unnamed
from gradtx.tree.along import max_along, size_along, sum_along
from gradtx.tree.holes import map_leaves

NonNegativeParamsState = EmptyState
NormalizeState = EmptyState


class ZeroNansState(NamedTuple):
    """Whether the last update of each leaf had a NaN."""

    found_nan: Updates


@tree.lift
def _keep_params_nonnegative(g, p):
    if jnp.iscomplexobj(p):
        raise unnamed(TypeError, "complex numbers have no order; leave them out with masked(...).")
    return jnp.where(p + g < 0, -p, g)


@tree.lift
def _rounded_up(u, p):
    # −p may have been rounded down, if the updates have fewer digits than the parameters: bfloat16, at the least, has 8.
    return jnp.where((p + u < 0) & (u < 0), u * (1 - 2**-7), u)


@tree.lift
def _centralize(g):
    others = range(1, g.ndim)
    return g - sum_along(g, others, keepdims=True) / size_along(g, others) if g.ndim > 1 and g.size else g


@tree.lift(like="g found", same_shapes=False)
def _zero_nans(g, found):
    nans = jnp.isnan(g)
    return jnp.where(nans, 0, g), max_along(nans.astype(jnp.int32), initial=0) > 0


@tree.lift
def _resized(g, *, norm, wanted):
    return wanted * (g / jnp.where(norm == 0, 1, norm))  # not g·(wanted/norm): the quotient of a large norm vanishes


@factory
def keep_params_nonnegative() -> GradientTransformation:
    """Shorten updates so that no parameter becomes negative: u = max(g, −p). Put it last in the chain.

    Parameters that are not negative stay so; one that is negative moves to 0.
    """

    def update(updates: Updates, state: EmptyState, params: Params):
        return _rounded_up(_keep_params_nonnegative(updates, params), params), state

    return GradientTransformation(init_empty_state, update)


@factory
def centralize() -> GradientTransformation:
    """Gradient centralization: u = g − mean of g over all axes but the first, for arrays of two axes or more.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    References:
      Yong et al., Gradient Centralization: A New Optimization Technique for Deep Neural Networks, 2020,
        https://arxiv.org/abs/2004.01461
    """

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return _centralize(updates), state

    return GradientTransformation(init_empty_state, update)


@factory
def zero_nans() -> GradientTransformation:
    """Replace each NaN by 0, and say in the state which leaves had one.

    It hides what has gone wrong; `apply_if_finite` leaves out the whole step, and counts.
    """

    def init(params: Params) -> ZeroNansState:
        return ZeroNansState(map_leaves(lambda p: jnp.array(False), params))

    def update(updates: Updates, state: ZeroNansState, params: Params | None = None):
        updates, found = _zero_nans(updates, state.found_nan)
        return updates, ZeroNansState(found)

    return GradientTransformation(init, update)


@factory
def normalize_by_update_norm(scale_factor: float = 1.0, eps: float = 1e-6) -> GradientTransformation:
    """Give all updates together a norm: u = scale_factor · g / (‖g‖ + eps).

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.

    Args:
      scale_factor: the norm of the result.
      eps: added to the norm.
    """

    @tells(norm_of_all=True)
    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return _resized(updates, norm=tree.norm(updates) + eps, wanted=scale_factor), state

    return GradientTransformation(init_empty_state, update)


@factory
def normalize() -> GradientTransformation:
    """Give all updates together the norm 1: u = g / ‖g‖. Where all are 0 they stay 0.

    Inside of `shard_map`, on parts of the parameters, it needs `per_shard`.
    """

    def update(updates: Updates, state: EmptyState, params: Params | None = None):
        return _resized(updates, norm=tree.norm(updates), wanted=1.0), state

    return GradientTransformation(init_empty_state, update)
