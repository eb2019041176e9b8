"""What a summary warns of, and what it does not."""

import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from gradtx.interop.transformers import get_linear_schedule_with_warmup, get_scheduler


def params(dtype=jnp.float32):
    return {"w": jnp.ones((3, 2), dtype), "b": jnp.ones(2, dtype)}


def warned(tx, of=None):
    """What the summary of a transformation warns of."""
    return gradtx.summary(tx, params() if of is None else of).warnings


def matrices(tree):
    return jax.tree.map(lambda p: p.ndim == 2, tree)


def nothing(tree):
    return jax.tree.map(lambda p: False, tree)


def by_rank(tree):
    return jax.tree.map(lambda p: "matrix" if p.ndim == 2 else "rest", tree)


BFLOAT16 = {"accumulator_dtype": jnp.bfloat16}


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adamw(1e-3),
        gradtx.adamw(1e-3, mu_dtype=jnp.bfloat16),
        gradtx.adamw(1e-3, mask=matrices),
        gradtx.adamw(1e-3, weight_decay=0.0, mask=nothing),
        gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(gradtx.warmup_cosine_decay_schedule(0, 1, 10, 100))),
        gradtx.lion(1e-4, b2=0.99, mu_dtype=jnp.bfloat16),
        gradtx.sgd(0.1, momentum=0.9, accumulator_dtype=jnp.bfloat16),
        gradtx.adamw(1e-3, b1=0.999),
        gradtx.muon(0.02),
        gradtx.partition({"matrix": gradtx.muon(0.02), "rest": gradtx.adam(1e-3)}, by_rank),
        gradtx.selective_transform(gradtx.adam(1e-3), freeze_mask=matrices),
        gradtx.chain(gradtx.masked(gradtx.clip(1.0), matrices), gradtx.sgd(0.1)),
        gradtx.adjustable(gradtx.adamw(1e-3)),
        gradtx.averaged(gradtx.adam(1e-3), 0.1, accumulator_dtype=jnp.bfloat16),
        gradtx.sgd(gradtx.join_schedules([gradtx.linear_schedule(0, 1, 10), gradtx.constant_schedule(1)], [10])),
        optax.adamw(1e-3),
    ],
)
def test_of_what_is_usual_there_is_nothing_to_say(tx):
    assert warned(tx) == ()


@pytest.mark.parametrize(
    ("tx", "field", "decay"),
    [
        (gradtx.adamw(1e-3, b1=0.999, mu_dtype=jnp.bfloat16), "ScaleByAdamState.mu", "b1 is 0.999"),
        (gradtx.lion(1e-4, b2=0.999, mu_dtype=jnp.bfloat16), "ScaleByLionState.mu", "b2 is 0.999"),
        (gradtx.trace(0.999, **BFLOAT16), "TraceState.trace", "decay is 0.999"),
        (gradtx.ema(0.9999, accumulator_dtype=jnp.float16), "EmaState.ema", "decay is 0.9999"),
        (gradtx.ademamix(1e-3, b3=0.9999, mu_dtype=jnp.bfloat16), "ScaleByAdemamixState.m2", "b3 is 0.9999"),
        (gradtx.masked(gradtx.scale_by_muon(beta=0.999, mu_dtype=jnp.bfloat16), matrices), "MuonState.mu", "beta is 0.999"),
        (gradtx.averaged(gradtx.sgd(0.1), 0.001, **BFLOAT16), "AveragedState.average", "1 − rate is 0.999"),
        (gradtx.exponentially_averaged(gradtx.sgd(0.1), 0.999, **BFLOAT16), "AveragedState.average", "decay is 0.999"),
        (gradtx.polyak_averaged(gradtx.sgd(0.1), **BFLOAT16), "AveragedState.average", "1 − 1/t in the long run is 1"),
    ],
)
def test_an_average_stalls_in_a_dtype_whose_numbers_are_too_far_apart(tx, field, decay):
    message, *_ = warned(tx)
    assert message.startswith(f"{field} is kept in ")
    assert f"in which it never decays: {decay}; keep it in float32" in message


def test_an_average_that_stalls_does_not_decay_indeed():
    # The limits are those of rounding: 1 − 2⁻⁹ in bfloat16, 1 − 2⁻¹² in float16.
    for dtype, decay in [(jnp.bfloat16, 1 - 2**-9.1), (jnp.float16, 1 - 2**-12.1)]:
        average = jnp.linspace(1, 2, 1000).astype(dtype)
        assert jnp.array_equal((decay * average.astype(jnp.float32)).astype(dtype), average)
        assert warned(gradtx.trace(decay, accumulator_dtype=dtype))
    assert not warned(gradtx.trace(0.998, accumulator_dtype=jnp.bfloat16))


