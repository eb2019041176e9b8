"""Sharpness-aware minimization (Foret et al. 2021)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import require, tree
from gradtx.compiled import compiled, keep_dtypes
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    tells,
    with_extra_args_support,
)
from gradtx.numerics import Count
from gradtx.update import apply_updates


class SAMState(NamedTuple):
    """Ascents since the last descent, the states of both optimizers, and where the ascent began (None in opaque mode)."""

    steps_since_sync: Count
    opt_state: OptState
    adv_state: OptState
    cache: Params | None


@factory(sync_period=require.AT_LEAST_ONE)
def sam(
    optimizer: Transformation,
    adv_optimizer: Transformation,
    sync_period: int = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: str | tuple[str, ...] | None = None,
) -> GradientTransformationExtraArgs:
    """SAM: ascend to a nearby worst case, then descend with the gradient found there; prefers flat minima.

        p' = p − the updates of `adv_optimizer`, `sync_period` − 1 times          climbs
        p ← p + the update of `optimizer` for the gradient at p'

    The first to be published is `sam(sgd(0.1), chain(normalize(), sgd(rho)))`, which climbs a distance of rho.

    There are two modes. In the transparent one each call of `update` is one of these steps: the training loop knows nothing
    of it, and its parameters are those of the climb in between. In the opaque one a call does them all, and reads

        grad_fn(params, i)       the gradient at `params` after i + 1 steps of the climb

    as `update(updates, state, params, grad_fn=...)`; `updates` is the gradient at `params` then. For the same batch in all of
    them, close over it.

    Args:
      optimizer: takes the steps that count; it sees the parameters where the climb began.
      adv_optimizer: takes those of the climb, in the opposite direction of its updates.
      sync_period: after how many gradients a step counts; 1 does without the climb.
      reset_state: whether each climb begins with a new state of `adv_optimizer`.
      opaque_mode: whether a call of `update` does all steps.
      batch_axis_name: inside of `shard_map`, `pmap` or `vmap`, the axes that the batch is split over: each part climbs on its
        own, and the gradients found are averaged. Without, average the gradients before. In transparent mode parameters then
        differ between devices during a climb, which `shard_map` takes with `check_vma=False` alone.

    Raises:
      TypeError: in opaque mode, `update` got no `grad_fn`.
      ValueError: `sync_period` is less than 1.

    References:
      Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, 2021,
        https://arxiv.org/abs/2010.01412
    """
    optimizer = with_extra_args_support(optimizer)
    adv_optimizer = with_extra_args_support(adv_optimizer)

    def init(params: Params) -> SAMState:
        return SAMState(
            steps_since_sync=jnp.zeros((), jnp.int32),
            opt_state=optimizer.init(params),
            adv_state=adv_optimizer.init(params),
            cache=None if opaque_mode else tree.copy_of(params),
        )

    def climb(updates: Updates, state: OptState, params: Params, extra_args: dict[str, Any]):
        new_updates, new_state = adv_optimizer.update(updates, state, params, **extra_args)
        return keep_dtypes(_negated(new_updates), updates), keep_dtypes(new_state, state)

    def descend(updates: Updates, state: SAMState, params: Params, adv_state: OptState, extra_args: dict[str, Any]):
        if batch_axis_name is not None:
            updates = jax.lax.pmean(updates, batch_axis_name)
        new_updates, opt_state = optimizer.update(updates, state.opt_state, params, **extra_args)
        adv_state = keep_dtypes(adv_optimizer.init(params) if reset_state else adv_state, state.adv_state)
        return keep_dtypes(new_updates, updates), keep_dtypes(opt_state, state.opt_state), adv_state

    @tells(precise=("cache",))
    @forwards_to(optimizer, adv_optimizer, states=lambda state: (state.opt_state, state.adv_state))
    @compiled
    def one_step(updates: Updates, state: SAMState, params: Params, **extra_args: Any):
        step = state.steps_since_sync
        cache = _replaced(state.cache, params, replace=step == 0)[0]

        def ascent():
            new_updates, adv_state = climb(updates, state.adv_state, params, extra_args)
            return new_updates, state.opt_state, adv_state

        def descent():
            start = tree.cast_like(cache, params)
            new_updates, opt_state, adv_state = descend(updates, state, start, state.adv_state, extra_args)
            return _from(new_updates, cache, params), opt_state, adv_state

        new_updates, opt_state, adv_state = jax.lax.cond(step == sync_period - 1, descent, ascent)
        return new_updates, SAMState((step + 1) % sync_period, opt_state, adv_state, cache)

    @forwards_to(optimizer, adv_optimizer, states=lambda state: (state.opt_state, state.adv_state))
    def all_steps(updates: Updates, state: SAMState, params: Params, *, grad_fn: Callable[..., Updates], **extra_args: Any):
        gradients, adv_state, there = updates, state.adv_state, params
        for step in range(sync_period - 1):
            steps, adv_state = climb(gradients, adv_state, there, extra_args)
            there = apply_updates(there, steps)
            gradients = tree.map_leaves(lambda g, new: jnp.asarray(new, g.dtype), updates, grad_fn(there, step))
        new_updates, opt_state, adv_state = descend(gradients, state, params, adv_state, extra_args)
        return new_updates, SAMState(state.steps_since_sync, opt_state, adv_state, None)

    return GradientTransformationExtraArgs(init, all_steps if opaque_mode else one_step)


@tree.lift
def _negated(u):
    return -u


@tree.lift
def _replaced(cache, p, *, replace):
    return jnp.where(replace, p, cache), p


@tree.lift
def _from(u, cache, p):
    """The step from p to where u leads from the cache."""
    return u + (cache - p)
