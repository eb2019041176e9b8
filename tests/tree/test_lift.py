"""`lift`: rules on arrays, carried to trees."""

import re
from collections import Counter
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from hypothesis import given
from trees import properties, trees

import gradtx
from gradtx import tree
from gradtx.optimizers import adam

pytestmark = pytest.mark.quick

FLOATS = [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64]
PARAMS = {"w": jnp.full((2, 3), 2.0), "b": jnp.full(3, 3.0)}
HOLES = [None, tree.MaskedNode(), optax.MaskedNode()]


class Layer(NamedTuple):
    w: Any
    b: Any


@tree.lift
def scale_by_test(g, m, p, *, factor):
    """Named as a factory, for the errors."""
    return factor * g + p, m + g


def counting(rule=lambda g, m: (g + m, m)):
    """A lifted rule, and how often it was traced for each shape and dtype."""
    traces = Counter()

    @tree.lift
    def counted(g, m):
        traces[g.shape, g.dtype.name] += 1
        return rule(g, m)

    return counted, traces


# --- results -------------------------------------------------------------------------------------------------------------


def test_the_kth_result_replaces_the_kth_tree():
    updates, m = scale_by_test(PARAMS, tree.ones_like(PARAMS), PARAMS, factor=0.5)
    chex.assert_trees_all_equal(updates, {"w": jnp.full((2, 3), 3.0), "b": jnp.full(3, 4.5)})
    chex.assert_trees_all_equal(m, {"w": jnp.full((2, 3), 3.0), "b": jnp.full(3, 4.0)})


@properties
@given(x=trees())
def test_equals_the_rule_on_each_leaf(x):
    lifted = tree.lift(lambda g, m: 3 * g + m)
    result = lifted(x, x)
    expected = jax.tree.map(lambda leaf: 4 * leaf.astype(jnp.complex64), x)
    chex.assert_trees_all_equal_dtypes(result, x)
    chex.assert_trees_all_close(tree.cast(result, jnp.complex64), expected, rtol=1e-2)


@pytest.mark.parametrize("params", [jnp.ones(3), [jnp.ones(3)], Layer(jnp.ones(3), None), {}, (), None], ids=repr)
def test_any_container_stays_as_it_is(params):
    result = tree.lift(lambda g: 2 * g)(params)
    chex.assert_trees_all_equal(result, tree.scale(2.0, params))
    assert jax.tree.structure(result) == jax.tree.structure(params)


@pytest.mark.parametrize("empty", [{}, (), {"a": None}, [tree.MaskedNode()]], ids=repr)
def test_a_tree_without_leaves_has_as_many_results_as_any_other(empty):
    assert tree.lift(lambda g, m: (g, m))(empty, empty) == (empty, empty)
    assert tree.lift(lambda g, m: (g,))(empty, empty) == (empty,)
    assert tree.lift(lambda g, m: g)(empty, empty) == empty
    assert tree.lift(lambda g, m, *, factor: (factor * g, m))(empty, empty, factor=jnp.ones(())) == (empty, empty)


# --- holes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hole", HOLES, ids=repr)
def test_holes_in_all_trees_stay(hole):
    x = {"a": hole, "b": jnp.ones(2)}
    chex.assert_trees_all_equal(tree.lift(lambda g, m: (g + m, m))(x, x), ({"a": hole, "b": jnp.full(2, 2.0)}, x))


@pytest.mark.parametrize("hole", HOLES, ids=repr)
@pytest.mark.parametrize("other", [*HOLES, jnp.arange(4), {"inner": jnp.ones(1)}], ids=repr)
def test_where_the_first_tree_has_a_hole_every_tree_keeps_what_it_has(hole, other):
    first, second = {"a": hole, "b": jnp.ones(2)}, {"a": other, "b": jnp.ones(2)}
    two = jnp.full(2, 2.0)
    for call in (lambda f: f, jax.jit):
        results = call(tree.lift(lambda g, m: (g + m, g + m)))(first, second)
        chex.assert_trees_all_equal(results, ({"a": hole, "b": two}, {"a": other, "b": two}))


