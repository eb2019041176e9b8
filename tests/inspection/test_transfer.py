"""What `transfer_state` keeps, begins again and drops."""

import chex
import hypothesis
import hypothesis.strategies
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_runs
import zoo
from tables import table

import gradtx
from gradtx import testing
from gradtx.testing.samples import shapes_of
from gradtx.tree.quantized import is_quantized

ADAM = ("count", "mu/b", "mu/w", "nu/b", "nu/w")
PARAMS = {"w": jnp.asarray([[1.0, -2.0, 3.0], [0.5, 0.25, -1.0]]), "b": jnp.asarray([0.5, -0.5, 2.0])}
LABELS = {"w": "matrix", "b": "rest"}


def adam(*only, title="ScaleByAdamState"):
    """The names of Adam's entries, of these parameters alone if some are given."""
    shown = [name for name in ADAM if not only or name == "count" or name.endswith(only)]
    return {f"{title}.{name}" for name in shown}


def trained(tx, params=PARAMS, steps=3, state=None):
    return small_runs.trained(tx, params, steps, state)


def state_of(tx, params=PARAMS):
    return trained(tx, params)[1]


def assert_report(report, kept=(), new=(), dropped=()):
    assert set(report.kept) == set(kept)
    assert {name.split(": ")[0] for name in report.new} == set(new)
    assert set(report.dropped) == set(dropped)


def adam_state(state):
    """The one state of Adam in a state."""
    return gradtx.tree.get(state, "ScaleByAdamState")


# --- the whole zoo ----------------------------------------------------------------------------------------------------


def marked(leaf, number):
    """An array like no other in the state, with bools and keys as they are."""
    return leaf + jnp.asarray(number, leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.number) else leaf


@table("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_to_the_same_optimizer_everything_is_kept(label):
    tx = zoo.transformation(label)
    params = testing.sample_params()
    leaves, structure = jax.tree.flatten(tx.init(params))
    state = structure.unflatten([marked(leaf, number) for number, leaf in enumerate(leaves)])
    new_state, report = gradtx.transfer_state(state, tx, params, strict=True)
    chex.assert_trees_all_equal(new_state, state)
    chex.assert_trees_all_equal_structs(new_state, state)
    assert len(report.kept) == len(jax.tree.leaves(state, is_leaf=is_quantized))
    assert not report.converted
    assert len(set(report.kept)) == len(report.kept)


# --- transformations come and go --------------------------------------------------------------------------------------


def test_a_clip_and_a_schedule_are_added():
    state = state_of(gradtx.adamw(0.1))
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 10)))
    new_state, report = gradtx.transfer_state(state, tx, PARAMS)
    chex.assert_trees_all_equal(adam_state(new_state), adam_state(state))
    assert_report(report, kept=adam(), new=["ScaleByScheduleState.count"])
    assert report.new == ("ScaleByScheduleState.count: no counterpart",)


def test_what_is_left_out_is_dropped():
    _, report = gradtx.transfer_state(state_of(gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 10))), gradtx.adam(0.1), PARAMS)
    assert_report(report, kept=adam(), dropped=["ScaleByScheduleState.count"])


WRAPPERS = {
    "masked": lambda tx: gradtx.masked(tx, {"w": True, "b": True}),
    "named_chain": lambda tx: gradtx.named_chain(("clip", gradtx.clip(1.0)), ("adam", tx)),
    "apply_if_finite": lambda tx: gradtx.apply_if_finite(tx, 3),
    "MultiSteps": lambda tx: gradtx.MultiSteps(tx, 2),
    "exponentially_averaged": gradtx.exponentially_averaged,
    "schedule_free": lambda tx: gradtx.schedule_free(tx, 0.1),
    "lookahead": lambda tx: zoo.synced(gradtx.lookahead(tx, 2, 0.5)),
    "adjustable": lambda tx: gradtx.adjustable(tx),
    "grouped": lambda tx: gradtx.grouped(tx, [gradtx.Group("**")]),
}


