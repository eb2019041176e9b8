"""`summary`: the composition, the groups and the state of an optimizer, as data."""

import equinox
import flax.core
import flax.nnx
import jax
import jax.numpy as jnp
import optax
import pytest
import zoo
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tables import table

import gradtx
from gradtx import testing
from gradtx.inspection.summary_data import Component, Summary
from gradtx.tree.quantized import is_quantized

BYTES = 4 * (6 * 4 + 2 * (3 * 2 + 3))  # of `small`
HALVING = {"sgd.learning_rate": zoo.halving}


def small(dtype=jnp.float32):
    """A matrix, and two layers with a vector each: 42 numbers."""
    return {
        "embed": jnp.ones((6, 4), dtype),
        "layers": [{"bias": jnp.ones(3, dtype), "kernel": jnp.ones((3, 2), dtype)} for _ in range(2)],
    }


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


def by_rank(params):
    return jax.tree.map(lambda p: "matrix" if p.ndim == 2 else "rest", params)


def entry(summary, field, label=""):
    """The one entry of a field."""
    (found,) = [entry for entry in summary.entries if entry.field == field and entry.label == label]
    return found


def names(component):
    """The composition as nested lists of names."""
    return [component.name, *map(names, component.parts)]


# --- the whole zoo ----------------------------------------------------------------------------------------------------


@table("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_the_bytes_of_the_state_are_those_of_the_real_one(label):
    tx, params = zoo.transformation(label), testing.sample_params()
    found = gradtx.summary(tx, params)
    state = tx.init(params)
    assert found.state_bytes == found.state_bytes_per_device == sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert found.state_arrays == len(jax.tree.leaves(state, is_leaf=is_quantized))
    assert sum(group.parameters for group in found.groups) == found.parameters
    assert str(found)
    assert found._repr_html_()


# --- the composition --------------------------------------------------------------------------------------------------


def test_the_composition_has_all_parts_with_their_hyperparameters():
    schedule = gradtx.cosine_decay_schedule(1e-3, 100)
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(schedule, mask=matrices))
    composition = gradtx.summary(tx, small()).composition
    assert names(composition) == [
        "chain",
        ["clip_by_global_norm"],
        ["adamw", ["scale_by_adam"], ["add_decayed_weights"], ["scale_by_learning_rate"]],
    ]
    clip, adamw = composition.parts
    assert clip == Component("clip_by_global_norm", None, {"max_norm": 1.0}, ())
    assert adamw.arguments == {
        "learning_rate": schedule,
        "b1": 0.9,
        "b2": 0.999,
        "eps": 1e-8,
        "eps_root": 0.0,
        "weight_decay": 1e-4,
        "mask": matrices,
    }


def test_what_is_no_number_is_an_argument_if_it_is_not_the_default():
    arguments = gradtx.summary(gradtx.sgd(0.1, 0.9, nesterov=True), small()).composition.arguments
    assert arguments == {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}


def test_names_of_a_chain_and_labels_of_a_partition_are_labels():
    divided = gradtx.partition({"matrix": gradtx.muon(0.02), "rest": gradtx.adam(1e-3)}, by_rank)
    tx = gradtx.named_chain(("clip", gradtx.clip(1.0)), ("groups", divided))
    clip, groups = gradtx.summary(tx, small()).composition.parts
    assert (clip.label, groups.label) == ("clip", "groups")
    assert [part.label for part in groups.parts] == ["matrix", "rest"]


@pytest.mark.parametrize(
    ("tx", "arguments"),
    [
        (
            gradtx.adjustable(gradtx.sgd(0.1), {"sgd.learning_rate": zoo.halving}),
            {"schedules": {"sgd.learning_rate": zoo.halving}},
        ),
        (gradtx.inject_hyperparams(gradtx.sgd)(0.1), {}),
    ],
)
def test_hyperparameters_in_a_state_are_those_of_the_wrapper_that_keeps_them(tx, arguments):
    composition = gradtx.summary(tx, small()).composition
    assert composition.arguments == {"sgd.learning_rate": 0.1, **arguments}
    (sgd,) = composition.parts
    assert (sgd.name, dict(sgd.arguments)) == ("sgd", {})


