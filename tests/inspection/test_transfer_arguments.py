"""Mistakes in the arguments of `transfer_state`, and how it reports."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx

PARAMS = {"encoder": {"w": jnp.ones(3)}, "head": jnp.ones(2)}
TX = gradtx.adam(0.1)
STATE = TX.init(PARAMS)
ORDER = r"Call transfer_state\(old_state, tx, params\)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TX, STATE, PARAMS), f"tx must be a transformation, got a tuple. {ORDER}"),
        ((STATE, PARAMS, TX), f"tx must be a transformation, got a dict. {ORDER}"),
        ((PARAMS, TX, STATE), f"params must be parameters, and there is a ScaleByAdamState in them. {ORDER}"),
        ((PARAMS, TX, PARAMS), f"old_state is like the parameters. {ORDER}"),
        ((TX, TX, PARAMS), f"the state comes first, got a transformation. {ORDER}"),
        ((STATE, gradtx.adam, PARAMS), f"tx must be a transformation, got a function. {ORDER}"),
    ],
    ids=["state and tx", "tx and params", "state and params", "params twice", "tx twice", "factory"],
)
def test_arguments_in_another_order_are_refused(arguments, message):
    with pytest.raises(TypeError, match=f"transfer_state: {message}"):
        gradtx.transfer_state(*arguments)


def test_strict_lists_what_is_new_and_what_is_dropped():
    more = {**PARAMS, "tail": jnp.ones(2)}
    del more["head"]
    with pytest.raises(ValueError, match="transfer_state: strict, and") as caught:
        gradtx.transfer_state(STATE, TX, more, strict=True)
    assert "new: 2\n  ScaleByAdamState.mu/tail: no counterpart\n" in str(caught.value)
    assert "dropped: 2\n  ScaleByAdamState.mu/head\n" in str(caught.value)


def test_a_new_name_of_nothing_is_refused():
    with pytest.raises(ValueError, match="renamed has 'encodr', but the old state has nothing for such a parameter"):
        gradtx.transfer_state(STATE, TX, PARAMS, renamed={"encodr": "encoder"})
    with pytest.raises(ValueError, match="renamed has 'enc', but there is no such parameter: 'encoder/w', 'head'"):
        gradtx.transfer_state(STATE, TX, PARAMS, renamed={"encoder": "enc"})


def test_two_names_that_would_become_one_are_refused():
    with pytest.raises(ValueError, match="renamed makes one of 'encoder/w' and 'head', which are two"):
        gradtx.transfer_state(STATE, TX, PARAMS, renamed={"encoder/w": "head"})


def test_names_may_be_exchanged():
    params = {"a": jnp.zeros(2), "b": jnp.ones(2)}
    state = gradtx.trace(0.9).init(params)._replace(trace=params)
    new_state, _ = gradtx.transfer_state(state, gradtx.trace(0.9), params, renamed={"a": "b", "b": "a"}, strict=True)
    chex.assert_trees_all_equal(new_state.trace, {"a": params["b"], "b": params["a"]})


def test_names_with_slashes_in_them_are_told_apart():
    params = {"a/b": jnp.zeros(2), "a": {"b": jnp.ones(2)}}
    state = gradtx.trace(0.9).init(params)._replace(trace=params)
    new_state, _ = gradtx.transfer_state(state, gradtx.trace(0.9), params, strict=True)
    chex.assert_trees_all_equal(new_state.trace, params)


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(ValueError, match="transfer_state: 'hed' matches nothing; did you mean 'head'"):
        gradtx.transfer_state(STATE, TX, PARAMS, grow="hed")


def test_the_report_shows_the_first_of_many():
    params = {f"layer{number:02}": jnp.ones(2) for number in range(15)}
    _, report = gradtx.transfer_state(TX.init(params), gradtx.trace(0.9), params)
    lines = str(report).splitlines()
    assert lines[:3] == ["kept: nothing", "new: 15", "  TraceState.trace/layer00: no counterpart"]
    assert lines[-2:] == ["  ScaleByAdamState.nu/layer03", "  ... and 11 more"]


def test_a_state_without_names_is_found_again_by_its_paths():
    def init(params):
        return {"momentum": jax.tree.map(jnp.zeros_like, params), "steps": jnp.zeros((), jnp.int32)}

    def update(updates, state, params=None):
        return updates, {"momentum": updates, "steps": state["steps"] + 1}

    foreign = gradtx.GradientTransformation(init, update)
    _, state = foreign.update(PARAMS, foreign.init(PARAMS))
    (_, inside), report = gradtx.transfer_state(state, gradtx.chain(gradtx.clip(1.0), foreign), PARAMS, strict=True)
    assert inside["steps"] == 1
    assert report.kept == ("state/momentum/encoder/w", "state/momentum/head", "state/steps")


def test_what_is_no_array_is_refused_by_path():
    with pytest.raises(TypeError, match=r"params\['f'\] is not an array but a function, ones"):
        gradtx.transfer_state(STATE, TX, {**PARAMS, "f": jnp.ones})


def test_the_new_state_is_made_once():
    made = []

    def init(params):
        made.append(params)
        return TX.init(params)

    tx = gradtx.GradientTransformation(init, TX.update)
    for state in (STATE, jax.eval_shape(TX.init, PARAMS)):
        gradtx.transfer_state(state, tx, PARAMS)
    assert len(made) == 2
