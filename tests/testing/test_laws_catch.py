"""A law that nothing can break proves nothing: each is shown a transformation that breaks it, and names the culprit."""

import dataclasses
import functools
import importlib
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.core import Tracer

import gradtx
from gradtx import testing
from gradtx.core import Description, EmptyState, GradientTransformationExtraArgs, describe

PARAMS = testing.sample_params()


class CountState(NamedTuple):
    count: Any


class MomentState(NamedTuple):
    moment: Any


class Moment(NamedTuple):
    moment: Any


def without_state(f):
    """A transformation of a function `f(updates, params)` that takes any extra argument."""
    return GradientTransformationExtraArgs(lambda params: EmptyState(), lambda u, s, p=None, **extra: (f(u, p), s))


def with_state(init, step):
    """A transformation of `init(params)` and `step(updates, state) -> updates, state` that takes any extra argument."""
    return GradientTransformationExtraArgs(init, lambda u, s, p=None, **extra: step(u, s))


def each(f):
    return lambda updates, params: jax.tree.map(f, updates)


def counted(init, increment):
    return with_state(lambda params: CountState(init()), lambda u, s: (u, CountState(increment(s.count))))


def remembers_the_moment(state_type, zeros):
    return with_state(lambda p: state_type(jax.tree.map(zeros, p)), lambda u, s: (u, s))


def init_reads_numbers():
    return with_state(
        lambda p: EmptyState() if sum(float(jnp.sum(x)) for x in jax.tree.leaves(p)) else None, lambda u, s: (u, s)
    )


def widens_updates():
    return without_state(each(lambda g: g.astype(jnp.float32)))


def keeps_the_last_gradient():
    return with_state(lambda p: MomentState(p), lambda u, s: (u, MomentState(u)))


def counts_weakly():
    return counted(lambda: jnp.asarray(1.0), lambda count: jnp.zeros(()) + 1.0 * count)


def counts_in_float():
    return counted(lambda: jnp.zeros(()), lambda count: count + 1)


def promotes():
    return without_state(each(lambda g: (g * jnp.ones((), jnp.float32)).astype(g.dtype)))


def divides_by_zero():
    return without_state(each(lambda g: g / jnp.abs(g)))


def overflows_float16():
    return without_state(each(lambda g: g / jnp.sqrt(1 + jnp.sum(g * g))))


def has_a_variance():
    """The mean of squares less the square of the mean, of a constant: zero but for rounding, and then its root."""

    def step(updates, state):
        mean, square = state
        mean = jax.tree.map(lambda m, g: 0.5 * m + 0.5 * g.astype(jnp.float32), mean, updates)
        square = jax.tree.map(lambda s, g: 0.5 * s + 0.5 * g.astype(jnp.float32) ** 2, square, updates)
        root = jax.tree.map(lambda m, s, g: jnp.sqrt(s - m**2).astype(g.dtype), mean, square, updates)
        return root, (mean, square)

    return with_state(lambda p: (jax.tree.map(lambda x: jnp.zeros(x.shape), p),) * 2, step)


def has_a_plain_root():
    return without_state(each(lambda g: jnp.sqrt(g * g)))


def writes_into_its_state():
    def step(updates, state):
        state["count"] = state["count"] + 1
        return updates, state

    return with_state(lambda params: {"count": jnp.zeros((), jnp.int32)}, step)


def has_a_hidden_counter():
    calls = []

    def step(updates, state):
        calls.append(None)
        return jax.tree.map(lambda g: g * jnp.asarray(len(calls), g.dtype), updates), state

    return with_state(lambda params: EmptyState(), step)


def sees_whether_it_is_jitted():
    def scaled(g):
        return g * 2 if isinstance(g, Tracer) else g

    return without_state(each(scaled))


def traces_every_step():
    return counted(lambda: jnp.asarray(1, jnp.int16), lambda count: count.astype(jnp.int32))


def compiles_at_every_call():
    return without_state(lambda updates, params: jax.jit(lambda tree: jax.tree.map(lambda g: g + 1, tree))(updates))


def decides_in_python():
    return without_state(each(lambda g: -g if g.size and float(g.ravel()[0]) > 0 else g))


def compares_arrays_of_the_batch():
    """It mixes the models of a batch, through a callback that sees all of them."""

    def mean_of_all(x):
        return np.full(x.shape, np.mean(x), x.dtype)

    def centred(g):
        return g - jax.pure_callback(mean_of_all, g, g, vmap_method="expand_dims") if g.ndim == 0 else g

    return without_state(each(centred))


