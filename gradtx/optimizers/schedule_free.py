"""Schedule-free learning (Defazio et al. 2024): an average of the iterates instead of a decay of the learning rate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx import tree
from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    ScalarOrSchedule,
    Transformation,
    Updates,
    at_step,
    chain,
    factory,
    forwards_to,
    if_stepped,
    tells,
    with_extra_args_support,
)
from gradtx.errors import names_errors
from gradtx.numerics import Count, safe_increment
from gradtx.optimizers.radam import rectifier
from gradtx.optimizers.rmsprop import scale_by_rms
from gradtx.optimizers.sgd import sgd
from gradtx.require import Range
from gradtx.schedules.formula import STEPS, schedule
from gradtx.schedules.warmup import warmup_constant_schedule
from gradtx.transforms.scale import scale_by_learning_rate
from gradtx.transforms.weight_decay import add_decayed_weights
from gradtx.tree.dtypes import working_dtype
from gradtx.tree.paths import in_containers_of
from gradtx.tree.search import get_only


class ScheduleFreeState(NamedTuple):
    """b1, the sum of the weights, the number of the next step (from 1), the largest rate, the inner state, and z."""

    b1: jax.Array
    weight_sum: jax.Array
    step_count: Count
    max_lr: jax.Array
    base_optimizer_state: OptState
    z: Params


@factory(b1=Range(low=0, high=1, low_included=False, high_included=False))
def schedule_free(
    base_optimizer: Transformation,
    learning_rate: ScalarOrSchedule,
    b1: float = 0.9,
    weight_lr_power: float = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """Schedule-free learning: the gradient is taken between an iterate and its average; needs no decay of the learning rate.

        y = (1−b1)·z + b1·x                    the parameters, where gradients are taken
        z ← z + the update of `base_optimizer`
        x ← (1−c)·x + c·z                      c = wₜ / (w₁ + ... + wₜ),   wₜ = (largest rate until now)^weight_lr_power

    To evaluate the model, take x: `eval_params(state, params)`. It replaces momentum, so the inner optimizer
    should have none. Let a schedule warm up, but not decay: the weight of a step is its own learning rate, the one that
    `base_optimizer` uses in it.

    Args:
      base_optimizer: an optimizer without momentum.
      learning_rate: that of `base_optimizer`, a number or a schedule.
      b1: how near to the average gradients are taken, between 0 and 1, which cannot be reached.
      weight_lr_power: the power of the learning rate that a step weighs in the average.
      state_dtype: dtype in which z is kept; by default that of the parameters, float32 at least.

    Raises:
      TypeError: `state_dtype` is not a floating-point dtype.
      ValueError: `b1` is not between 0 and 1.

    References:
      Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """
    base_optimizer = with_extra_args_support(base_optimizer)
    tree.check_moment_dtype(state_dtype)

    # y moves by b1·Δx + (1−b1)·Δz, which needs no x. Δz is what is left of u in the dtype of z, so that x stays the mean of z.
    @tree.lift
    def rule(u, new_z, z, y, *, c):
        del u
        return c * (z - y) + (1 - b1 * (1 - c)) * (new_z - z)

    def init(params: Params) -> ScheduleFreeState:
        z = tree.copy_of(params, state_dtype)
        dtype = working_dtype(jax.tree.leaves(params))
        return ScheduleFreeState(
            b1=jnp.array(b1, dtype),
            weight_sum=jnp.zeros((), dtype),
            step_count=jnp.ones((), jnp.int32),
            max_lr=jnp.zeros((), dtype),
            base_optimizer_state=base_optimizer.init(params),
            z=z,
        )

    @tells(precise=("z",))
    @forwards_to(
        base_optimizer,
        changes_updates=True,
        states=lambda state: (state.base_optimizer_state,),
        count=lambda state: state.step_count - 1,
    )
    def update(updates: Updates, state: ScheduleFreeState, params: Params, **extra_args: Any):
        updates, inner_state = base_optimizer.update(updates, state.base_optimizer_state, params, **extra_args)
        dtype = state.max_lr.dtype
        rate = at_step(learning_rate, state.step_count - 1)
        max_lr = jnp.maximum(state.max_lr, jnp.asarray(rate, dtype))
        at_steps = if_stepped(base_optimizer, state.base_optimizer_state, inner_state)
        weight = at_steps(max_lr ** jnp.asarray(weight_lr_power, dtype), 0)
        weight_sum = state.weight_sum + weight
        # While the rate is 0 nothing has a weight, and z stands where x does.
        z = _moved(updates, state.z)
        updates = rule(updates, z, state.z, params, c=weight / jnp.where(weight_sum > 0, weight_sum, 1))
        count = at_steps(safe_increment(state.step_count), state.step_count)
        return updates, ScheduleFreeState(jnp.asarray(b1, dtype), weight_sum, count, max_lr, inner_state, z)

    return GradientTransformationExtraArgs(init, update)


@names_errors
def schedule_free_eval_params(state: OptState, params: Params) -> Params:
    """Return x, the average of the iterates, at which a model trained with `schedule_free` is evaluated.

        x = (y − (1−b1)·z) / b1

    `eval_params` does the same, for any optimizer.

    Args:
      state: the state of an optimizer with `schedule_free` anywhere inside: in a chain, masked, injected, accumulated, ...
      params: y, the parameters of training. What `schedule_free` does not see, behind a mask, is returned as it is.

    Raises:
      ValueError: there is no `ScheduleFreeState` in the state, or there are several.
    """
    return average_of_iterates(get_only("schedule_free_eval_params", state, ScheduleFreeState), params)


def average_of_iterates(state: ScheduleFreeState, params: Params) -> Params:
    """Return x of a state of `schedule_free`, with the parameters as they are where it has holes."""
    z = in_containers_of(params, state.z)
    [b1] = jax.tree.leaves(state.b1)  # out of its box, if it is in one
    return _schedule_free_eval_params(z, params, b1=b1)


@tree.lift(like="z")
def _moved(u, z):
    return z + u


@tree.lift(like="y")
def _schedule_free_eval_params(z, y, *, b1):
    return (y - (1 - b1) * z) / b1


@factory(warmup_steps=STEPS)
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    weight_decay: float | None = None,
    weight_lr_power: float = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """Schedule-free SGD: SGD that averages, and needs no decay of the learning rate.

        z ← z − η·(g + weight_decay·y)
        x ← (1−c)·x + c·z
        y ← (1−b1)·z + b1·x        the parameters

    See `schedule_free`, and `schedule_free_eval_params` for the parameters to evaluate.

    Args:
      learning_rate: η after the warm-up, a number or a schedule.
      warmup_steps: how many steps η takes to rise: in the k-th it is k/warmup_steps of its value.
      b1, weight_lr_power, state_dtype: as in `schedule_free`.
      weight_decay: fraction of the parameters that is added to the gradient; None for none.

    References:
      Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = sgd(rate) if weight_decay is None else chain(add_decayed_weights(weight_decay), sgd(rate))
    return schedule_free(descent, rate, b1, weight_lr_power, state_dtype)


