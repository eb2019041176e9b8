"""What a summary warns of, and what it does not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import zoo

import gradtx
from gradtx.core import description
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


def split(kind, spec):
    """Parameters on a mesh, none of them of values."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(kind,))
    sharding = jax.sharding.NamedSharding(mesh, spec)
    return {name: jax.ShapeDtypeStruct((4, 2), jnp.float32, sharding=sharding) for name in ("v", "w")}


@pytest.mark.parametrize(
    ("tx", "name"),
    [
        (gradtx.muon(0.02), "muon.scale_by_muon"),
        (gradtx.masked(gradtx.chain(gradtx.clip(1.0), gradtx.scale_by_muon()), matrices), "scale_by_muon"),
        (gradtx.adjustable(gradtx.galore(1e-3, 2)), "scale_by_galore"),
        (gradtx.low_rank(gradtx.scale_by_adam(), 2), "low_rank"),
    ],
)
def test_matrices_of_which_nobody_knows_how_they_are_split_are_named(tx, name):
    auto, explicit = jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit
    (message,) = warned(tx, split(auto, jax.sharding.PartitionSpec("x")))
    assert message.startswith(
        f"v and 1 more: {name} works on whole matrices, and under jit nothing tells it how these are split"
    )
    assert warned(tx, split(auto, jax.sharding.PartitionSpec())) == ()
    assert warned(tx, split(explicit, jax.sharding.PartitionSpec("x"))) == ()


def test_a_wrapper_that_tells_how_they_are_split_is_enough():
    params = split(jax.sharding.AxisType.Auto, jax.sharding.PartitionSpec("x"))
    layout = jax.tree.map(lambda p: p.sharding, params)
    assert warned(gradtx.adjustable(gradtx.sharded(gradtx.muon(0.02), "x", layout=layout)), params) == ()


def test_without_parameters_there_is_nothing_to_say():
    assert warned(gradtx.adamw(1e-3, mask=nothing), {}) == ()


# --- steps that are rounded away --------------------------------------------------------------------------------------

SAY = "write compensated(...) or stochastically_rounded(...) around the whole optimizer."


def narrow(size=1.0, dtype=jnp.bfloat16):
    return {"w": jnp.full((3, 2), size, dtype)}


def told_steps():
    """The transformations of the zoo that tell how large their steps are."""
    for label in zoo.existing(zoo.TRANSFORMATIONS):
        size = description(zoo.transformation(label)).update_size
        if isinstance(size, float) and not zoo.TRANSFORMATIONS[label].extra_args:
            yield label, size


@pytest.mark.parametrize(("label", "step"), list(told_steps()))
def test_what_a_transformation_tells_of_its_steps_is_so(label, step):
    """Whatever the gradients are: at first, if it finds its rate on the way, and else after some."""
    tx, params = zoo.transformation(label), {"w": jnp.linspace(0.1, 0.5, 64).reshape(8, 8)}
    factor = description(tx).factor
    drift = 0.7 + 0.3 * jax.random.rademacher(jax.random.key(0), (30, 8, 8), jnp.float32)

    @jax.jit
    def sizes(scale):
        def take(state, g):
            updates, state = tx.update({"w": scale * g}, state, params)
            return state, jnp.max(jnp.abs(updates["w"]))

        return jax.lax.scan(take, tx.init(params), drift)[1]

    at = -1 if factor is None else 0
    for scale in (0.01, 1.0, 100.0):
        assert float(sizes(scale)[at]) < 10 * step  # without a correction of its bias the first ones are larger
    assert step / 100 < float(sizes(1.0)[at])


@pytest.mark.parametrize(
    ("tx", "step"),
    [
        (gradtx.adamw(1e-4), "0.0001"),
        (gradtx.lion(1e-4), "0.0001"),
        (gradtx.rmsprop(1e-4), "0.0001"),
        (gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(2e-4), gradtx.scale(0.5)), "0.0001"),
        (gradtx.adamw(gradtx.warmup_cosine_decay_schedule(0.0, 1e-4, 1000, 10**5)), "0.0001"),
        (gradtx.MultiSteps(gradtx.adam(1e-4), 2), "0.0001"),
        (gradtx.quantized(gradtx.adam(1e-4), min_size=1), "0.0001"),
        (gradtx.adafactor(1e-4, multiply_by_parameter_scale=False), "0.0001"),
        (gradtx.prodigy(), "1e-06"),
        (gradtx.dog(1.0), "1e-06"),
        (gradtx.mechanize(gradtx.adam(1.0)), "1e-06"),
    ],
)
def test_steps_of_16_bit_parameters_that_are_rounded_away_are_named(tx, step):
    (message,) = warned(tx, narrow())
    assert message == (f"w: steps of about {step} are rounded away, as half of the last digit of 1 is 0.002 in bfloat16; {SAY}")
    assert warned(tx, jax.eval_shape(narrow)) == (message,)
    assert warned(tx, narrow(dtype=jnp.float32)) == ()