@pytest.mark.parametrize("label", WRAPPERS)
def test_a_wrapper_is_put_around_and_taken_off(label):
    tx, wrapped = gradtx.adam(0.1), WRAPPERS[label](gradtx.adam(0.1))
    state = state_of(tx)
    inside, report = gradtx.transfer_state(state, wrapped, PARAMS)
    chex.assert_trees_all_equal(adam_state(inside), adam_state(state))
    assert not report.dropped
    again, report = gradtx.transfer_state(inside, tx, PARAMS)
    chex.assert_trees_all_equal(again, state)
    assert not report.new


def test_injected_hyperparameters_are_put_around_and_taken_off_with_their_schedules():
    falling, rising = gradtx.linear_schedule(0.1, 0.0, 10), gradtx.linear_schedule(0.0, 0.1, 10)
    tx = gradtx.adamw(falling, weight_decay=rising)
    injected = gradtx.inject_hyperparams(gradtx.adamw)(falling, weight_decay=rising)
    state = state_of(tx)
    inside, report = gradtx.transfer_state(state, injected, PARAMS)
    assert not [name for name in report.new if "WrappedScheduleState" in name]
    assert {schedule.count.item() for schedule in inside.hyperparams_states.values()} == {3}
    again, report = gradtx.transfer_state(inside, tx, PARAMS)
    chex.assert_trees_all_equal(again, state)
    assert not report.new


def test_a_state_of_what_older_programs_injected_goes_on():
    tx = gradtx.inject_hyperparams(gradtx.adam)(0.1)
    state = state_of(tx)
    older = gradtx.InjectHyperparamsState(state.count, {"learning_rate": 0.5}, state.inner_state)
    new_state, report = gradtx.transfer_state(older, tx, PARAMS)
    assert new_state.hyperparams["learning_rate"] == 0.5
    chex.assert_trees_all_equal(new_state.inner_state, state.inner_state)
    assert not report.dropped


def test_a_second_adam_gets_nothing():
    state = state_of(gradtx.adam(0.1))
    new_state, report = gradtx.transfer_state(state, gradtx.chain(gradtx.adam(0.1), gradtx.scale_by_adam()), PARAMS)
    chex.assert_trees_all_equal(new_state[0], state)
    chex.assert_trees_all_equal(new_state[1], gradtx.scale_by_adam().init(PARAMS))
    assert_report(report, adam(title="ScaleByAdamState[0]"), adam(title="ScaleByAdamState[1]"))
    assert report.new[0].endswith("its counterpart continues elsewhere")


def test_of_two_that_are_alike_each_goes_on_in_its_place():
    two = gradtx.chain(gradtx.trace(0.9), gradtx.trace(0.5))
    state = state_of(two)
    longer = gradtx.chain(gradtx.clip(1.0), gradtx.trace(0.9), gradtx.scale(2.0), gradtx.trace(0.5))
    new_state, _ = gradtx.transfer_state(state, longer, PARAMS, strict=True)
    chex.assert_trees_all_equal((new_state[1], new_state[3]), state)


def test_of_two_that_are_alike_each_goes_on_under_its_name():
    state = state_of(gradtx.named_chain(("fast", gradtx.trace(0.5)), ("slow", gradtx.trace(0.9))))
    turned = gradtx.named_chain(("slow", gradtx.trace(0.9)), ("fast", gradtx.trace(0.5)))
    new_state, _ = gradtx.transfer_state(state, turned, PARAMS, strict=True)
    chex.assert_trees_all_equal(new_state, state)


# --- groups -----------------------------------------------------------------------------------------------------------

SCHEDULED = gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 10))


def test_groups_keep_the_moments_of_their_parameters_and_the_count():
    state = state_of(SCHEDULED)
    groups = gradtx.partition({"matrix": SCHEDULED, "rest": SCHEDULED}, LABELS)
    split, report = gradtx.transfer_state(state, groups, PARAMS, strict=True)
    assert {"matrix.ScaleByAdamState.count", "rest.ScaleByAdamState.mu/b", "rest.ScaleByScheduleState.count"} <= set(
        report.kept
    )
    for inner in split.inner_states.values():
        assert inner.inner_state[0].count == inner.inner_state[2].count == 3
    joined, _ = gradtx.transfer_state(split, SCHEDULED, PARAMS, strict=True)
    chex.assert_trees_all_equal(joined, state)