def test_of_another_library_the_name_and_the_state_are_known():
    found = gradtx.summary(gradtx.chain(gradtx.clip(1.0), optax.adam(1e-3)), small())  # pyright: ignore[reportArgumentType]
    assert names(found.composition) == ["chain", ["clip"], ["optax.chain"]]
    assert found.groups[0].weight_decay == ("unknown",)
    assert entry(found, "mu").like == "parameter"
    assert found.state_bytes == 2 * BYTES + 4


# --- the groups -------------------------------------------------------------------------------------------------------


def test_parameters_that_get_the_same_are_one_group():
    (group,) = gradtx.summary(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(1e-3)), small()).groups
    assert group.label == ""
    assert group.transformations == ("clip_by_global_norm", "adam")
    assert group.weight_decay == ()
    assert group.paths == ("embed", "layers/0/bias", "layers/0/kernel", "layers/1/bias", "layers/1/kernel")
    assert (group.parameters, group.bytes) == (42, BYTES)


def test_a_mask_of_the_decay_divides_them():
    decayed, others = gradtx.summary(gradtx.adamw(1e-3, weight_decay=0.1, mask=matrices), small()).groups
    assert (decayed.paths, decayed.weight_decay) == (("embed", "layers/0/kernel", "layers/1/kernel"), (0.1,))
    assert (others.paths, others.weight_decay) == (("layers/0/bias", "layers/1/bias"), ())
    assert others.transformations == ("adamw",)


def test_prodigy_has_a_mask_of_its_own():
    decayed, others = gradtx.summary(gradtx.prodigy(weight_decay=0.1, weight_decay_mask=matrices), small()).groups
    assert (decayed.weight_decay, others.weight_decay) == ((0.1,), ())


def test_labels_divide_them():
    tx = gradtx.partition({"matrix": gradtx.lion(1e-4), "rest": gradtx.set_to_zero()}, by_rank)
    matrix, rest = gradtx.summary(tx, small()).groups
    assert (matrix.label, matrix.transformations, matrix.weight_decay) == ("matrix", ("lion",), (1e-3,))
    assert (rest.label, rest.transformations, rest.paths) == ("rest", ("set_to_zero",), ("layers/0/bias", "layers/1/bias"))


def test_groups_by_path_divide_them():
    rules = [gradtx.Group("**/bias", weight_decay=0.0), gradtx.Group("embed", frozen=True), gradtx.Group("**")]
    found = gradtx.summary(gradtx.grouped(gradtx.adamw(1e-3, weight_decay=0.1), rules), small()).groups
    assert {(group.label, group.transformations, group.weight_decay) for group in found} == {
        ("bias", ("adamw",), ()),
        ("embed", ("set_to_zero",), ()),
        ("rest", ("adamw",), (0.1,)),
    }


def test_an_optimizer_that_divides_them_itself_keeps_its_name():
    matrix, rest = gradtx.summary(gradtx.muon(0.02), small()).groups
    assert (matrix.label, matrix.transformations) == ("muon", ("muon",))
    assert (rest.label, rest.transformations) == ("adam", ("muon",))


def test_a_weight_decay_in_the_state_may_be_any():
    (group,) = gradtx.summary(gradtx.inject_hyperparams(gradtx.adamw)(1e-3), small()).groups
    assert (group.transformations, group.weight_decay) == (("adamw",), ("in the state",))


@pytest.mark.parametrize("wrap", [gradtx.apply_if_finite, gradtx.MultiSteps, gradtx.flatten, gradtx.polyak_averaged])
def test_wrappers_are_named_by_what_they_wrap(wrap):
    arguments = {gradtx.apply_if_finite: [3], gradtx.MultiSteps: [2]}.get(wrap, [])
    (group,) = gradtx.summary(wrap(gradtx.adamw(1e-3), *arguments), small()).groups
    assert group.transformations == ("adamw",)


# --- the state --------------------------------------------------------------------------------------------------------


