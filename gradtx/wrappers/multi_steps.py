"""Gather the gradients of several mini-batches into one step."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from gradtx import hints, require, tree
from gradtx.compiled import compiled, keep_dtypes, run_if
from gradtx.core import (
    Contract,
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Schedule,
    Transformation,
    Updates,
    as_wide_as_updates_of,
    at_step,
    declared_extra_args,
    description,
    forwards_to,
    no_updates,
    sealed,
    tells,
    with_extra_args_support,
)
from gradtx.errors import naming, unnamed
from gradtx.numerics import Count, safe_increment
from gradtx.tree import unsummed
from gradtx.tree.dtypes import at_least_float32
from gradtx.tree.layout import kept_like
from gradtx.values import Recipe


class MultiStepsState(NamedTuple):
    """Mini-steps since the last step, steps, the inner state, what was accumulated, and a report on the last mini-step."""

    mini_step: Count
    gradient_step: Count
    inner_opt_state: OptState
    acc_grads: Updates
    skip_state: Any = ()


class ShouldSkipUpdateFunction(Protocol):
    """Decide whether a mini-batch is left out; returns a bool and a tree of arrays to report in `skip_state`."""

    def __call__(self, updates: Updates, gradient_step: jax.Array, params: Params | None) -> tuple[jax.Array, Any]: ...


def skip_not_finite(updates: Updates, gradient_step: Any, params: Params | None) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Leave out a mini-batch whose gradients hold an inf or a NaN.

    Args:
      updates: the gradients of one mini-batch.
      gradient_step, params: not used.

    Returns:
      Whether to leave it out, and a dict of `should_skip` and `num_not_finite`.
    """
    del gradient_step, params
    bad = jax.tree.map(lambda g: jnp.sum(~jnp.isfinite(g), dtype=jnp.int32), updates)
    num_not_finite = tree.sum(bad).astype(jnp.int32)
    should_skip = num_not_finite > 0
    return should_skip, {"should_skip": should_skip, "num_not_finite": num_not_finite}


