"""The protocol: chains, transformations without state, and the messages of what goes wrong."""

import inspect
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx
from gradtx import require
from gradtx.core import EmptyState, GradientTransformation, at_step, factory
from gradtx.values import Value

pytestmark = pytest.mark.quick

PARAMS = {"w": jnp.asarray([1.0, -2.0, 3.0]), "b": jnp.asarray(0.5)}
GRADIENTS = {"w": jnp.asarray([0.1, 0.2, -0.3]), "b": jnp.asarray(-1.0)}


def times(number):
    return jax.tree.map(lambda g: number * g, GRADIENTS)


# --- chain -----------------------------------------------------------------------------------------------------------


def test_a_chain_applies_its_members_in_order():
    tx = gradtx.chain(gradtx.clip(0.1), gradtx.scale(10.0), gradtx.clip(0.5))
    updates, _ = tx.update(GRADIENTS, tx.init(PARAMS))
    chex.assert_trees_all_close(updates, {"w": jnp.asarray([0.5, 0.5, -0.5]), "b": jnp.asarray(-0.5)})


def test_the_state_of_a_chain_is_a_tuple_with_one_entry_for_each_member():
    state = gradtx.chain(gradtx.scale_by_adam(), gradtx.chain(gradtx.scale(1.0)), gradtx.identity()).init(PARAMS)
    assert type(state) is tuple
    assert [type(entry) for entry in state] == [gradtx.ScaleByAdamState, tuple, EmptyState]


def test_a_chain_threads_the_state_of_each_member():
    tx = gradtx.chain(gradtx.trace(0.5), gradtx.trace(0.5))
    state = tx.init(PARAMS)
    for expected in (1.0, 2.0, 2.75):  # g, g + g/2 + g/2, ...
        updates, state = tx.update(GRADIENTS, state)
        chex.assert_trees_all_close(updates, times(expected), rtol=1e-6)


def test_a_chain_of_nothing_changes_nothing():
    tx = gradtx.chain()
    updates, state = tx.update(GRADIENTS, tx.init(PARAMS))
    assert updates is GRADIENTS
    assert state == ()


def test_a_chain_refuses_a_factory_that_was_not_called():
    with pytest.raises(TypeError, match=r"chain: args\[0\] must be a gradient transformation, got adam itself; call it"):
        gradtx.chain(gradtx.adam)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("thing", [None, 0.1, [gradtx.scale(1.0)], lambda g: g], ids=["None", "number", "list", "function"])
def test_a_chain_refuses_what_is_not_a_transformation(thing: Any):
    with pytest.raises(TypeError, match=r"chain: args\[1\] must be a gradient transformation, got"):
        gradtx.chain(gradtx.scale(1.0), thing)


def test_a_chain_refuses_the_state_of_another():
    tx = gradtx.chain(gradtx.scale(1.0), gradtx.scale(2.0))
    message = "chain: the state is a tuple of EmptyState, not a tuple of EmptyState, EmptyState as init makes it"
    with pytest.raises(TypeError, match=message):
        tx.update(GRADIENTS, gradtx.chain(gradtx.scale(1.0)).init(PARAMS))


# --- named_chain -----------------------------------------------------------------------------------------------------


def test_a_named_chain_applies_its_members_in_order_and_keeps_their_states_by_name():
    tx = gradtx.named_chain(("clip", gradtx.clip(0.1)), ("adam", gradtx.scale_by_adam()), ("rate", gradtx.scale(-1.0)))
    plain = gradtx.chain(gradtx.clip(0.1), gradtx.scale_by_adam(), gradtx.scale(-1.0))
    state = tx.init(PARAMS)
    assert list(state) == ["clip", "adam", "rate"]
    updates, state = tx.update(GRADIENTS, state)
    expected, (_, adam, _) = plain.update(GRADIENTS, plain.init(PARAMS))
    chex.assert_trees_all_equal(updates, expected)
    chex.assert_trees_all_equal(state["adam"], adam)


def test_a_named_chain_keeps_its_order_when_jit_sorts_the_state():
    tx = gradtx.named_chain(("z", gradtx.clip(0.1)), ("a", gradtx.scale(10.0)))
    step = jax.jit(tx.update)
    updates, state = step(GRADIENTS, tx.init(PARAMS))
    chex.assert_trees_all_close(step(GRADIENTS, state)[0], updates)
    chex.assert_trees_all_close(updates["b"], jnp.asarray(-1.0))


def test_a_named_chain_refuses_one_name_for_two_members():
    with pytest.raises(ValueError, match="named_chain: 'a' names two members; every name must be its own"):
        gradtx.named_chain(("a", gradtx.scale(1.0)), ("a", gradtx.scale(2.0)))


def test_a_named_chain_refuses_the_state_of_another():
    tx = gradtx.named_chain(("a", gradtx.scale(1.0)), ("b", gradtx.scale(1.0)))
    with pytest.raises(TypeError, match="named_chain: the state is a dict of 'a', not a dict of 'a', 'b' as init makes it"):
        tx.update(GRADIENTS, {"a": EmptyState()})