def test_adamw_in_float32_keeps_eight_bytes_a_parameter_and_a_count():
    found = gradtx.summary(gradtx.adamw(1e-3), small())
    assert (found.parameters, found.parameter_arrays, found.parameter_bytes) == (42, 5, BYTES)
    assert found.state_bytes == 8 * 42 + 4
    assert found.state_bytes_per_parameter == (8 * 42 + 4) / 42
    mu = entry(found, "mu")
    assert (mu.state, mu.like, mu.dtype, mu.arrays, mu.bytes, mu.name) == (
        "ScaleByAdamState",
        "parameter",
        "float32",
        5,
        BYTES,
        "ScaleByAdamState.mu",
    )
    count = entry(found, "count")
    assert (count.like, count.dtype, count.arrays, count.bytes) == ("scalar", "int32", 1, 4)


def test_parameters_and_a_first_moment_in_bfloat16_take_six_bytes_of_state():
    found = gradtx.summary(gradtx.adamw(1e-3, mu_dtype=jnp.bfloat16), small(jnp.bfloat16))
    assert found.parameter_bytes == 2 * 42
    assert found.state_bytes == 6 * 42 + 4
    assert (entry(found, "mu").dtype, entry(found, "nu").dtype) == ("bfloat16", "float32")


def test_rows_and_columns_are_factored_and_the_rest_is_whole():
    tx = gradtx.scale_by_factored_rms(min_dim_size_to_factor=2)
    found = {(entry.field, entry.like): entry.bytes for entry in gradtx.summary(tx, small()).entries}
    assert (
        found["v_row", "factored"] == found["v_col", "factored"] - 4 * (6 - 4 + 2 * (3 - 2)) or found["v_row", "factored"] > 0
    )
    assert found["v_row", "factored"] + found["v_col", "factored"] == 4 * (6 + 4 + 2 * (3 + 2))
    assert found["v", "parameter"] == 4 * 2 * 3


def test_accumulators_of_each_axis_are_factored():
    kinds = {entry.like for entry in gradtx.summary(gradtx.sm3(0.1), {"w": jnp.ones((3, 2))}).entries if entry.field == "mu"}
    assert kinds == {"factored"}


def test_past_steps_are_a_history():
    found = gradtx.summary(gradtx.scale_by_lbfgs(5), small())
    memory = entry(found, "diff_params_memory")
    assert (memory.like, memory.bytes) == ("history", 5 * BYTES)


def test_entries_have_the_labels_that_lead_to_them():
    tx = gradtx.partition({"matrix": gradtx.adam(1e-3), "rest": gradtx.sgd(0.1, momentum=0.9)}, by_rank)
    found = gradtx.summary(tx, small())
    assert entry(found, "mu", "matrix").arrays == 3
    assert entry(found, "trace", "rest").arrays == 2
    assert entry(found, "trace", "rest").name == "rest: TraceState.trace"


def test_states_of_one_type_are_apart_from_each_other():
    found = gradtx.summary(gradtx.chain(gradtx.trace(0.9), gradtx.trace(0.5)), small())
    assert [entry.bytes for entry in found.entries] == [BYTES, BYTES]


def test_a_wrapper_has_its_own_fields_alone():
    found = gradtx.summary(gradtx.polyak_averaged(gradtx.adam(1e-3)), small())
    assert [entry.name for entry in found.entries] == [
        "AveragedState.count",
        "AveragedState.average",
        "ScaleByAdamState.count",
        "ScaleByAdamState.mu",
        "ScaleByAdamState.nu",
    ]


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantized_field_is_that_of_the_state_inside_with_the_bits_of_its_codes(bits):
    params = {"w": jnp.ones((16, 512)), "b": jnp.ones(16)}
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.quantized(gradtx.adam(1e-3), bits=bits))
    found = gradtx.summary(tx, params)
    rows = {(entry.name, entry.dtype): (entry.like, entry.arrays, entry.bytes) for entry in found.entries}
    whole = 16 * 512 * bits // 8 + 4 * 16 * 512 // (256 if bits == 8 else 128)
    assert rows == {
        ("ScaleByAdamState.count", "int32"): ("scalar", 1, 4),
        **{(f"ScaleByAdamState.{field}", f"{bits} bit"): ("parameter", 1, whole) for field in ("mu", "nu")},
        **{(f"ScaleByAdamState.{field}", "float32"): ("parameter", 1, 64) for field in ("mu", "nu")},
    }
    assert found.state_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(tx.init(params)))