def skip_large_updates(
    updates: Updates, gradient_step: Any, params: Params | None, max_squared_norm: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Leave out a mini-batch whose gradients have a squared norm Σ|g|² of `max_squared_norm` or more, or NaN.

    Give it to `MultiSteps` as `functools.partial(skip_large_updates, max_squared_norm=42.0)`.

    Args:
      updates, gradient_step, params: as in `skip_not_finite`.
      max_squared_norm: the bound, itself left out.

    Returns:
      Whether to leave it out, and a dict of `should_skip` and `norm_squared`.
    """
    del gradient_step, params
    # Not `abs_sq`, which stays finite: what is reported of an infinite gradient is inf.
    squares = jax.tree.map(lambda g: jnp.sum(jnp.square(jnp.abs(g.astype(at_least_float32(g.dtype))))).astype(float), updates)
    norm_squared = tree.sum(squares)
    should_skip = ~(norm_squared < max_squared_norm)  # written so that NaN is skipped
    return should_skip, {"should_skip": should_skip, "norm_squared": norm_squared}


class MultiSteps(GradientTransformationExtraArgs):
    """Gradient accumulation: gather gradients over k mini-steps, and let `opt` take one step with their mean (or sum).

        mini-step i of k:   a ← a + (g − a)/i      u = 0 for i < k,  opt's update of a for i = k

    `opt` runs only in the k-th mini-step. A mini-step that is left out counts for nothing: it is as if it had not happened.
    With `update(..., emit=True)`, a bool that may be traced, `opt` runs at once, with the mean (or sum) of the mini-steps that
    there are, this one included, as at the end of an epoch; if there is none, the update is 0 and `opt` does not run.

    Averages of the parameters, `lookahead` and `schedule_free` around it count the steps of `opt` alone. What reads every
    gradient (`mechanize`, `sam`) belongs inside.

    On an explicit mesh, gradients whose types say that they are still to be summed (`unreduced`) are accumulated so, and summed
    once a step, not once a mini-step. `init` with parameters that are `reduced`, as the loss has them, gives the state its type
    from the beginning; else the first update changes it.

    Args:
      opt: a transformation.
      every_k_schedule: k, or a function of the number of steps taken that returns it.
      use_grad_mean: False sums the gradients instead.
      should_skip_update_fn: decides which mini-batches are left out: `skip_not_finite`, or
        `functools.partial(skip_large_updates, max_squared_norm=...)`, or a function with their signature.
      accumulator_dtype: in which real gradients are accumulated; None for the dtype of the params, float32 at least. Complex
        ones keep their dtype.

    Raises:
      TypeError: `every_k_schedule` is neither an integer nor a function.
      ValueError: `every_k_schedule` is less than 1.
    """

    inner_opt: Transformation

    @functools.partial(hints.hinting, owner="MultiSteps")
    def __new__(
        cls,
        opt: Transformation,
        every_k_schedule: int | Schedule,
        use_grad_mean: bool = True,
        should_skip_update_fn: ShouldSkipUpdateFunction | None = None,
        accumulator_dtype: DTypeLike | None = jnp.float32,
    ):
        arguments = {
            "opt": opt,
            "every_k_schedule": every_k_schedule,
            "use_grad_mean": use_grad_mean,
            "should_skip_update_fn": should_skip_update_fn,
            "accumulator_dtype": accumulator_dtype,
        }
        _CONTRACT.keep(arguments)
        with naming("MultiSteps"):
            made = sealed(multi_steps(**arguments), "MultiSteps")
        self = super().__new__(cls, made.init, made.update)
        self.recipe = Recipe.of(cls, **arguments)
        self.inner_opt = opt
        return self

    def has_updated(self, state: MultiStepsState) -> jax.Array:
        """Return whether the last mini-step (of those not left out) was one in which `opt` took a step."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformationExtraArgs:
        """Return this transformation itself, for programs written when it was none."""
        return self


_CONTRACT = Contract("MultiSteps", inspect.signature(MultiSteps), {"every_k_schedule": require.AT_LEAST_ONE})


def multi_steps(
    opt: Transformation,
    every_k_schedule: int | Schedule,
    use_grad_mean: bool,
    should_skip_update_fn: ShouldSkipUpdateFunction | None,
    accumulator_dtype: DTypeLike | None,
) -> GradientTransformationExtraArgs:
    """Make the pair of functions of `MultiSteps`."""
    inner = with_extra_args_support(opt)
    every_k = _as_schedule(every_k_schedule)
    should_skip = should_skip_update_fn or _skip_nothing
    tree.check_moment_dtype(accumulator_dtype)

    def init(params: Params) -> MultiStepsState:
        of_gradients, params = params, tree.map_leaves(unsummed.without_promise, params)
        _, report = jax.eval_shape(should_skip, params, jnp.zeros((), jnp.int32), params)
        return MultiStepsState(
            mini_step=jnp.zeros((), jnp.int32),
            gradient_step=jnp.zeros((), jnp.int32),
            inner_opt_state=inner.init(params),
            acc_grads=tree.map_leaves(unsummed.zeros_of_gradient, of_gradients, tree.moment_like(params, accumulator_dtype)),
            skip_state=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), report),
        )

    def gathered(updates: Updates, acc_grads: Updates, count: jax.Array) -> Updates:
        if unsummed.awaits_sums(updates):
            weights = (1 - 1 / count, 1 / count) if use_grad_mean else (jnp.ones(()), jnp.ones(()))
            return _where_given(functools.partial(_sum_of_terms, *weights), updates, acc_grads)
        return (_running_mean if use_grad_mean else _running_sum)(updates, acc_grads, count=count)

    @compiled
    def mini_step_of(updates: Updates, state: MultiStepsState, params: Params | None = None, *, emit: Any, **extra_args: Any):
        skip, skip_state = should_skip(updates, state.gradient_step, params)
        mini_step = safe_increment(state.mini_step)
        accumulated = jnp.where(skip, state.mini_step, mini_step)
        due = (~skip & (state.mini_step >= every_k(state.gradient_step) - 1)) | (emit & (accumulated > 0))
        if "emit" in declared_extra_args(inner.update):  # of one that accumulates what this one emits
            extra_args |= {"emit": emit}
        before = state.acc_grads
        if unsummed.awaits_sums(updates):
            before = _where_given(unsummed.as_term_like, updates, before)
        acc_grads = jax.lax.cond(skip, lambda: before, lambda: gathered(updates, before, mini_step))

        def step():
            ready = acc_grads if description(inner).lays_out else tree.map_leaves(unsummed.summed, acc_grads)
            wide = as_wide_as_updates_of(inner, updates)
            new_updates, inner_state = inner.update(_in_place_of(wide, ready), state.inner_opt_state, params, **extra_args)
            return new_updates, inner_state, jax.tree.map(jnp.zeros_like, acc_grads)

        def wait():
            return no_updates(inner, tree.map_leaves(unsummed.summed, updates)), state.inner_opt_state, acc_grads

        new_updates, inner_state, acc_grads = run_if(due, step, otherwise=wait)
        # Also where the inner one works on parts of what was accumulated, as `sharded` does.
        acc_grads = tree.map_leaves(kept_like, before, acc_grads)
        return new_updates, MultiStepsState(
            mini_step=jnp.where(due, 0, accumulated),
            gradient_step=jnp.where(due, safe_increment(state.gradient_step), state.gradient_step),
            inner_opt_state=inner_state,
            acc_grads=acc_grads,
            skip_state=keep_dtypes(skip_state, state.skip_state),
        )

    @tells(precise=("acc_grads",))
    @forwards_to(inner, states=lambda state: (state.inner_opt_state,), count=_gradient_step, steps=_gradient_step)
    def update(updates: Updates, state: MultiStepsState, params: Params | None = None, *, emit: Any = False, **extra_args: Any):
        return mini_step_of(updates, state, params, emit=_flag(emit), **extra_args)

    return GradientTransformationExtraArgs(init, update)