def forgets_holes():
    return without_state(lambda u, p: jax.tree.map(lambda g: 0 if g is None else g, u, is_leaf=lambda x: x is None))


def maps_over_params():
    return without_state(lambda u, p: jax.tree.map(lambda p, g: g, jax.tree.map(jnp.zeros_like, p), u))


def fails_on_no_leaves():
    def centred(updates, params):
        leaves = jax.tree.leaves(updates)
        first = leaves[0]
        return jax.tree.map(lambda g: g * jnp.ones_like(first).astype(g.dtype).sum(), updates)

    return without_state(centred)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["count"], meta_fields=[])
@dataclasses.dataclass
class CustomState:
    count: Any


def needs_jax_arrays():
    return counted(lambda: jnp.zeros((), jnp.int32), lambda count: count.at[()].add(1))


def keeps_its_own_container():
    return with_state(lambda params: CustomState(count=jnp.zeros(())), lambda u, s: (u, s))


def is_not_called_state():
    return remembers_the_moment(Moment, jnp.zeros_like)


def takes_no_extra_arguments():
    return GradientTransformationExtraArgs(lambda params: EmptyState(), lambda u, s, p=None: (u, s))


def claims_to_know_its_arguments():
    def update(updates, state, params=None, **extra):
        return updates, state

    describe(update, Description(name="claims_to_know_its_arguments"))
    return GradientTransformationExtraArgs(lambda params: EmptyState(), update)


def refuses_what_it_does_not_read():
    return GradientTransformationExtraArgs(lambda params: EmptyState(), lambda u, s, p=None, *, value=None: (u, s))


def takes_nan_for_nothing():
    return without_state(each(lambda g: jnp.where(g > -jnp.inf, g, 0)))


def stops_at_nan():
    """As SM3 with a guard the wrong way round."""

    def step(updates, state):
        total = jax.tree.map(lambda g, s: jnp.maximum(s, jnp.max(jnp.abs(g), initial=0)), updates, state.moment)
        return jax.tree.map(lambda g, s: jnp.where(s > 0, g / jnp.where(s > 0, s, 1), 0), updates, total), MomentState(total)

    return with_state(lambda p: MomentState(jax.tree.map(lambda x: jnp.zeros((), x.dtype), p)), step)


def forgets_what_it_divides_by():
    """As AdaGrad with a guard the wrong way round."""

    def step(updates, state):
        sums = jax.tree.map(lambda g, s: s + g**2, updates, state.moment)
        steps = jax.tree.map(lambda g, s: g / jnp.where(s > 0, jnp.sqrt(s), 1) / 10, updates, sums)
        return steps, MomentState(sums)

    return with_state(lambda p: MomentState(jax.tree.map(lambda x: x**2 + 1e4, p)), step)


def squares_what_is_too_large():
    return without_state(each(lambda g: g / (jnp.sqrt(jnp.minimum(g**2, jnp.finfo(g.dtype).max)) + 1e-8)))


def adds_up_what_overflows():
    def step(updates, state):
        total = jax.tree.map(lambda g, s: s + g**4, updates, state.moment)
        return jax.tree.map(lambda g, s: g / (1 + jnp.sqrt(jnp.sqrt(s))), updates, total), MomentState(total)

    return with_state(lambda p: MomentState(jax.tree.map(jnp.zeros_like, p)), step)


def rounds_its_decay():
    def step(updates, state):
        mean = jax.tree.map(lambda g, m: 0.9999 * m + (1 - jnp.asarray(0.9999, g.dtype)) * g, updates, state.moment)
        return mean, MomentState(mean)

    return with_state(lambda p: MomentState(jax.tree.map(jnp.zeros_like, p)), step)


def starts_from_the_params():
    return with_state(lambda params: MomentState(params), lambda u, s: (u, s))


def starts_twice_from_one_array():
    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return MomentState((zeros, zeros))

    return with_state(init, lambda u, s: (u, s))


def gives_away_its_constant():
    start = jnp.zeros((), jnp.int32)
    return counted(lambda: start, lambda count: count + 1)


def starts_on_one_device():
    return remembers_the_moment(MomentState, lambda p: jnp.asarray(np.zeros(p.shape), p.dtype))


def starts_rows_on_one_device():
    def rows(tree):
        return MomentState(jax.tree.map(lambda x: jnp.sum(x, 0) if x.ndim else jnp.zeros(2), tree))

    return with_state(lambda p: jax.tree.map(jnp.zeros_like, jax.device_get(rows(p))), lambda u, s: (u, rows(u)))