def test_what_is_quantized_need_not_be_like_the_parameters():
    flat = gradtx.summary(gradtx.quantized(gradtx.flatten(gradtx.adam(1e-3)), bits=4, min_size=8), small())
    assert (entry(flat, "mu").like, entry(flat, "mu").dtype) == ("other", "4 bit")
    memory = gradtx.summary(gradtx.quantized(gradtx.scale_by_lbfgs(5), min_size=1), jnp.ones((6, 4)))
    assert (entry(memory, "diff_params_memory").like, entry(memory, "diff_params_memory").dtype) == ("history", "8 bit")


def test_codes_are_sharded_like_the_parameter_and_scales_where_they_can_be():
    columns = jax.ShapeDtypeStruct((8, 512), jnp.float32, sharding=sharded(None, "devices"))  # two blocks for four devices
    rows = jax.ShapeDtypeStruct((8, 512), jnp.float32, sharding=sharded("devices"))
    found = gradtx.summary(gradtx.quantized(gradtx.trace(0.9), min_size=8), {"columns": columns, "rows": rows})
    codes, scales = 8 * 512, 4 * 8 * 2
    (trace,) = found.entries
    assert (trace.bytes, trace.bytes_per_device) == (2 * (codes + scales), 2 * codes // 4 + scales + scales // 4)
    assert (found.temporary_bytes, found.temporary_bytes_per_device) == (4 * codes, codes)


def test_what_rests_on_the_host_is_known():
    params = {"w": jnp.ones((16, 512)), "b": jnp.ones(16)}
    found = gradtx.summary(gradtx.offloaded(gradtx.chain(gradtx.trace(0.9), gradtx.quantized(gradtx.adam(1e-3)))), params)
    on_host = {(entry.field, entry.dtype): entry.bytes_on_host for entry in found.entries if entry.bytes_on_host}
    codes = 16 * 512  # their scales are few, and stay
    assert on_host == {("trace", "float32"): 4 * codes, ("mu", "8 bit"): codes, ("nu", "8 bit"): codes}
    assert found.state_bytes_on_host == 6 * codes
    plain = gradtx.summary(gradtx.chain(gradtx.trace(0.9), gradtx.quantized(gradtx.adam(1e-3))), params)
    assert plain.state_bytes_on_host == 0
    assert (plain.state_bytes, plain.peak_bytes) == (found.state_bytes, found.peak_bytes)


def test_the_low_bits_of_compensated_parameters_are_a_field():
    found = gradtx.summary(gradtx.compensated(gradtx.adam(1e-3)), small(jnp.bfloat16))
    assert (entry(found, "low").dtype, entry(found, "low").bytes, entry(found, "low").like) == ("int16", 2 * 42, "parameter")
    eight = gradtx.summary(gradtx.compensated(gradtx.adam(1e-3), low_bits=8), small(jnp.bfloat16))
    assert (entry(eight, "low").dtype, entry(eight, "low").bytes) == ("int8", 42)


def test_the_dtypes_are_those_in_which_the_state_is_stored():
    found = gradtx.summary(gradtx.stored(gradtx.adam(1e-3), {"mu": jnp.bfloat16}), small())
    assert {field: entry(found, field).dtype for field in ("mu", "nu")} == {"mu": "bfloat16", "nu": "float32"}


@pytest.mark.parametrize("params", [jnp.ones((3, 2)), (jnp.ones((3, 2)), jnp.ones(2)), [jnp.ones(())], {}, {"w": None}])
def test_parameters_may_be_any_tree(params):
    tx = gradtx.chain(gradtx.trace(0.9), gradtx.adam(1e-3))
    found = gradtx.summary(tx, params)
    assert found.parameter_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    assert found.state_bytes == 3 * found.parameter_bytes + 4
    assert found.state_bytes_per_parameter == (found.state_bytes / found.parameters if found.parameters else 0)


@pytest.mark.parametrize(
    ("params", "path"),
    [
        (flax.core.freeze({"dense": {"kernel": jnp.ones((3, 2))}}), "dense/kernel"),
        (equinox.filter(equinox.nn.Linear(3, 2, use_bias=False, key=jax.random.key(0)), equinox.is_array), "weight"),
        (flax.nnx.state(flax.nnx.Linear(3, 2, use_bias=False, rngs=flax.nnx.Rngs(0))), "kernel"),
    ],
    ids=["FrozenDict", "equinox", "nnx"],
)
def test_parameters_of_other_libraries_have_their_paths(params, path):
    found = gradtx.summary(gradtx.adam(1e-3), params)
    assert found.groups[0].paths == (path,)
    assert (entry(found, "mu").like, entry(found, "mu").bytes) == ("parameter", 24)


# --- the peak ---------------------------------------------------------------------------------------------------------


def beside(tx, params):
    """The bytes of a donated and compiled training step beside parameters and state, as the compiler says."""

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    shapes = jax.eval_shape(lambda: params)
    state = jax.eval_shape(tx.init, shapes)
    memory = jax.jit(step, donate_argnums=(0, 1)).lower(shapes, state, shapes).compile().memory_analysis()
    assert memory is not None
    kept = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((shapes, state)))
    return memory.argument_size_in_bytes - kept + memory.temp_size_in_bytes