@factory(warmup_steps=STEPS)
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    warmup_steps: int | None = None,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_lr_power: float = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """Schedule-free AdamW: AdamW without momentum that averages, and needs no decay of the learning rate.

        v ← b2·v + (1−b2)·|g|²
        z ← z − η·( g / (√(v/(1−b2ᵗ)) + eps) + weight_decay·y )
        x ← (1−c)·x + c·z
        y ← (1−b1)·z + b1·x        the parameters

    See `schedule_free`, and `schedule_free_eval_params` for the parameters to evaluate.

    Args:
      learning_rate, warmup_steps: as in `schedule_free_sgd`.
      b1, weight_lr_power, state_dtype: as in `schedule_free`.
      b2, eps: as in `scale_by_adam`.
      weight_decay: fraction of the parameters in a step, before the learning rate.

    Conventions:
      A step weighs as much as the square of its learning rate in the average, as in the authors' code; in Keras all steps weigh
      the same, and the weight decay moves the parameters themselves. Exactly Keras's is `interop.keras.schedule_free_adamw`.

    References:
      Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = chain(
        scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),  # Adam whose b1 is 0, without the unused mean
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(rate),
    )
    return schedule_free(descent, rate, b1, weight_lr_power, state_dtype)


@factory
def schedule_free_radam(
    learning_rate: ScalarOrSchedule = 0.0025,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    weight_lr_power: float = 2.0,
    state_dtype: DTypeLike | None = None,
) -> GradientTransformationExtraArgs:
    """Schedule-free RAdam: `schedule_free_adamw` with a learning rate that RAdam's rectification warms up.

        ηₜ = η·rₜ        r of `scale_by_radam`; 0 while ρ ≤ 4, which are 5 steps if b2 is 0.999

    See `schedule_free`, and `schedule_free_eval_params` for the parameters to evaluate.

    Args:
      learning_rate: η, a number or a schedule; there is no warm-up to choose.
      b1, weight_lr_power, state_dtype: as in `schedule_free`.
      b2, eps: as in `scale_by_adam`.
      weight_decay: fraction of the parameters in a step, before the learning rate.

    Conventions:
      RAdam takes steps of SGD while ρ is small; here there are none then, as in the authors' code (`silent_sgd_phase=True`).

    References:
      Defazio et al., The Road Less Scheduled, 2024, https://arxiv.org/abs/2405.15682
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, https://arxiv.org/abs/1908.03265
    """
    rate = _rectified(learning_rate, b2)
    return schedule_free_adamw(rate, None, b1, b2, eps, weight_decay, weight_lr_power, state_dtype)


def _rectified(learning_rate: ScalarOrSchedule, b2: float) -> ScalarOrSchedule:
    rectify = rectifier(b2, threshold=4.0)

    @schedule
    def rate(count):
        trusted, factor = rectify(jnp.asarray(count) + 1, jnp.result_type(float))
        return jnp.where(trusted, factor, 0) * at_step(learning_rate, count)

    return rate


def _warmed_up(learning_rate: ScalarOrSchedule, warmup_steps: int | None) -> ScalarOrSchedule:
    """The rate with a linear warm-up from 1/warmup_steps of it, as in the authors' code: no step is lost at a rate of 0."""
    if not warmup_steps:
        return learning_rate
    warmup = warmup_constant_schedule(1 / warmup_steps, 1.0, warmup_steps - 1)

    @schedule
    def rate(count):
        return warmup(count) * at_step(learning_rate, count)

    return rate