# --- dtypes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", FLOATS)
@pytest.mark.parametrize("second", FLOATS)
def test_rules_compute_in_float32_or_wider_and_results_keep_the_dtypes(x64, first, second):
    computed = []

    @tree.lift
    def rule(g, m, *, factor):
        computed.extend([g.dtype, m.dtype, factor.dtype])
        return g + factor * m, g + factor * m

    results = rule(jnp.ones(2, first), jnp.ones(2, second), factor=jnp.array(0.5, jnp.float16))
    assert set(computed) == {jnp.dtype(jnp.float64 if jnp.float64 in (first, second) else jnp.float32)}
    assert [result.dtype for result in results] == [first, second]
    chex.assert_trees_all_equal(results, (jnp.full(2, 1.5, first), jnp.full(2, 1.5, second)))
    assert not any(result.weak_type for result in results)


@pytest.mark.parametrize("real", FLOATS)
def test_complex_and_real_leaves_mix(x64, real):
    g, v = jnp.array([3 + 4j], jnp.complex64), jnp.array([1.0], real)
    updates, v = tree.lift(lambda g, v: (g / v, v + abs(g)))(g, v)
    chex.assert_trees_all_equal((updates, v), (jnp.array([3 + 4j], jnp.complex64), jnp.array([6.0], real)))


def test_a_small_number_is_not_lost_in_half_precision():
    # In float16 itself, 1e-8 is 0 and so is the square of 1e-4.
    rule = tree.lift(lambda g, *, eps: g / jnp.sqrt(g**2 + eps))
    chex.assert_trees_all_close(rule(jnp.array(1e-4, jnp.float16), eps=1e-8), jnp.array(0.7071, jnp.float16), rtol=1e-3)


def test_integers_and_keys_may_be_shared():
    rule = tree.lift(lambda g, *, count, key: g * count + jax.random.normal(key, g.shape) * 0)
    x = jnp.ones(2, jnp.bfloat16)
    chex.assert_trees_all_equal(rule(x, count=jnp.array(3), key=jax.random.key(0)), 3 * x)


# --- traces --------------------------------------------------------------------------------------------------------------


def test_a_rule_is_traced_once_for_each_shape_and_dtype():
    lifted, traces = counting()
    x = {str(k): jnp.ones(k % 3, (jnp.float32, jnp.bfloat16)[k % 2]) for k in range(30)}
    for call in (lifted, jax.jit(lifted), lifted):
        call(x, x)
    # jit traces in its own context: once outside and once inside would be fine, once for each leaf would not.
    assert sum(traces.values()) <= 2 * 6


def test_many_leaves_of_one_type_take_few_calls():
    def calls(n):
        x = {str(k): jnp.ones(3) for k in range(n)}
        jaxpr = jax.make_jaxpr(lambda x: scale_by_test(x, x, x, factor=0.5))(x)
        chex.assert_trees_all_equal(jax.jit(scale_by_test)(x, x, x, factor=0.5), scale_by_test(x, x, x, factor=0.5))
        return len(jaxpr.eqns)

    assert [calls(n) for n in (1, 3, 9, 100, 103)] == [1, 3, 3, 10, 11]


def test_rules_of_equal_transformations_are_traced_once(monkeypatch):
    traced = Counter()
    monkeypatch.setattr(adam, "debias_mean", lambda g, m, b1, *_: traced.update([b1]) or m)

    transformations = list(map(gradtx.scale_by_adam, (0.375, 0.375, 0.625, 0.375)))

    @jax.jit
    def step(g):
        return [tx.update(g, tx.init(g)) for tx in transformations]

    step(jnp.ones(31))
    assert traced == {0.375: 1, 0.625: 1}


def test_a_second_call_outside_of_jit_compiles_nothing():
    lifted, _ = counting()
    lifted(PARAMS, PARAMS)
    scale_by_test(PARAMS, PARAMS, PARAMS, factor=0.5)
    with jax.no_tracing():
        lifted(PARAMS, PARAMS)
        scale_by_test(PARAMS, PARAMS, PARAMS, factor=0.25)


def test_a_jitted_caller_is_traced_once():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(x, factor):
        return scale_by_test(x, x, x, factor=factor)

    for factor in (0.5, 0.25):
        step(PARAMS, factor)


def test_hyperparameters_may_be_tracers():
    def updates(decay):
        @tree.lift
        def rule(g, m):
            return decay * m + g

        return rule(PARAMS, PARAMS)

    expected = tree.scale(1.5, PARAMS)
    chex.assert_trees_all_close(jax.jit(updates)(0.5), expected)
    chex.assert_trees_all_close(jax.tree.map(lambda u: u[1], jax.vmap(updates)(jnp.array([0.1, 0.5]))), expected)
    chex.assert_trees_all_close(jax.jvp(updates, (0.5,), (1.0,))[1], PARAMS)
    assert jax.grad(lambda decay: tree.sum(updates(decay)))(0.5) == tree.sum(PARAMS)