@pytest.mark.parametrize(
    ("tx", "dtype"),
    [
        (gradtx.adamw(1e-3), "float32"),
        (gradtx.adamw(1e-3), "bfloat16"),
        (gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3)), "float32"),
        (gradtx.quantized(gradtx.adamw(1e-3)), "float32"),
        (gradtx.quantized(gradtx.ademamix(1e-3)), "float32"),
        (gradtx.stochastically_rounded(gradtx.adamw(1e-3), 0), "bfloat16"),
    ],
)
def test_an_update_holds_what_the_compiler_says(tx, dtype):
    params = {"large": jnp.ones((128, 512), dtype), **{str(k): jnp.ones((64, 512), dtype) for k in range(3)}}
    found = gradtx.summary(tx, params)
    assert found.peak_bytes - found.parameter_bytes - found.state_bytes == pytest.approx(beside(tx, params), rel=0.05)


@pytest.mark.parametrize(
    ("tx", "dtype"), [(gradtx.muon(1e-3), "float32"), (gradtx.compensated(gradtx.adamw(1e-3)), "bfloat16")]
)
def test_what_is_computed_with_besides_is_not_known(tx, dtype):
    params = {str(k): jnp.ones((64, 512), dtype) for k in range(3)}
    found = gradtx.summary(tx, params)
    assert found.peak_bytes - found.parameter_bytes - found.state_bytes < beside(tx, params)


def test_of_quantized_arrays_those_of_the_largest_parameter_are_decoded_at_a_time():
    params = {"large": jnp.ones((64, 512)), "small": jnp.ones((32, 512)), "kept": jnp.ones(3)}
    for inner, moments in [(gradtx.trace(0.9), 1), (gradtx.adam(1e-3), 2), (gradtx.ademamix(1e-3), 3)]:
        assert gradtx.summary(gradtx.quantized(inner), params).temporary_bytes == moments * 4 * 64 * 512


def test_updates_of_16_bit_parameters_are_for_a_while_in_float32_if_they_are_compensated():
    params = {"matrix": jnp.ones((3, 2), jnp.bfloat16), "wide": jnp.ones((5, 4)), "vector": jnp.ones(7, jnp.bfloat16)}
    assert gradtx.summary(gradtx.adam(1e-2), params).temporary_bytes == 0
    wrapped = gradtx.compensated(gradtx.adam(1e-2))
    assert gradtx.summary(gradtx.apply_if_finite(wrapped, 3), params).temporary_bytes == 4 * (6 + 7)
    divided = gradtx.partition({"matrix": wrapped, "rest": gradtx.adam(1e-2)}, by_rank)
    assert gradtx.summary(divided, params).temporary_bytes == 4 * 6


# --- shapes alone -----------------------------------------------------------------------------------------------------


def test_shapes_are_enough():
    tx = gradtx.adamw(1e-3, mask=matrices)
    assert gradtx.summary(tx, jax.eval_shape(small)) == gradtx.summary(tx, small())


def test_a_large_model_is_never_in_memory():
    width, layers = 8192, 80
    layer = {name: jax.ShapeDtypeStruct((width, width), jnp.bfloat16) for name in ("q", "k", "v", "o")}
    found = gradtx.summary(gradtx.adamw(1e-3), {"layers": [layer] * layers})
    assert found.parameters == 4 * layers * width**2
    assert found.state_bytes == 8 * found.parameters + 4