def test_masks_for_different_parameters_are_groups():
    masks = gradtx.chain(
        gradtx.masked(SCHEDULED, {"w": True, "b": False}), gradtx.clip(1.0), gradtx.masked(SCHEDULED, {"w": False, "b": True})
    )
    state = state_of(SCHEDULED)
    split, _ = gradtx.transfer_state(state, masks, PARAMS, strict=True)
    assert split[0].inner_state[2].count == split[2].inner_state[2].count == 3
    joined, _ = gradtx.transfer_state(split, SCHEDULED, PARAMS, strict=True)
    chex.assert_trees_all_equal(joined, state)


def test_groups_without_moments_go_on_with_the_count_of_the_schedule():
    scheduled = gradtx.sgd(gradtx.linear_schedule(0.1, 0.0, 10))
    state = state_of(scheduled)
    groups = gradtx.partition({"matrix": scheduled, "rest": scheduled}, LABELS)
    split, _ = gradtx.transfer_state(state, groups, PARAMS, strict=True)
    assert {leaf.item() for leaf in jax.tree.leaves(split)} == {3}


def test_a_second_schedule_begins_again():
    scheduled = gradtx.sgd(gradtx.linear_schedule(0.1, 0.0, 10))
    new_state, report = gradtx.transfer_state(state_of(scheduled), gradtx.chain(scheduled, scheduled), PARAMS)
    assert sorted(leaf.item() for leaf in jax.tree.leaves(new_state)) == [0, 3]
    assert report.new == ("ScaleByScheduleState[1].count: its counterpart continues elsewhere",)


def test_counts_of_groups_that_differ_are_reported():
    groups = gradtx.partition({"matrix": gradtx.adam(0.1), "rest": gradtx.adam(0.1)}, LABELS)
    state = gradtx.tree.set(
        state_of(groups), lambda path, value: "rest" in jax.tree_util.keystr(path), **{"ScaleByAdamState.count": 7}
    )
    joined, report = gradtx.transfer_state(state, gradtx.adam(0.1), PARAMS)
    assert joined[0].count == 3
    assert report.dropped == ("rest.ScaleByAdamState.count",)


def test_a_group_of_new_parameters_begins_with_its_own_count():
    state = state_of(gradtx.adam(0.1), {"w": PARAMS["w"]})
    groups = gradtx.partition({"matrix": gradtx.adam(0.1), "rest": gradtx.adam(0.1)}, LABELS)
    new_state, report = gradtx.transfer_state(state, groups, PARAMS)
    assert new_state.inner_states["rest"].inner_state[0].count == 0
    assert_report(report, adam("w", title="matrix.ScaleByAdamState"), adam("b", title="rest.ScaleByAdamState"))


def test_a_parameter_is_frozen_and_thawed():
    tx = gradtx.adam(0.1)
    frozen = gradtx.selective_transform(tx, freeze_mask={"w": False, "b": True})
    state = state_of(tx)
    without, report = gradtx.transfer_state(state, frozen, PARAMS)
    assert_report(report, adam("w", title="train.ScaleByAdamState"), (), {"ScaleByAdamState.mu/b", "ScaleByAdamState.nu/b"})
    thawed, report = gradtx.transfer_state(without, tx, PARAMS)
    assert_report(report, adam("w"), {"ScaleByAdamState.mu/b", "ScaleByAdamState.nu/b"})
    chex.assert_trees_all_equal(thawed[0].mu["w"], state[0].mu["w"])
    chex.assert_trees_all_equal(thawed[0].mu["b"], jnp.zeros(3))


# --- any groups -------------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
LABELLED = hypothesis.strategies.fixed_dictionaries({name: hypothesis.strategies.sampled_from("xyz") for name in NAMES})


def grouped(labels):
    return gradtx.partition({label: gradtx.adam(0.1) for label in "xyz"}, labels)