def _gradient_step(state: MultiStepsState) -> Count:
    return state.gradient_step


def _flag(emit: Any) -> Any:
    """A bool as an array, so that both are one program."""
    if isinstance(emit, bool):
        return np.bool_(emit)
    if getattr(emit, "dtype", None) != jnp.bool_ or jnp.shape(emit) != ():
        raise unnamed(TypeError, f"emit must be a bool, or an array that is one; got {emit!r}.")
    return emit


def _as_schedule(every_k: Any) -> Callable[[jax.Array], jax.Array]:
    if callable(every_k):
        return lambda step: jnp.asarray(at_step(every_k, step)).astype(jnp.int32)
    return lambda step: jnp.asarray(every_k).astype(jnp.int32)


def _skip_nothing(updates: Updates, gradient_step: Any, params: Params | None) -> tuple[jax.Array, Any]:
    del updates, gradient_step, params
    return jnp.zeros((), bool), ()


@tree.lift(like="a")
def _running_mean(g, a, *, count):
    return a + (g - a) / count


@tree.lift(like="a")
def _running_sum(g, a, *, count):
    del count
    return a + g


def _where_given(change: Callable[..., jax.Array], updates: Updates, acc_grads: Updates) -> Updates:
    """What was accumulated, changed by the gradients that there are."""
    changed = tree.map_leaves(change, updates, acc_grads)
    return jax.tree.map(lambda new, old: old if tree.is_hole(new) else new, changed, acc_grads, is_leaf=tree.is_hole)


def _sum_of_terms(weight_a: jax.Array, weight_g: jax.Array, g: jax.Array, a: jax.Array) -> jax.Array:
    return unsummed.scaled(a, weight_a) + unsummed.scaled(g.astype(a.dtype), weight_g)


@tree.lift
def _in_place_of(g, a):
    del g
    return a