def test_trees_may_be_tracers():
    def total(x, factor):
        return tree.sum(scale_by_test(x, x, x, factor=factor)[0])

    chex.assert_trees_all_equal(jax.grad(total)(PARAMS, 0.5), tree.full_like(PARAMS, 1.5))
    batch = tree.batch_shape(PARAMS, (4,))
    chex.assert_trees_all_close(jax.vmap(total, in_axes=(0, None))(batch, 0.5), jnp.full(4, total(PARAMS, 0.5)))
    assert jax.eval_shape(total, PARAMS, 0.5).shape == ()


# --- errors --------------------------------------------------------------------------------------------------------------

ORDER = " Are params and updates in the right order: update(updates, state, params)?"
STATE = " Was the state made by init for other params?"
LEAVE_OUT = (
    ", and only floating-point and complex arrays are optimized. Leave it out with masked(...), or put None in its place."
)
ARRAYS_ONLY = ". Pass the arrays only (equinox: eqx.filter(model, eqx.is_inexact_array)), with None in place of the rest."
MANY = {str(k): jnp.ones(1) for k in range(8)}


@pytest.mark.parametrize(
    ("updates", "state", "params", "message"),
    [
        (PARAMS, PARAMS, {"w": PARAMS["w"]}, "updates['b'] has no counterpart in params, which has ['w']."),
        (PARAMS, {"b": PARAMS["b"]}, PARAMS, "updates['w'] has no counterpart in state m, which has ['b']."),
        (PARAMS, {}, PARAMS, "updates['b'] has no counterpart in state m, which is empty."),
        ({}, PARAMS, PARAMS, "state m['b'] has no counterpart in updates, which is empty."),
        (PARAMS, PARAMS, {**PARAMS, "c": 1.0}, "params['c'] has no counterpart in updates, which has ['b'], ['w']."),
        (PARAMS, MANY, PARAMS, "updates['b'] has no counterpart in state m, which has ['0'], ['1'], ['2'], ['3'], ['4'], ...."),
        ([PARAMS], [PARAMS], [{"w": jnp.ones(2)}], "updates[0]['b'] has no counterpart in params[0], which has ['w']."),
        (PARAMS, {**PARAMS, "b": jnp.ones(4)}, PARAMS, "updates['b'] has shape (3,), but state m['b'] has shape (4,)."),
        (PARAMS, PARAMS, {**PARAMS, "b": jnp.ones((3, 1))}, "updates['b'] has shape (3,), but params['b'] has shape (3, 1)."),
        (jnp.ones(2), jnp.ones(2), jnp.ones(3), "updates has shape (2,), but params has shape (3,)."),
        (PARAMS, PARAMS, {**PARAMS, "b": None}, "updates['b'] is an array, but params['b'] is a hole (None)."),
        (PARAMS, {**PARAMS, "b": HOLES[1]}, PARAMS, "updates['b'] is an array, but state m['b'] is a hole (MaskedNode())."),
        (PARAMS, PARAMS, None, "updates is a dict, but params is a hole (None)."),
        ([PARAMS], [PARAMS], (PARAMS,), "updates is a list, but params is a tuple."),
        (PARAMS, PARAMS, Layer(**PARAMS), "updates is a dict, but params is a Layer."),
        (PARAMS, {**PARAMS, "b": {"inner": 1.0}}, PARAMS, "updates['b'] is an array, but state m['b'] is a dict."),
        ({"a": [1.0], "b": None}, {"a": (1.0,), "b": 1.0}, None, "updates['a'] is a list, but state m['a'] is a tuple."),
        ({"a": 1.0, "b": None}, {"a": 1.0}, {"a": 1.0}, "updates['b'] has no counterpart in state m, which has ['a']."),
    ],
)  # fmt: skip
def test_trees_that_do_not_match_are_reported_by_path(updates, state, params, message):
    advice = STATE if "state m" in message else ORDER
    for call, end in ((lambda f: f, "$"), (jax.jit, "")):  # under jit, JAX appends a note of its own
        with pytest.raises(ValueError, match="^" + re.escape(f"{message}{advice}") + end):
            call(scale_by_test)(updates, state, params, factor=0.5)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (jnp.arange(3), " has dtype int32" + LEAVE_OUT),
        (jnp.ones(3, bool), " has dtype bool" + LEAVE_OUT),
        (3, " has dtype int32" + LEAVE_OUT),
        (jax.random.key(0), " has dtype key<fry>" + LEAVE_OUT),
        (jnp.tanh, " is not an array but a function, tanh" + ARRAYS_ONLY),
        ("relu", " is not an array but a str" + ARRAYS_ONLY),
    ],
    ids=lambda value: str(value)[:20],
)
def test_leaves_that_are_no_floating_point_arrays_are_reported_by_path(leaf, message):
    x = {"w": PARAMS["w"], "b": [leaf]}
    with pytest.raises(TypeError, match="^" + re.escape(f"updates['b'][0]{message}") + "$"):
        scale_by_test(x, x, x, factor=0.5)