@pytest.mark.parametrize(
    ("tx", "starts"),
    [
        (gradtx.prodigy(), False),
        (gradtx.dog(1.0), False),
        (gradtx.mechanize(gradtx.adam(1.0)), False),
        (gradtx.dadapt_adamw(), True),  # its estimate is of its steps, not of where the parameters have got to
    ],
)
def test_a_rate_that_is_found_on_the_way_starts_where_nothing_is_said(tx, starts):
    params = narrow()
    state = tx.init(params)
    step = jax.jit(tx.update)
    for _ in range(100):
        updates, state = step(jax.tree.map(jnp.ones_like, params), state, params)
        params = gradtx.apply_updates(params, updates)
    assert jnp.array_equal(params["w"], narrow()["w"]) == (not starts)
    assert bool(warned(tx, narrow())) == (not starts)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("size", [1.0, 1.1, 1.9, 0.02, 300.0])
def test_the_parameters_that_are_named_stay_as_they_are_indeed(size, dtype):
    params = narrow(size, dtype)
    gap = float(params["w"][0, 0]) - float(jnp.nextafter(params["w"][0, 0], jnp.zeros((), dtype)))
    for rate, moves in [(0.49 * gap, False), (0.51 * gap, True)]:
        tx = gradtx.sign_sgd(rate)
        updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
        moved = not jnp.array_equal(
            gradtx.apply_updates(params, jax.tree.map(lambda u: u.astype(float), updates))["w"], params["w"]
        )
        assert (moved, not warned(tx, params)) == (moves, moves)


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.compensated(gradtx.adamw(1e-4)),
        gradtx.stochastically_rounded(gradtx.prodigy(), 0),
        gradtx.apply_if_finite(gradtx.compensated(gradtx.chain(gradtx.clip(1.0), gradtx.adam(1e-4))), 3),
        gradtx.sgd(1e-6),
        gradtx.lamb(1e-4),
        gradtx.adjustable(gradtx.adam(1e-4)),
        gradtx.adam(1e-2),
        gradtx.chain(gradtx.adam(1e-4), gradtx.freeze(True)),
    ],
)
def test_of_steps_that_count_or_are_not_known_nothing_is_said(tx):
    assert not any("rounded away" in message for message in warned(tx, narrow()))


def test_parameters_are_as_large_as_they_are():
    of = {"small": jnp.full(5, 0.02, jnp.bfloat16), "norm": jnp.ones(5, jnp.bfloat16), "zero": jnp.zeros(5, jnp.bfloat16)}
    (message,) = warned(gradtx.adamw(1e-3), of)
    assert message.startswith("norm: steps")
    (message,) = warned(gradtx.adamw(1e-5), of)
    assert message.startswith("norm and 1 more: steps")
    assert warned(gradtx.adamw(1e-5), jax.tree.map(np.asarray, of)) == (message,)


def test_those_of_another_wrapper_are_named_alone():
    of = {"matrix": jnp.ones((3, 2), jnp.bfloat16), "vector": jnp.ones(3, jnp.bfloat16)}
    tx = gradtx.partition({"matrix": gradtx.compensated(gradtx.adam(1e-4)), "rest": gradtx.adam(1e-4)}, by_rank)
    (message,) = warned(tx, of)
    assert message.startswith("vector: steps")


def test_a_donated_or_sharded_array_is_not_an_error():
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("devices"))
    of = {"w": jax.device_put(jnp.full((8, 2), 0.5, jnp.bfloat16), sharding)}
    (message,) = warned(gradtx.adam(1e-4), of)
    assert "of 0.5 is" in message
    of["w"].delete()
    (message,) = warned(gradtx.adam(1e-4), of)
    assert "of 1 is" in message


def test_a_large_array_is_not_read_as_a_whole_and_a_traced_one_not_at_all():
    of = {"w": jnp.ones((8, 4096), jnp.bfloat16).at[0].set(1e-4)}  # the first numbers are those that are looked at
    assert warned(gradtx.adam(1e-4), of) == ()
    found = []
    jax.eval_shape(lambda params: found.append(warned(gradtx.adam(1e-4), params)), of)
    assert "of 1 is" in found[0][0]