@hypothesis.given(LABELLED, LABELLED)
@hypothesis.settings(max_examples=30, deadline=None)
def test_whatever_the_groups_every_parameter_keeps_its_moments(before, after):
    params = {name: jnp.zeros(number) for number, name in enumerate(NAMES, 1)}
    state = jax.tree.map(lambda leaf: leaf + 5, grouped(before).init(params))
    actual, report = gradtx.transfer_state(state, grouped(after), params)
    used = {*after.values()}
    assert not [name for name in report.new if name[0] in used]
    assert not [name for name in report.dropped if "/" in name]
    chex.assert_trees_all_equal(
        {label: actual.inner_states[label] for label in used},
        {label: jax.tree.map(lambda leaf: leaf + 5, grouped(after).init(params).inner_states[label]) for label in used},
    )


# --- parameters -------------------------------------------------------------------------------------------------------


def test_a_layer_is_added_and_removed():
    more = {**PARAMS, "head": jnp.ones(2)}
    state = state_of(gradtx.adam(0.1))
    longer, report = gradtx.transfer_state(state, gradtx.adam(0.1), more)
    assert_report(report, adam(), {"ScaleByAdamState.mu/head", "ScaleByAdamState.nu/head"})
    shorter, report = gradtx.transfer_state(longer, gradtx.adam(0.1), PARAMS)
    chex.assert_trees_all_equal(shorter, state)
    assert_report(report, adam(), (), {"ScaleByAdamState.mu/head", "ScaleByAdamState.nu/head"})


def test_another_shape_begins_again_and_says_so():
    params = {**PARAMS, "b": jnp.ones(4)}
    new_state, report = gradtx.transfer_state(state_of(gradtx.adam(0.1)), gradtx.adam(0.1), params)
    chex.assert_trees_all_equal(new_state[0].mu["b"], jnp.zeros(4))
    assert "ScaleByAdamState.mu/b: shape (4,) instead of (3,)" in report.new
    assert_report(report, adam("w"), *[{"ScaleByAdamState.mu/b", "ScaleByAdamState.nu/b"}] * 2)


def test_where_no_moment_is_kept_the_count_begins_again():
    params = jax.tree.map(lambda p: jnp.concatenate([p, p], axis=-1), PARAMS)
    new_state, report = gradtx.transfer_state(state_of(gradtx.adam(0.1)), gradtx.adam(0.1), params)
    chex.assert_trees_all_equal(new_state, gradtx.adam(0.1).init(params))
    assert "ScaleByAdamState.count: nothing beside it is kept" in report.new


def test_a_renamed_parameter_is_found_again():
    old = {"encoder": PARAMS, "head": {"w": jnp.ones(2)}}
    new = {"backbone": {"encoder": PARAMS}, "head": {"weight": jnp.ones(2)}}
    renamed = {"encoder": "backbone/encoder", "head/w": "head/weight"}
    state = state_of(gradtx.adam(0.1), old)
    new_state, report = gradtx.transfer_state(state, gradtx.adam(0.1), new, renamed=renamed, strict=True)
    chex.assert_trees_all_equal(new_state[0].mu["backbone"]["encoder"], state[0].mu["encoder"])
    chex.assert_trees_all_equal(new_state[0].nu["head"]["weight"], state[0].nu["head"]["w"])
    assert "ScaleByAdamState.mu/backbone/encoder/w" in report.kept


def test_all_parameters_are_moved_below_a_name_and_back():
    tx = gradtx.inject_hyperparams(gradtx.adam)(0.1)
    below = {"model": PARAMS}
    state = state_of(tx)
    new_state, _ = gradtx.transfer_state(state, tx, below, renamed={"": "model"}, strict=True)
    chex.assert_trees_all_equal(new_state.inner_state[0].mu["model"], state.inner_state[0].mu)
    again, _ = gradtx.transfer_state(new_state, tx, PARAMS, renamed={"model": ""}, strict=True)
    chex.assert_trees_all_equal(again, state)


def test_several_arrays_of_one_parameter_are_renamed_with_it():
    state = state_of(gradtx.sm3(0.1))
    params = {"weight": PARAMS["w"], "b": PARAMS["b"]}
    new_state, _ = gradtx.transfer_state(state, gradtx.sm3(0.1), params, renamed={"w": "weight"}, strict=True)
    chex.assert_trees_all_equal(new_state[0].mu["weight"], state[0].mu["w"])