def test_a_function_among_the_params_is_reported_by_path():
    with pytest.raises(TypeError, match=r"^params\['b'\] is not an array but a function, tanh"):
        scale_by_test(PARAMS, PARAMS, {**PARAMS, "b": jnp.tanh}, factor=0.5)


def test_an_error_of_the_rule_itself_is_not_hidden():
    def broken(g):
        raise RuntimeError("the rule is wrong")

    with pytest.raises(RuntimeError, match="the rule is wrong"):
        tree.lift(broken)(PARAMS)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        scale_by_test(PARAMS, PARAMS, factor=0.5)


def test_a_result_that_would_be_truncated_is_refused():
    @tree.lift
    def rule(g, m):
        return g, m + g

    with pytest.raises(TypeError, match="a result of dtype float32 cannot replace an array of dtype int32"):
        rule(jnp.ones(3), jnp.arange(3))
    with pytest.raises(TypeError, match="a result of dtype complex64 cannot replace an array of dtype float32"):
        rule(jnp.ones(3, jnp.complex64), jnp.ones(3))


# --- parts of other shapes --------------------------------------------------------------------------------------------


@tree.lift(like="g row several", same_shapes="p")
def factored(g, row, several, p):
    row = row + jnp.mean(g, axis=-1)
    return g * p, row, [each + 1 for each in several]


def factored_arguments(hole=None):
    g = {"a": jnp.ones((2, 3)), "hole": hole}
    return g, {"a": jnp.zeros(2), "hole": hole}, {"a": [jnp.zeros(()), jnp.zeros(5, jnp.bfloat16)], "hole": hole}, g


def test_parts_of_other_shapes_need_to_be_told():
    with pytest.raises(TypeError, match="must say what its results are like, such as like='g'"):

        @tree.lift(same_shapes=False)
        def rule(g, v):
            return g, v


def test_a_result_is_like_what_is_named():
    @tree.lift(like="m")
    def rule(g, m):
        return m + g

    g, m = {"a": jnp.ones(2, jnp.float16), "hole": None}, {"a": jnp.ones(2), "hole": jnp.zeros(3)}
    total = rule(g, m)
    assert total["a"].dtype == jnp.float32
    assert total["hole"] is m["hole"]


def test_parts_of_the_state_may_have_shapes_of_their_own():
    g, row, several, p = factored_arguments()
    expected = g, {"a": jnp.ones(2), "hole": None}, {"a": [jnp.ones(()), jnp.ones(5, jnp.bfloat16)], "hole": None}
    chex.assert_trees_all_equal(factored(g, row, several, p), expected)
    chex.assert_trees_all_equal_dtypes(factored(g, row, several, p), expected)


def test_parts_of_other_shapes_pass_through_empty_trees():
    assert factored({}, {}, {}, {}) == ({}, {}, {})
    assert factored([None], [None], [None], [None]) == ([None], [None], [None])


def test_what_has_the_shape_of_the_updates_all_the_same_is_refused_by_path():
    g, row, several, p = factored_arguments()
    with pytest.raises(ValueError, match=r"^updates\['a'\] has shape \(2, 3\), but params\['a'\] has shape \(3,\)"):
        factored(g, row, several, {**p, "a": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"^updates\['a'\] has no counterpart in state row"):
        factored(g, {"hole": None}, several, p)


def test_no_name_of_a_parameter_says_what_shape_it_has():
    @tree.lift(like="g", same_shapes=False)
    def rule(g, p):
        return g * jnp.sum(p)

    chex.assert_trees_all_equal(rule(jnp.ones(3), jnp.ones(2)), jnp.full(3, 2.0))