def test_it_may_be_asked_for_under_jit():
    found = []
    jax.eval_shape(lambda params: found.append(gradtx.summary(gradtx.adam(1e-3), params)), small())
    assert found == [gradtx.summary(gradtx.adam(1e-3), small())]


# --- sharding ---------------------------------------------------------------------------------------------------------


def sharded(*spec):
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    return NamedSharding(mesh, P(*spec))


def test_a_divided_state_is_counted_as_abstract_state_says():
    params = {name: jax.ShapeDtypeStruct((8, 4), jnp.float32, sharding=sharded(*spec)) for name, spec in SPECS.items()}
    found = gradtx.summary(gradtx.sharded(gradtx.adam(1e-3), "devices"), params)
    assert (found.parameter_bytes_per_device, found.is_sharded) == (4 * (32 + 8), True)
    mu = entry(found, "mu")
    assert (mu.bytes, mu.bytes_per_device, mu.sharding) == (4 * 64, 4 * 16, "P('devices',)")
    assert "per device" in str(found)
    assert entry(gradtx.summary(gradtx.adam(1e-3), params), "mu").sharding == "as the parameters"


SPECS = {"copied": (), "split": ("devices",)}


def test_what_looks_like_a_parameter_is_sharded_like_it():
    params = {
        "w": jax.ShapeDtypeStruct((8, 4), jnp.float32, sharding=sharded("devices")),
        "b": jax.ShapeDtypeStruct((4,), jnp.float32, sharding=sharded()),
    }
    found = gradtx.summary(gradtx.adam(1e-3), params)
    assert (found.parameter_bytes, found.parameter_bytes_per_device) == (4 * 36, 4 * (8 + 4))
    mu = entry(found, "mu")
    assert (mu.bytes, mu.bytes_per_device, mu.sharding) == (4 * 36, 4 * (8 + 4), "as the parameters")
    assert entry(found, "count").bytes_per_device == 4
    assert found.state_bytes_per_device == 2 * 4 * (8 + 4) + 4
    assert "per device" in str(found)


def test_one_sharding_of_all_is_named():
    params = {"w": jax.device_put(jnp.ones((8, 4)), sharded(None, "devices"))}
    found = gradtx.summary(gradtx.adam(1e-3), params)
    assert entry(found, "mu").sharding == str(P(None, "devices"))
    real = gradtx.adam(1e-3).init(params)
    on_a_device = [leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(real)]
    assert found.state_bytes_per_device == sum(on_a_device)


def test_on_one_device_nothing_is_said_of_sharding():
    found = gradtx.summary(gradtx.adam(1e-3), small())
    assert not found.is_sharded
    assert "per device" not in str(found)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_what_is_no_transformation_is_refused():
    with pytest.raises(TypeError, match=r"has an init and an update; got .*adam"):
        gradtx.summary(gradtx.adam, small())  # pyright: ignore[reportArgumentType]


def test_what_is_no_array_is_refused_by_path():
    with pytest.raises(TypeError, match=r"summary: params\['act'\]"):
        gradtx.summary(gradtx.adam(1e-3), {"w": jnp.ones(3), "act": jax.nn.relu})


def test_what_the_optimizer_refuses_is_refused():
    with pytest.raises(TypeError, match=r"scale_by_adam: params\['steps'\] has dtype int32"):
        gradtx.summary(gradtx.adam(1e-3), {"steps": jnp.arange(3)})


def test_a_summary_is_a_value():
    first, second = (gradtx.summary(gradtx.adam(1e-3), small()) for _ in range(2))
    assert isinstance(first, Summary)
    assert first == second


def test_each_pattern_is_asked_about_a_parameter_once_for_the_state_and_once_for_the_parts():
    asked = []

    def is_last(path, leaf):
        asked.append(path)
        return path == "9"

    params = {str(k): jnp.ones(2) for k in range(10)}
    tx = gradtx.grouped(gradtx.adamw(0.1), [gradtx.Group(is_last), gradtx.Group("**")])
    assert len(gradtx.summary(tx, params).groups) == 2
    assert sorted(asked) == sorted(2 * list(params))