def test_a_named_chain_refuses_members_without_a_name():
    with pytest.raises(TypeError, match=r"named_chain: args\[0\] must be a tuple \(a string, a gradient transformation\)"):
        gradtx.named_chain(gradtx.scale(1.0))  # pyright: ignore[reportArgumentType]


# --- without state ---------------------------------------------------------------------------------------------------


def test_identity_returns_the_updates_themselves():
    tx = gradtx.identity()
    assert tx.update(GRADIENTS, tx.init(PARAMS)) == (GRADIENTS, EmptyState())


def test_set_to_zero_zeroes_floats_and_integers():
    tx = gradtx.set_to_zero()
    updates, _ = tx.update({"w": jnp.ones(3, jnp.bfloat16), "step": jnp.asarray(7)}, tx.init(PARAMS))
    chex.assert_trees_all_equal(updates, {"w": jnp.zeros(3, jnp.bfloat16), "step": jnp.asarray(0)})


def test_stateless_applies_a_function_of_updates_and_params():
    tx = gradtx.stateless(lambda updates, params: jax.tree.map(jnp.add, updates, params))
    updates, state = tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(updates, jax.tree.map(jnp.add, GRADIENTS, PARAMS))
    assert state == EmptyState()


def test_stateless_as_a_decorator_makes_a_transformation():
    @gradtx.stateless
    def halve(updates, params):
        return jax.tree.map(lambda g: g / 2, updates)

    chex.assert_trees_all_close(halve.update(GRADIENTS, halve.init(PARAMS))[0], times(0.5))


def test_stateless_with_tree_map_gives_none_for_params_that_are_absent():
    tx = gradtx.stateless_with_tree_map(lambda g, p: g if p is None else g * p)
    chex.assert_trees_all_close(tx.update(GRADIENTS, tx.init(PARAMS))[0], GRADIENTS)
    chex.assert_trees_all_close(tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)[0], jax.tree.map(jnp.multiply, GRADIENTS, PARAMS))


def test_stateless_with_tree_map_leaves_holes_in_the_updates():
    tx = gradtx.stateless_with_tree_map(lambda g, p: -g)
    updates, _ = tx.update({"w": None, "b": GRADIENTS["b"]}, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_equal(updates, {"w": None, "b": -GRADIENTS["b"]})


# --- factories -------------------------------------------------------------------------------------------------------


def test_a_factory_refuses_a_hyperparameter_out_of_range_by_name():
    with pytest.raises(ValueError, match=r"adam: b1 must be at least 0 and below 1, got 1\.5"):
        gradtx.adam(0.1, b1=1.5)
    with pytest.raises(ValueError, match=r"sgd: learning_rate must be at least 0, got -0\.1; to ascend, negate the gradients"):
        gradtx.sgd(-0.1)


def test_a_factory_may_have_ranges_of_its_own():
    @factory(b1=require.AT_LEAST_ONE)
    def strange(b1):
        return GradientTransformation(lambda params: (), lambda updates, state, params=None: (updates, state))

    strange(2.0)
    with pytest.raises(ValueError, match=r"strange: b1 must be at least 1, got 0\.5"):
        strange(0.5)


def test_a_factory_called_wrongly_raises_pythons_own_message():
    with pytest.raises(TypeError, match=re.escape("adam() missing 1 required positional argument: 'learning_rate'")):
        gradtx.adam()  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match=r"adam\(\) got an unexpected keyword argument 'lr'"):
        gradtx.adam(lr=0.1)  # pyright: ignore[reportCallIssue]


def test_a_factory_does_not_check_arrays_or_schedules():
    gradtx.adam(jnp.asarray(-1.0))
    gradtx.adam(lambda step: -1.0)


def test_a_factory_of_a_factory_prints_the_outer_call():
    @factory
    def outer(rate):
        return gradtx.scale(rate)

    assert repr(outer(0.5)) == "outer(0.5)"
    assert repr(gradtx.scale(0.5)) == "scale(0.5)"


def test_a_schedule_shows_its_signature_and_the_docstring_of_its_factory():
    schedule = gradtx.cosine_decay_schedule(0.1, 10)
    assert list(inspect.signature(schedule).parameters) == ["count"]
    assert schedule.__doc__ == gradtx.cosine_decay_schedule.__doc__
    assert getattr(schedule, "__name__", None) == "cosine_decay_schedule"


def test_a_factory_leaves_a_value_without_a_recipe_as_it_is():
    class Pair(Value):
        pass

    @factory
    def pair(first):
        return Pair()

    assert isinstance(pair(1), Pair)
    assert pair(1) == pair(1) != pair(2)
    assert repr(pair(1)) == "pair(1)"


def test_a_hyperparameter_at_a_step_is_the_number_or_what_the_schedule_says():
    assert at_step(0.5, 3) == 0.5
    assert at_step(lambda count: count + 1, 3) == 4


def test_a_factory_keeps_the_class_of_what_it_makes():
    class Reported(gradtx.GradientTransformationExtraArgs):
        """A transformation that is known by its class."""

    @gradtx.factory
    def reported():
        return Reported(gradtx.init_empty_state, lambda updates, state, params=None: (updates, state))

    assert isinstance(reported(), Reported)
    assert reported() == reported()