def test_a_single_array_is_a_tree_of_parameters():
    state = state_of(gradtx.adam(0.1), PARAMS["w"])
    tx = gradtx.chain(gradtx.adam(0.1), gradtx.scale_by_adam())
    new_state, report = gradtx.transfer_state(state, tx, PARAMS["w"])
    chex.assert_trees_all_equal(new_state[0], state)
    chex.assert_trees_all_equal(new_state[1], gradtx.scale_by_adam().init(PARAMS["w"]))
    assert report.kept == tuple(f"ScaleByAdamState[0].{name}" for name in ("count", "mu", "nu"))


def test_a_parameter_grows():
    state = state_of(gradtx.adam(0.1))
    params = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}
    new_state, report = gradtx.transfer_state(state, gradtx.adam(0.1), params, grow="w")
    expected = jnp.zeros((3, 4)).at[:2, :3].set(state[0].nu["w"])
    chex.assert_trees_all_equal(new_state[0].nu["w"], expected)
    assert "ScaleByAdamState.nu/w: grown from (2, 3) to (3, 4)" in report.kept
    assert "ScaleByAdamState.nu/b: shape (4,) instead of (3,)" in report.new
    _, report = gradtx.transfer_state(state, gradtx.adam(0.1), params, grow=True, strict=True)
    assert not report.new


def test_what_has_grown_keeps_what_the_new_state_has_of_the_parameters_beyond():
    tx = gradtx.polyak_averaged(gradtx.sgd(0.1))
    state = state_of(tx)
    params = {"w": jnp.full((4, 3), 7.0), "b": PARAMS["b"]}
    new_state, _ = gradtx.transfer_state(state, tx, params, grow=True)
    chex.assert_trees_all_equal(new_state.average["w"], jnp.concatenate([state.average["w"], jnp.full((2, 3), 7.0)]))


def test_a_smaller_shape_is_none_that_has_grown():
    _, report = gradtx.transfer_state(state_of(gradtx.adam(0.1)), gradtx.adam(0.1), {**PARAMS, "b": jnp.ones(2)}, grow=True)
    assert "ScaleByAdamState.mu/b: shape (2,) instead of (3,)" in report.new


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_another_dtype_of_a_moment_is_cast():
    state = state_of(gradtx.adam(0.1))
    new_state, _ = gradtx.transfer_state(state, gradtx.adam(0.1, mu_dtype=jnp.bfloat16), PARAMS, strict=True)
    assert new_state[0].mu["w"].dtype == jnp.bfloat16
    chex.assert_trees_all_equal(new_state[0].mu, gradtx.tree.cast(state[0].mu, jnp.bfloat16))


def test_a_complex_number_is_not_made_real():
    params = {"w": jnp.ones(2, jnp.complex64)}
    state = state_of(gradtx.trace(0.9), params)
    new_state, report = gradtx.transfer_state(state, gradtx.trace(0.9), {"w": jnp.ones(2)})
    assert report.new == ("TraceState.trace/w: dtype float32 instead of complex64",)
    chex.assert_trees_all_equal(new_state.trace["w"], jnp.zeros(2))


def test_keys_go_on():
    tx = gradtx.add_noise(0.1, 0.5, key=jax.random.key(3))
    state = state_of(tx)
    new_state, _ = gradtx.transfer_state(state, gradtx.chain(gradtx.clip(1.0), tx), PARAMS, strict=True)
    chex.assert_trees_all_equal(*(jax.random.key_data(each.rng_key) for each in (new_state[1], state)))


def test_no_two_arrays_share_a_buffer_and_the_old_state_goes_on():
    state = state_of(SCHEDULED)
    groups = gradtx.partition({"matrix": SCHEDULED, "rest": SCHEDULED}, LABELS)
    new_state, _ = gradtx.transfer_state(state, groups, PARAMS)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((state, new_state, PARAMS))]
    assert len(set(pointers)) == len(pointers)
    jax.jit(lambda state: jax.tree.map(jnp.negative, state), donate_argnums=0)(new_state)
    chex.assert_tree_all_finite(state)