def branches_on_replicated_zeros():
    def halved(g):
        return jax.lax.cond(True, lambda x: jnp.zeros(x.shape, x.dtype), lambda x: x / 2, g)

    return without_state(each(halved))


def divides_by_norms_of_its_own():
    return without_state(each(lambda g: g / (1 + jnp.sqrt(jnp.sum(g**2)))))


BREAKS = [
    ("init_needs_only_shapes", init_reads_numbers, "Concret"),
    ("updates_keep_structure_shape_and_dtype", widens_updates, r"updates\['empty'\] is float32\[0,3\], expected bfloat16"),
    ("state_keeps_its_type", keeps_the_last_gradient, r"state.moment\['empty'\] is bfloat16\[0,3\], expected float32"),
    ("state_keeps_its_type", counts_weakly, "weak float32"),
    ("counters_are_int32_scalars", counts_in_float, r"state.count is float64\[\], not int32"),
    ("strict_dtype_promotion_is_enough", promotes, "TypePromotionError"),
    (
        "zero_tiny_and_huge_gradients_give_finite_updates",
        divides_by_zero,
        r"256 zero gradients .* in float32: updates\['matrix'\] has NaN",
    ),
    ("zero_tiny_and_huge_gradients_give_finite_updates", has_a_variance, "gradients.*has NaN"),
    ("low_precision_computes_as_float32_does", overflows_float16, r"gradients around 1023.5 in float16: .*'matrix'"),
    ("gradients_through_update_are_finite", has_a_plain_root, r"at zero gradients\['matrix'\] has NaN"),
    ("nan_is_never_hidden", takes_nan_for_nothing, r"nan in an entry of \['matrix'\] shows neither"),
    ("nan_is_never_hidden", stops_at_nan, r"nan in an entry of .*: an entry of updates\['matrix'\] stays at \[0"),
    ("nan_is_never_hidden", forgets_what_it_divides_by, r"nan in an entry of .*: later updates\['matrix'\] up to"),
    ("updates_are_bounded", squares_what_is_too_large, r"gradients around 1e\+30: updates\['matrix'\] up to .*in float64 1,"),
    ("updates_are_bounded", adds_up_what_overflows, r"updates\['matrix'\] 0 in the mean, in float64 0"),
    ("float32_computes_as_float64_does", rounds_its_decay, r"jitted: state.moment\['matrix'\] differ by"),
    ("update_is_pure", writes_into_its_state, "update wrote into its arguments"),
    ("update_is_pure", has_a_hidden_counter, "second call"),
    ("jit_changes_nothing_and_traces_once", sees_whether_it_is_jitted, "updates of jitted step 0"),
    ("jit_changes_nothing_and_traces_once", traces_every_step, "traced > 1 times"),
    ("unjitted_update_compiles_once", compiles_at_every_call, "compiled 1 functions again"),
    ("vmap_works", decides_in_python, "Concret"),
    ("vmap_works", compares_arrays_of_the_batch, "model 0 in a batch"),
    ("scan_works", decides_in_python, "Concret"),
    ("scan_works", traces_every_step, "carry"),
    ("holes_stay_holes", forgets_holes, "updates has the structure"),
    ("bystanders_pass", maps_over_params, "TypeError"),
    ("empty_trees_pass", fails_on_no_leaves, "IndexError"),
    ("flatten_unflatten_and_numpy_round_trip_change_nothing", needs_jax_arrays, "'at'"),
    ("state_is_made_of_plain_containers", keeps_its_own_container, "state is a CustomState"),
    ("state_is_made_of_plain_containers", is_not_called_state, "a Moment, whose name does not end in State"),
    ("protocol_extra_arguments_pass", takes_no_extra_arguments, "unexpected keyword argument"),
    ("unknown_extra_arguments_are_ignored", refuses_what_it_does_not_read, "unexpected keyword argument 'no_such_argument'"),
    ("misspelt_extra_arguments_are_named", claims_to_know_its_arguments, "accepted valeu"),
    ("fresh_state_and_params_can_be_donated", starts_from_the_params, r"state.moment\['.*'\] shares the buffer of params"),
    ("fresh_state_and_params_can_be_donated", starts_twice_from_one_array, "shares the buffer of state.moment"),
    ("fresh_state_and_params_can_be_donated", gives_away_its_constant, "another fresh state.count shares the buffer"),
    ("sharding_is_kept", starts_on_one_device, r"Auto mesh, init: state.moment\['.*'\] has"),
    ("sharding_is_kept", starts_rows_on_one_device, r"Auto mesh, update: state.moment\['.*'\] has .*, not Single"),
    ("parts_are_updated_as_the_whole_is", divides_by_norms_of_its_own, r"per_shard: updates\['matrix'\] differ by"),
    ("stacked_layers_are_updated_as_separate_ones_are", divides_by_norms_of_its_own, r"stacked: updates\['matrix'\] differ by"),
    ("a_divided_state_gives_the_same_updates", decides_in_python, "Concret"),
    ("abstract_state_tells_the_truth", starts_on_one_device, r"Auto mesh, init: state.moment\['.*'\] has"),
    ("steps_on_a_mesh_compile_once", starts_on_one_device, "2 compilations in 3 steps after init"),
    ("shard_map_works", branches_on_replicated_zeros, "varying|vary"),
]


