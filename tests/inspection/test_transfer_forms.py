"""`transfer_state` between states in float32, in 16 bits, in codes, and beside the low bits of 16-bit parameters."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_runs

import gradtx
from gradtx.testing.samples import shapes_of
from gradtx.tree.codes import DynamicCode, FloatCode
from gradtx.tree.quantized import Format, Quantized, is_quantized

# Two parameters of one shape, whose moments must not be exchanged, one without whole blocks, and a small one.
PARAMS = {
    "a": jnp.linspace(-1, 1, 2048).reshape(4, 512),
    "b": jnp.linspace(3, -1, 2048).reshape(4, 512),
    "odd": jnp.linspace(-2, 1, 1490).reshape(5, 298),
    "small": jnp.ones(3),
}
ADAMW = gradtx.adamw(1e-2)
FORMS = {
    "float32": ADAMW,
    "8 bits": gradtx.quantized(ADAMW, min_size=1000),
    "4 bits": gradtx.quantized(ADAMW, min_size=1000, bits=4),
    "dynamic": gradtx.quantized(ADAMW, min_size=1000, code="dynamic"),
    "short blocks": gradtx.quantized(ADAMW, min_size=1000, block_size=64),
    "16 bits": gradtx.stored(ADAMW, {"mu": jnp.bfloat16}),
    "in a chain": gradtx.chain(
        gradtx.quantized(gradtx.scale_by_adam(), min_size=1000),
        gradtx.add_decayed_weights(1e-4),
        gradtx.scale_by_learning_rate(1e-2),
    ),
}
CODES = {
    "8 bits": Format(FloatCode(8, 3), 256),
    "4 bits": Format(FloatCode(4, 1), 128),
    "dynamic": Format(DynamicCode(8), 256),
    "short blocks": Format(FloatCode(8, 3), 64),
    "in a chain": Format(FloatCode(8, 3), 256),
}
PAIRS = [(one, other) for one in FORMS for other in FORMS if {one, other} & {"float32", "8 bits"}]
LARGE = {f"ScaleByAdamState.{field}/{name}" for field in ("mu", "nu") for name in ("a", "b", "odd")}


def trained(tx, params=PARAMS, steps=3, state=None):
    return small_runs.trained(tx, params, steps, state)


@functools.cache
def trained_with(label):
    return trained(FORMS[label])


def numbers(state, label):
    """The moments of Adam in a state, decoded."""
    adam = gradtx.tree.get(state, "ScaleByAdamState")

    def decoded(leaf):
        return jax.jit(CODES[label].decode)(leaf) if is_quantized(leaf) else jnp.asarray(leaf, jnp.float32)

    return jax.tree.map(decoded, {"mu": adam.mu, "nu": adam.nu}, is_leaf=is_quantized)


def names(entries):
    return {entry.split(": ")[0] for entry in entries}


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_run_goes_on_with_a_state_in_another_form(before, after):
    params, state = trained_with(before)
    tx = FORMS[after]
    new_state, report = gradtx.transfer_state(state, tx, params, old_tx=FORMS[before], strict=True)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, tx.init(params))
    chex.assert_trees_all_equal_structs(new_state, tx.init(params))
    assert int(gradtx.tree.get(new_state, "ScaleByAdamState.count")) == 3

    same = CODES.get(before) == CODES.get(after)
    expected = numbers(state, before)
    if not same and after in CODES:
        # Compiled, as numbers of one code may be half-way between two of another, where each rounding counts.
        encode, decode = jax.jit(CODES[after].encode), jax.jit(CODES[after].decode)
        expected = jax.tree.map(lambda x: decode(encode(x)) if x.size > 1000 else x, expected)
    if after == "16 bits":
        expected["mu"] = jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), expected["mu"])
    chex.assert_trees_all_close(numbers(new_state, after), expected, rtol=1e-6)
    if {before, after} & CODES.keys():
        assert {name for name in names(report.converted) if "small" not in name} == (set() if same else LARGE)
    trained(tx, params, 1, new_state)


AROUND = {
    "partition": lambda tx: gradtx.partition({"8": tx, "32": ADAMW}, {"a": "8", "b": "8", "odd": "32", "small": "32"}),
    "adjustable": gradtx.adjustable,
    "MultiSteps": lambda tx: gradtx.MultiSteps(tx, 2),
    "masked": lambda tx: gradtx.masked(tx, {"a": True, "b": True, "odd": False, "small": False}),
    "injected": lambda tx: gradtx.inject_hyperparams(lambda scale: gradtx.chain(tx, gradtx.scale(scale)))(1.0),
}


@pytest.mark.parametrize("label", AROUND)
def test_arrays_are_decoded_wherever_they_are(label):
    tx = AROUND[label](FORMS["8 bits"])
    params, state = trained(tx)
    new_state, report = gradtx.transfer_state(state, ADAMW, params, old_tx=tx)
    quantized = {name for name in LARGE if not name.endswith("odd")}
    assert names(report.converted) >= quantized
    found = [mu["a"] for _, mu in gradtx.tree.get_all_with_path(state, "mu") if is_quantized(mu["a"])]
    chex.assert_trees_all_close(new_state[0].mu["a"], CODES["8 bits"].decode(*found), rtol=1e-6)


def test_to_the_same_code_nothing_changes():
    params, state = trained_with("8 bits")
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), FORMS["8 bits"])
    new_state, report = gradtx.transfer_state(state, tx, params, old_tx=FORMS["8 bits"], strict=True)
    chex.assert_trees_all_equal(new_state[1], state)
    assert not report.converted
    assert set(report.kept) > LARGE


def test_the_report_says_what_was_converted_to_what():
    params, state = trained_with("float32")
    half = gradtx.stored(ADAMW, {"mu": jnp.bfloat16})
    _, report = gradtx.transfer_state(state, half, params)
    assert "ScaleByAdamState.mu/a: from float32 to bfloat16" in report.converted
    assert "ScaleByAdamState.nu/a" in report.kept
    _, report = gradtx.transfer_state(state, FORMS["dynamic"], params)
    assert "ScaleByAdamState.mu/a: from float32 to 8 bits (dynamic code, blocks of 256)" in report.converted
    assert "converted: 6\n  ScaleByAdamState.mu/a: from" in str(report)
    state = FORMS["dynamic"].init(params)
    _, report = gradtx.transfer_state(state, FORMS["4 bits"], params, old_tx=FORMS["dynamic"])
    change = "from 8 bits (dynamic code, blocks of 256) to 4 bits (float code, blocks of 128)"
    assert f"ScaleByAdamState.nu/odd: {change}" in report.converted


def test_quantized_arrays_are_renamed_and_grow():
    params, state = trained_with("8 bits")
    larger = {**{f"new/{name}": p for name, p in params.items()}, "new/a": jnp.zeros((6, 512))}
    renamed = {name: f"new/{name}" for name in params}
    tx, old_tx = FORMS["dynamic"], FORMS["8 bits"]
    new_state, report = gradtx.transfer_state(state, tx, larger, old_tx=old_tx, renamed=renamed, grow=True, strict=True)
    grown = numbers(new_state, "dynamic")["mu"]["new/a"]
    chex.assert_trees_all_close(grown[:4], numbers(state, "8 bits")["mu"]["a"], atol=2e-2)
    chex.assert_trees_all_equal(grown[4:], jnp.zeros((2, 512)))
    assert [entry for entry in report.converted if entry.endswith("blocks of 256): grown from (4, 512) to (6, 512)")]


@pytest.mark.parametrize("label", [label for label in FORMS if label in CODES])
def test_codes_and_parameters_say_how_they_are_to_be_read(label):
    params, state = trained_with(label)
    expected, _ = gradtx.transfer_state(state, ADAMW, params, old_tx=FORMS[label], strict=True)
    restored = jax.tree.map(np.asarray, state)  # as from a checkpoint
    actual, report = gradtx.transfer_state(restored, ADAMW, params, strict=True)
    chex.assert_trees_all_equal(actual, expected)
    assert names(report.converted) == LARGE


def test_where_they_do_not_the_old_optimizer_is_asked_for():
    params, state = trained_with("8 bits")
    grown = {**params, "a": jnp.zeros((4, 600))}
    with pytest.raises(ValueError, match="transfer_state: old_state is quantized, and it is not clear how: give the opt"):
        gradtx.transfer_state(state, ADAMW, grown, grow=True)
    gradtx.transfer_state(state, ADAMW, grown, grow=True, old_tx=FORMS["8 bits"])


def test_an_old_optimizer_of_another_state_is_refused():
    params, state = trained_with("8 bits")
    for other in ("4 bits", "short blocks"):
        with pytest.raises(ValueError, match="transfer_state: old_state is quantized, but not by old_tx"):
            gradtx.transfer_state(state, ADAMW, params, old_tx=FORMS[other])
    with pytest.raises(TypeError, match="transfer_state: old_tx must be a transformation, got the function quantized"):
        gradtx.transfer_state(state, ADAMW, params, old_tx=gradtx.quantized)  # pyright: ignore[reportArgumentType]


def test_quantized_inside_of_another_library():
    params, state = trained_with("8 bits")
    theirs = optax.chain(FORMS["8 bits"])  # pyright: ignore[reportArgumentType]
    new_state, report = gradtx.transfer_state(state, theirs, params, strict=True)  # pyright: ignore[reportArgumentType]
    chex.assert_trees_all_equal(new_state[0], state)
    assert not report.converted


def test_codes_are_laid_out_as_those_of_a_fresh_state():
    mesh = jax.make_mesh((4,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.device_put(PARAMS["a"], jax.NamedSharding(mesh, jax.P("x")))
    _, state = trained(ADAMW, {"a": PARAMS["a"]})
    new_state, _ = gradtx.transfer_state(state, FORMS["8 bits"], {"a": split})
    mu = gradtx.tree.get(new_state, "mu")["a"]
    assert isinstance(mu, Quantized)
    for array in mu:
        assert array.sharding.is_equivalent_to(split.sharding, 2)


OFFLOADED = gradtx.offloaded(FORMS["8 bits"], min_size=1)
HOST_OR_DEVICE = [(ADAMW, OFFLOADED), (OFFLOADED, ADAMW), (OFFLOADED, OFFLOADED), (OFFLOADED, gradtx.offloaded(ADAMW))]


@pytest.mark.parametrize(("before", "after"), HOST_OR_DEVICE)
def test_what_rests_on_the_host_is_converted_and_rests_where_the_new_state_does(before, after):
    params, state = trained(before)
    new_state, _ = gradtx.transfer_state(state, after, params, old_tx=before, strict=True)

    def places(state):
        return [leaf.sharding.memory_kind for leaf in jax.tree.leaves(state)]

    assert places(new_state) == places(after.init(params))
    trained(after, params, 1, new_state)
    on_host = gradtx.offloaded(gradtx.compensated(ADAMW))
    masters = gradtx.master_params(on_host.init(rounded(params)), rounded(params))
    chex.assert_trees_all_equal(masters, gradtx.tree.cast(rounded(params), jnp.float32))


def test_under_jit_and_from_shapes_it_is_the_same():
    params, state = trained_with("8 bits")

    def transferred(state, params):
        return gradtx.transfer_state(state, FORMS["dynamic"], params, old_tx=FORMS["8 bits"])

    new_state, report = transferred(state, params)
    under_jit = jax.jit(lambda state, params: transferred(state, params)[0])(state, params)
    chex.assert_trees_all_close(numbers(under_jit, "dynamic"), numbers(new_state, "dynamic"), atol=1e-2)
    forecast, its_report = transferred(*shapes_of((state, params)))
    chex.assert_trees_all_equal(forecast, jax.eval_shape(FORMS["dynamic"].init, params))
    assert its_report == report


def test_numpy_arrays_of_a_checkpoint_are_decoded():
    params, state = trained_with("8 bits")
    restored = jax.tree.map(np.asarray, state)
    expected, _ = gradtx.transfer_state(state, ADAMW, params, old_tx=FORMS["8 bits"])
    actual, _ = gradtx.transfer_state(restored, ADAMW, params, old_tx=FORMS["8 bits"])
    chex.assert_trees_all_equal(actual, expected)


def test_quantized_arrays_begin_again_with_their_parameter():
    tx = FORMS["8 bits"]
    params, state = trained(tx)
    after = gradtx.reset_state(state, tx, params, "a")
    mu, old = (gradtx.tree.get(each, "mu") for each in (after, state))
    chex.assert_trees_all_equal(mu["a"], gradtx.tree.get(tx.init(params), "mu")["a"])
    chex.assert_trees_all_equal(mu["b"], old["b"])


# --- 16-bit parameters ------------------------------------------------------------------------------------------------


def rounded(params, dtype=jnp.bfloat16):
    return gradtx.tree.cast(params, dtype)


def along(tx, params, state, steps):
    """Parameters and state after steps along gradients that are float32 numbers of 16 bits, and alike for all dtypes."""
    for step in steps:
        gradients = rounded(small_gradients(step))
        updates, state = tx.update(jax.tree.map(lambda g, p: g.astype(p.dtype), gradients, params), state, params)
        params = gradtx.apply_updates(params, updates)
    return params, state


def small_gradients(step):
    return jax.tree.map(lambda p: jax.random.normal(jax.random.key(step), p.shape), PARAMS)


def test_a_float32_run_goes_on_in_16_bits_and_back_to_the_bit():
    half = gradtx.compensated(ADAMW)
    params, state = along(ADAMW, PARAMS, ADAMW.init(PARAMS), range(3))
    low_state, report = gradtx.transfer_state(state, half, rounded(params), old_params=params, strict=True)
    assert "CompensatedState.low/a: from float32 to int16 beside bfloat16" in report.converted
    # Where a float32 is half-way between two bfloat16 numbers, it moves by one unit in its last place.
    chex.assert_trees_all_close(gradtx.master_params(low_state, rounded(params)), params, rtol=1.2e-7, atol=0)

    expected, expected_state = along(ADAMW, params, state, range(3, 8))
    low_params, low_state = along(half, rounded(params), low_state, range(3, 8))
    different = [jnp.mean(p != rounded(q)) for p, q in zip(*map(jax.tree.leaves, (low_params, expected)), strict=True)]
    assert max(different) < 1e-3

    masters = gradtx.master_params(low_state, low_params)
    back, report = gradtx.transfer_state(low_state, ADAMW, masters)
    assert names(report.dropped) == {f"CompensatedState.low/{name}" for name in PARAMS}
    assert not report.new
    chex.assert_trees_all_close(masters, expected, rtol=3e-7, atol=1e-9)
    chex.assert_trees_all_close(back, expected_state, rtol=1e-6)


def test_without_the_old_parameters_low_bits_are_0_and_the_report_says_so():
    params, state = trained_with("float32")
    half = gradtx.compensated(FORMS["8 bits"])
    low_state, report = gradtx.transfer_state(state, half, rounded(params))
    reason = "0, as only old_params has what was rounded away"
    assert report.new == tuple(f"CompensatedState.low/{name}: {reason}" for name in PARAMS)
    chex.assert_trees_all_equal(low_state.low, jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.int16), PARAMS))
    assert names(report.converted) == LARGE


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_other_low_bits_are_those_of_the_same_numbers(dtype):
    params, state = trained_with("float32")
    long, short = gradtx.compensated(ADAMW), gradtx.compensated(ADAMW, low_bits=8)
    low_params = rounded(params, dtype)
    state, _ = gradtx.transfer_state(state, long, low_params, old_params=params)
    shorter, report = gradtx.transfer_state(state, short, low_params, strict=True)
    assert f"CompensatedState.low/a: from int16 beside {low_params['a'].dtype} to int8 beside" in str(report)
    chex.assert_trees_all_close(gradtx.master_params(shorter, low_params), params, rtol=3e-5, atol=1e-7)
    again, _ = gradtx.transfer_state(shorter, long, low_params, strict=True)
    masters = [gradtx.master_params(each, low_params) for each in (again, shorter)]
    chex.assert_trees_all_equal(*masters)


def test_low_bits_go_on_as_they_are():
    tx = gradtx.compensated(FORMS["8 bits"])
    params, state = trained(tx, rounded(PARAMS))
    clipped = gradtx.compensated(gradtx.chain(gradtx.clip_by_global_norm(1.0), FORMS["8 bits"]))
    new_state, report = gradtx.transfer_state(state, clipped, params, old_tx=tx, strict=True)
    chex.assert_trees_all_equal(new_state.low, state.low)
    assert not report.converted


@pytest.mark.parametrize("low_bits", [16, 8])
def test_low_bits_grow_with_their_parameter(low_bits):
    params, state = trained_with("float32")
    low_params = rounded(params)
    state, _ = gradtx.transfer_state(state, gradtx.compensated(ADAMW), low_params, old_params=params)
    larger = {**low_params, "a": jnp.full((6, 512), 7, jnp.bfloat16).at[:4].set(low_params["a"])}
    tx = gradtx.compensated(ADAMW, low_bits=low_bits)
    for old_params in (None, low_params, params):
        new_state, report = gradtx.transfer_state(state, tx, larger, grow="a", strict=True, old_params=old_params)
        masters = gradtx.master_params(new_state, larger)
        rtol = 1.2e-7 if low_bits == 16 else 3e-5
        chex.assert_trees_all_close(masters["a"][:4], params["a"], rtol=rtol, atol=1e-7)
        chex.assert_trees_all_close(masters["b"], params["b"], rtol=rtol, atol=1e-7)
        chex.assert_trees_all_equal(masters["a"][4:], jnp.full((2, 512), 7.0))
        assert any(entry.startswith("CompensatedState.low/a") and "grown" in entry for entry in report.kept + report.converted)


def test_parameters_that_are_not_the_old_ones_rounded_are_an_error():
    params, state = trained_with("float32")
    with pytest.raises(ValueError, match="transfer_state: params are not old_params, rounded: 'a' is another"):
        gradtx.transfer_state(state, gradtx.compensated(ADAMW), rounded(PARAMS), old_params=params)


def test_master_params_of_wide_parameters_are_themselves():
    params = {"half": jnp.ones(3, jnp.bfloat16), "wide": jnp.ones(3)}
    tx = gradtx.compensated(gradtx.sgd(1e-4))
    updates, state = tx.update({"half": params["half"], "wide": params["wide"]}, tx.init(params), params)
    masters = gradtx.master_params(state, gradtx.apply_updates(params, updates))
    chex.assert_trees_all_close(masters, {"half": jnp.full(3, 1 - 1e-4), "wide": jnp.full(3, 1 - 1e-4)}, rtol=1e-7)
    plain = gradtx.sgd(0.1)
    assert gradtx.master_params(plain.init(params), params) is params