def test_numpy_arrays_and_numbers_of_a_checkpoint_are_taken_over():
    state = state_of(gradtx.adam(0.1))
    restored = jax.tree.map(lambda x: np.asarray(x, np.float64 if x.ndim else np.int64), state)
    new_state, _ = gradtx.transfer_state(restored, gradtx.adam(0.1), PARAMS, strict=True)
    chex.assert_trees_all_equal(new_state, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)
    numbers, _ = gradtx.transfer_state(gradtx.tree.set(state, count=3), gradtx.adam(0.1), PARAMS, strict=True)
    chex.assert_trees_all_equal_shapes_and_dtypes(numbers, state)


def test_a_state_of_optax_is_taken_over():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = state_of(optax.chain(optax.masked(optax.adamw(0.1), {"w": True, "b": False}), optax.trace(0.9)))
    tx = gradtx.chain(gradtx.masked(gradtx.adamw(0.1), {"w": True, "b": False}), gradtx.trace(0.9))
    new_state, _ = gradtx.transfer_state(theirs, tx, PARAMS, strict=True)
    chex.assert_trees_all_equal(jax.tree.leaves(new_state), jax.tree.leaves(theirs))


def split_among_devices(params, axis_type=jax.sharding.AxisType.Auto):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    return jax.device_put(params, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))


@pytest.mark.parametrize("axis_type", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit])
def test_the_state_has_the_sharding_that_init_gives(axis_type):
    tx = gradtx.adam(0.1)
    params = {"w": jnp.arange(8.0)}
    split = split_among_devices(params, axis_type)
    state = state_of(tx, params)
    spread, _ = gradtx.transfer_state(state, tx, split)
    assert spread[0].mu["w"].sharding == split["w"].sharding
    alone, _ = gradtx.transfer_state(spread, tx, params)
    assert {len(leaf.devices()) for leaf in jax.tree.leaves(alone)} == {1}
    chex.assert_trees_all_equal(jax.device_get((spread, alone)), jax.device_get((state, state)))


def test_a_count_that_was_on_one_device_is_free_to_go_on_with_parameters_on_others():
    tx = gradtx.adam(0.1)
    params = {"w": jnp.arange(8.0)}
    elsewhere = jax.device_put(state_of(tx, params), jax.devices()[3])
    split = split_among_devices(params)
    state, _ = gradtx.transfer_state(elsewhere, tx, split, strict=True)
    _, state = jax.jit(tx.update)(split, state, split)
    assert state[0].mu["w"].sharding.device_set == split["w"].sharding.device_set


def test_what_has_grown_is_laid_out_as_the_new_state_is():
    split = split_among_devices({"w": jnp.zeros(12)})
    tx = gradtx.adam(0.1)
    old = state_of(tx, {"w": jnp.arange(8.0)})
    state, _ = gradtx.transfer_state(old, tx, split, grow=True)
    assert state[0].mu["w"].sharding == split["w"].sharding
    chex.assert_trees_all_equal(np.asarray(state[0].mu["w"])[:8], np.asarray(old[0].mu["w"]))


def test_from_shapes_there_is_a_report_and_a_state_of_shapes():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.adam(0.1))
    shapes = shapes_of((state_of(gradtx.adam(0.1)), PARAMS))
    for state, params in [shapes, (shapes[0], PARAMS), (state_of(gradtx.adam(0.1)), shapes[1])]:
        new_state, report = gradtx.transfer_state(state, tx, params)
        assert_report(report, adam())
        chex.assert_trees_all_equal(new_state, jax.eval_shape(tx.init, PARAMS))


def test_under_jit_it_is_the_same():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.adam(0.1))
    state = state_of(gradtx.adam(0.1))
    new_state = jax.jit(lambda state, params: gradtx.transfer_state(state, tx, params)[0])(state, PARAMS)
    chex.assert_trees_all_equal(new_state, gradtx.transfer_state(state, tx, PARAMS)[0])
