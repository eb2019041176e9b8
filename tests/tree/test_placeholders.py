"""`map_params`, on states of gradtx and of Optax, against Optax."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from gradtx import tree

foreign: Any = optax  # another library's classes are not ours to the type checker
STATE: Any = gradtx.ScaleByAdamState  # with words instead of arrays

PARAMS = {"w": jnp.ones((3, 4)), "b": jnp.ones(4), "s": jnp.ones(())}
NAMES = {"w": "w", "b": "b", "s": "s"}
MASK = {"w": True, "b": False, "s": True}
LABELS = {"w": "matrix", "b": "vector", "s": "vector"}


def marked(optimizer, *rest, module: Any = tree, params=PARAMS, **options):
    return module.map_params(
        optimizer,
        lambda leaf, *others: ("param", *others),
        optimizer.init(params),
        *rest,
        transform_non_params=lambda leaf: "other",
        **options,
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adam(1.0),
        optax.adamw(optax.constant_schedule(1.0), mask=MASK),
        optax.sgd(0.1, momentum=0.9),
        optax.adafactor(1.0),
        optax.inject_hyperparams(optax.adam)(optax.constant_schedule(1.0)),
        optax.MultiSteps(optax.adam(1.0), 2),
        optax.apply_if_finite(optax.adam(1.0), 3),
        optax.scale_by_lbfgs(2),
        optax.contrib.schedule_free(optax.sgd(0.1), 0.1),
        optax.contrib.cocob(),
        optax.contrib.dog(),
        optax.named_chain(("noise", optax.add_noise(1.0, 1.0, jax.random.key(0))), ("adam", optax.adam(1.0))),
    ],
    ids=lambda optimizer: str(type(optimizer.init(PARAMS))),
)
def test_marks_what_optax_marks_on_states_of_optax(optimizer):
    assert marked(optimizer, NAMES) == marked(optimizer, NAMES, module=optax.tree)


def test_moments_of_adam_are_params_and_its_count_is_not():
    optimizer = gradtx.chain(gradtx.scale_by_adam(), foreign.trace(0.9))
    params = {name: ("param", name) for name in NAMES}
    assert marked(optimizer, NAMES) == (STATE("other", params, params), foreign.TraceState(params))


def test_what_no_function_is_given_for_stays():
    optimizer = gradtx.scale_by_adam()
    state = optimizer.init(PARAMS)
    doubled = tree.map_params(optimizer, lambda leaf: leaf + 1, state)
    chex.assert_trees_all_equal(doubled, gradtx.ScaleByAdamState(state.count, tree.ones_like(PARAMS), tree.ones_like(PARAMS)))


def test_init_alone_is_enough():
    optimizer = gradtx.scale_by_adam()
    assert tree.map_params(optimizer.init, lambda leaf: "m", optimizer.init(PARAMS)).mu == dict.fromkeys(PARAMS, "m")


def test_params_may_be_one_array():
    assert marked(gradtx.scale_by_adam(), "p", params=jnp.ones(3)) == STATE("other", ("param", "p"), ("param", "p"))


def test_params_may_be_empty():
    assert marked(gradtx.scale_by_adam(), {}, params={}) == STATE("other", {}, {})


@pytest.mark.parametrize("mask", [MASK, lambda params: jax.tree.map(lambda p: p.ndim != 1, params)], ids=["tree", "function"])
@pytest.mark.parametrize("around", [lambda tx: tx, lambda tx: gradtx.chain(foreign.clip(1.0), tx)], ids=["alone", "in a chain"])
def test_masked_leaves_stay_holes(mask, around):
    state = marked(around(foreign.masked(optax.scale_by_adam(), mask)), NAMES)
    mu = tree.get(state, "mu")
    assert mu == {"w": ("param", "w"), "b": optax.MaskedNode(), "s": ("param", "s")}
    assert tree.get(state, "count") == "other"


def test_masked_leaves_can_be_asked_for():
    optimizer = foreign.masked(optax.scale_by_adam(), MASK)
    options: Any = {"is_leaf": lambda node: isinstance(node, optax.MaskedNode)}
    assert marked(optimizer, NAMES, **options) == marked(optimizer, NAMES, module=optax.tree, **options)


def test_a_state_without_leaves_stays():
    state = gradtx.masked(gradtx.sgd(0.1), MASK).init(jax.tree.map(jnp.ones_like, PARAMS))
    assert tree.map_params(gradtx.masked(gradtx.sgd(0.1), MASK), lambda _: "param", state) == state


@pytest.mark.parametrize("labels", [LABELS, lambda params: LABELS], ids=["tree", "function"])
def test_every_part_of_a_partition_is_mapped(labels):
    optimizer = foreign.partition({"matrix": optax.adam(1.0), "vector": optax.sgd(1.0, momentum=0.9)}, labels)
    state = marked(gradtx.chain(optimizer), NAMES)
    assert tree.get(state, "mu") == {"w": ("param", "w"), "b": optax.MaskedNode(), "s": optax.MaskedNode()}
    assert tree.get(state, "trace") == {"w": optax.MaskedNode(), "b": ("param", "b"), "s": ("param", "s")}
    assert tree.get(state, "count") == "other"


def test_the_rest_may_have_trees_for_leaves():
    state = marked(gradtx.scale_by_adam(), {name: {"axis": name} for name in PARAMS})
    assert state.mu["w"] == ("param", {"axis": "w"})


def test_a_parameter_may_have_several_leaves():
    rows = gradtx.scale_by_sm3()
    state = marked(rows, NAMES)
    assert tree.get(state, "mu")["w"] == (("param", "w"),) * 2
    complex_params = {"w": jnp.ones(2, jnp.complex64), "b": jnp.ones(4)}
    state = marked(foreign.contrib.split_real_and_imaginary(optax.scale_by_adam()), {"w": "w", "b": "b"}, params=complex_params)
    mu = tree.get(state, "mu")
    assert tuple(mu["w"]) == (("param", "w"),) * 2
    assert mu["b"] == ("param", "b")


def test_the_rest_may_have_holes_for_leaves():
    assert marked(gradtx.scale_by_adam(), {**NAMES, "w": None}).mu["w"] == ("param", None)


def test_a_rest_that_does_not_match_is_refused():
    with pytest.raises(ValueError, match="Dict key mismatch"):
        marked(gradtx.scale_by_adam(), {"w": "w"})


def test_a_state_of_another_optimizer_is_refused():
    with pytest.raises(ValueError, match="map_params: init makes no such state of placeholders for the parameters"):
        tree.map_params(gradtx.scale_by_adam(), lambda leaf: leaf, optax.sgd(1.0, momentum=0.9).init(PARAMS))
