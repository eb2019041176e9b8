"""Caches keep nothing of the user's alive, and do not grow with the values of hyperparameters."""

import gc
import weakref
from collections import Counter
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import pytest
import zoo

import gradtx
from gradtx import testing
from gradtx.caches import LastOfEachKind
from gradtx.core.arguments import Argument
from gradtx.core.hyperparameters import hyperparameters, rebuilt

PARAMS = {"w": jnp.ones((3, 2))}


def loss(params):
    return jnp.sum(jax.nn.softplus(params["w"]) ** 2)


def searching(tx, batch):
    """One step of a line search for a function that captures the batch."""

    def value_fn(params):
        return loss(params) + batch.sum()

    value, grad = jax.value_and_grad(value_fn)(PARAMS)
    tx.update(grad, tx.init(PARAMS), PARAMS, value=value, grad=grad, value_fn=value_fn)
    return value_fn


def climbing(tx, batch):
    """One step of sharpness-aware minimization."""

    def grad_fn(params, step):
        return jax.grad(lambda params: loss(params) * batch.sum())(params)

    tx.update(PARAMS, tx.init(PARAMS), PARAMS, grad_fn=grad_fn)
    return grad_fn


def curving(tx, batch):
    """One step with a Hessian."""

    def obj_fn(params):
        return loss(params) * batch.sum()

    tx.update(PARAMS, tx.init(PARAMS), PARAMS, obj_fn=obj_fn)
    return obj_fn


def minimizing(tx, batch):
    """A whole run."""

    def fun(params):
        return loss(params) + batch.sum()

    gradtx.minimize(fun, PARAMS, tx=tx, max_steps=2)
    return fun


def reusing(tx, batch):
    """One step that takes the value from the state."""

    def value_fn(params):
        return loss(params) + batch.sum()

    gradtx.value_and_grad_from_state(value_fn)(PARAMS, state=tx.init(PARAMS))
    return value_fn


SEARCH = gradtx.chain(gradtx.sgd(0.1), gradtx.scale_by_backtracking_linesearch(2, store_grad=True))
WITH_FUNCTIONS = {
    "line search": (searching, SEARCH),
    "line search in a wrapper": (searching, gradtx.apply_if_finite(SEARCH, 3)),
    "sam": (climbing, gradtx.sam(gradtx.sgd(0.1), gradtx.sgd(0.1), opaque_mode=True)),
    "sophia": (curving, gradtx.sophia(0.1)),
    "value_and_grad_from_state": (reusing, SEARCH),
    "minimize": (minimizing, gradtx.sgd(0.1)),
}


@pytest.mark.parametrize(("step", "tx"), WITH_FUNCTIONS.values(), ids=WITH_FUNCTIONS)
def test_functions_written_in_a_loop_go_with_what_they_capture(step, tx):
    def references(k):
        batch = jnp.full(5, float(k))
        return weakref.ref(batch), weakref.ref(step(tx, batch))

    alive = [*references(0), *references(1)]
    gc.collect()
    assert [ref() for ref in alive] == [None] * 4


def traced(sample: zoo.Sample):
    """A reference to a transformation that was traced and is gone."""
    tx, extra_args = sample.make(), sample.extra_args

    def step(params):
        given: Any = extra_args(params) if callable(extra_args) else extra_args or {}
        return tx.update(params, tx.init(params), params, **given)

    jax.eval_shape(step, testing.sample_params())
    return weakref.ref(tx.update)


def test_a_transformation_goes_with_all_that_it_was_given():
    alive = {label: traced(zoo.TRANSFORMATIONS[label]) for label in zoo.existing(zoo.TRANSFORMATIONS)}
    gc.collect()
    assert [label for label, ref in alive.items() if ref() is not None] == []


def compiled_things():
    """How many executables and traced programs there are."""
    gc.collect()
    programs = sum(isinstance(each, jax.extend.core.Jaxpr) for each in gc.get_objects())
    return len(jax.devices()[0].client.live_executables()), programs


VALUES = {
    "adamw": gradtx.adamw(0.1, weight_decay=0.01),
    "rmsprop": gradtx.rmsprop(0.1, momentum=0.9, bias_correction=True),
    "adan": gradtx.adan(0.1),
    "clipping": gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.clip_by_block_rms(1.0), gradtx.adaptive_grad_clip(0.1)),
    "a schedule": gradtx.sgd(gradtx.warmup_cosine_decay_schedule(0.0, 0.1, 5, 50), momentum=0.9),
    "in a wrapper": gradtx.apply_if_finite(gradtx.lion(0.1), 3),
    "in the state": gradtx.adjustable(gradtx.adam(0.1)),
    "averages": gradtx.chain(gradtx.ema(0.9), gradtx.trace(0.9)),
}


def test_other_hyperparameters_leave_nothing_behind():
    def run(k):
        for tx in VALUES.values():
            changed = {path: value * (1 - 1e-3 * k) for path, value in hyperparameters(tx, Argument.is_number).items() if value}
            tx = rebuilt(tx, changed)
            tx.update(PARAMS, tx.init(PARAMS), PARAMS)

    for k in range(2):  # what is compiled once
        run(k)
    before = compiled_things()
    for k in range(2, 9):
        run(k)
    # Which programs are kept, and how many things each is made of, changes a little.
    assert all(now <= 1.02 * then for now, then in zip(compiled_things(), before, strict=True))


def test_a_rule_stays_while_it_is_in_use_and_the_last_of_its_kind_longer():
    rules = LastOfEachKind(kinds=2)
    made = [rules.get(k, k % 2, Counter) for k in range(6)]
    assert all(rules.get(k, k % 2, Counter) is rule for k, rule in enumerate(made))
    made.clear()
    gc.collect()
    assert len(rules) == 2
    rules.get("other", "kind", Counter)
    gc.collect()
    assert len(rules) == 2


def test_a_class_that_was_looked_at_goes():
    class Box:
        pass

    gradtx.tree.is_hole(Box())
    gradtx.matching("w")({"w": Box()})
    alive = weakref.ref(Box)
    del Box
    gc.collect()
    assert alive() is None