@pytest.mark.parametrize(("name", "broken", "message"), BREAKS, ids=[f"{law}-{tx.__name__}" for law, tx, _ in BREAKS])
def test_each_law_catches_what_breaks_it_and_names_itself_and_the_culprit(name, broken, message):
    with pytest.raises(AssertionError, match=f"(?s)^{name}: .*({message})"):
        testing.LAWS[name](broken(), PARAMS)


def test_every_law_is_shown_something_that_breaks_it():
    assert {name for name, _, _ in BREAKS} == set(testing.LAWS)


def test_every_law_is_a_public_name():
    assert all(getattr(testing, name) is law for name, law in testing.LAWS.items())


def test_a_good_transformation_passes():
    testing.check_transformation(gradtx.chain(gradtx.scale_by_adam(), gradtx.scale_by_learning_rate(0.1)), PARAMS)


def test_a_good_transformation_of_another_library_passes():
    foreign: Any = optax.sgd(0.1)
    testing.check_transformation(foreign, PARAMS)


def test_the_laws_find_what_is_known_of_another_library():
    foreign: Any = optax.adam(0.1)
    with jax.numpy_dtype_promotion("standard"), pytest.raises(ExceptionGroup) as raised:
        testing.check_transformation(foreign, PARAMS)
    assert {str(error).split(":")[0] for error in raised.value.exceptions} == {
        "updates_keep_structure_shape_and_dtype",
        "state_keeps_its_type",
        "strict_dtype_promotion_is_enough",
        "zero_tiny_and_huge_gradients_give_finite_updates",
        "low_precision_computes_as_float32_does",
        "gradients_through_update_are_finite",
        "sharding_is_kept",
        "abstract_state_tells_the_truth",
        "steps_on_a_mesh_compile_once",
        "holes_stay_holes",
        "updates_are_bounded",
        "float32_computes_as_float64_does",
    }


def test_all_broken_laws_are_reported_at_once():
    laws = [testing.unjitted_update_compiles_once, testing.vmap_works, testing.scan_works]
    with pytest.raises(ExceptionGroup, match="breaks 2 laws") as raised:
        testing.check_transformation(decides_in_python(), PARAMS, laws=laws)
    assert [str(error).split(":")[0] for error in raised.value.exceptions] == ["vmap_works", "scan_works"]


def test_a_law_can_be_excused_by_its_name():
    laws = [testing.vmap_works, testing.scan_works]
    testing.check_transformation(decides_in_python(), PARAMS, laws=laws, excused=["vmap_works", "scan_works"])
    with pytest.raises(ValueError, match="there is no law 'vmap_work'; did you mean 'vmap_works'"):
        testing.check_transformation(decides_in_python(), PARAMS, laws=laws, excused=["vmap_work"])


def test_required_extra_arguments_are_given_to_every_law():
    def update(updates, state, params=None, *, value, **extra):
        return jax.tree.map(lambda g: g * value.astype(g.dtype), updates), state

    scaled = GradientTransformationExtraArgs(lambda params: EmptyState(), update)
    testing.check_transformation(scaled, PARAMS, extra_args={"value": jnp.asarray(2.0)})
    testing.check_transformation(scaled, PARAMS, extra_args=lambda params: {"value": jnp.asarray(2.0)})
    with pytest.raises(ExceptionGroup, match="breaks"):
        testing.check_transformation(scaled, PARAMS)


def test_without_chex_the_import_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "chex", None)
    monkeypatch.delitem(sys.modules, "gradtx.testing")
    with pytest.raises(ImportError, match=r"gradtx.testing needs chex: pip install 'gradtx\[testing\]'"):
        importlib.import_module("gradtx.testing")