def test_of_a_second_moment_of_another_library_the_decay_is_not_known():
    (message,) = warned(optax.adamw(1e-3), params(jnp.bfloat16))
    assert message == "ScaleByAdamState.nu is kept in bfloat16: with a decay above 0.99805 it never decays."


@pytest.mark.parametrize("steps", [10, 5])
def test_a_schedule_that_ends_within_its_warm_up_is_named(steps):
    for schedule in (get_linear_schedule_with_warmup(1e-3, 10, steps), get_scheduler("linear", 1e-3, 10, steps)):
        (message,) = warned(gradtx.adamw(schedule))
        assert message == f"{schedule!r} ends within its warm-up: it has {steps} steps, of which 10 are warm-up."


def test_a_schedule_of_another_is_looked_into():
    inner = get_linear_schedule_with_warmup(1e-3, 10, 5)
    (message,) = warned(gradtx.sgd(gradtx.join_schedules([gradtx.constant_schedule(1.0), inner], [100])))
    assert "ends within its warm-up" in message


def test_a_warm_up_that_the_next_schedule_cuts_off_is_named():
    warmup = gradtx.linear_schedule(0.0, 0.1, 100)
    (message,) = warned(gradtx.sgd(gradtx.join_schedules([warmup, gradtx.constant_schedule(0.1)], [50])))
    assert message.startswith("join_schedules([linear_schedule(0.0, 0.1, 100)")
    assert message.endswith("ends its warm-up of 100 steps at step 50, before it has reached 0.1.")


def test_a_weight_decay_of_nothing_is_named():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.adamw(1e-3, weight_decay=0.1, mask=nothing))
    assert warned(tx) == ("add_decayed_weights decays nothing: its mask is False for every parameter.",)
    assert warned(gradtx.prodigy(weight_decay=0.1, weight_decay_mask=nothing)) == (
        "prodigy decays nothing: its mask is False for every parameter.",
    )


def test_the_norm_of_a_group_is_not_that_of_all():
    clipped = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(1e-3))
    (message,) = warned(gradtx.partition({"matrix": clipped, "rest": gradtx.adam(1e-3)}, by_rank))
    assert message.startswith("matrix.clip_by_global_norm takes the norm of what it sees, 1 of 2 arrays;")


def test_the_norm_of_all_that_is_trained_is_fine():
    clipped = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(1e-3))
    assert warned(gradtx.partition({"matrix": clipped, "rest": gradtx.set_to_zero()}, by_rank)) == ()


def test_a_label_of_no_parameter_is_named():
    tx = gradtx.partition({"matrix": gradtx.muon(0.02), "rest": gradtx.adam(1e-3), "embed": gradtx.sgd(0.1)}, by_rank)
    assert warned(tx) == ("partition has no parameter for sgd: none has the label 'embed'.",)


def test_a_mask_of_nothing_is_named():
    tx = gradtx.chain(gradtx.masked(gradtx.clip(1.0), nothing), gradtx.sgd(0.1))
    assert warned(tx) == ("masked has no parameter for clip: its mask is False for all.",)


def test_an_integer_is_named():
    of = {"w": jnp.ones(3), "steps": jnp.arange(3)}
    (message,) = warned(gradtx.set_to_zero(), {"w": jnp.ones(3)})
    assert "frozen" in message
    (message,) = warned(gradtx.identity(), of)
    assert message == "steps has dtype int32: it has no gradient; freeze it."
    floats = {"w": True, "steps": False}
    assert warned(gradtx.masked(gradtx.sgd(0.1), floats), of) == ()


def test_a_parameter_that_nothing_sees_moves_uphill():
    (message,) = warned(gradtx.masked(gradtx.adam(1e-3), matrices))
    assert message == "b: no transformation sees it, so its gradient is its update: it moves uphill."


def test_where_everything_is_frozen_it_is_said():
    assert warned(gradtx.set_to_zero()) == ("Every parameter is frozen.",)
    assert warned(gradtx.chain(gradtx.adam(1e-3), gradtx.freeze(matrices))) == ()


def test_without_parameters_there_is_nothing_to_say():
    assert warned(gradtx.adamw(1e-3, mask=nothing), {}) == ()
