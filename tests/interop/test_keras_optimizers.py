"""Keras's optimizers: the same numbers as Keras, and the laws."""

import inspect
import pickle
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problem
import pytest
import recorded
from chosen_laws import RECIPE_LAWS
from keras_optimizers_cases import CASES, IN_FLOAT32, LR_HALVES

import gradtx
from gradtx.interop import keras
from gradtx.testing import check_transformation, sample_params

GOLDEN = recorded.read("keras_optimizers")
NAMES = {"ScheduleFreeAdamW": "schedule_free_adamw"}


def transformation(case: problem.Case, **more: Any) -> gradtx.GradientTransformation:
    """The same call in gradtx."""
    options = {**case.options, **more}
    factory = getattr(keras, NAMES.get(case.optimizer, case.optimizer.lower()))
    if options.pop("lr_halves", False):
        rate = options.get("learning_rate", inspect.signature(factory).parameters["learning_rate"].default)
        options["learning_rate"] = keras.exponential_decay(rate, **LR_HALVES)
    if excluded := options.pop("exclude", None):
        options["mask"] = {name: name not in excluded for name in problem.SHAPES}
    return factory(**options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", [case for case in CASES if case not in IN_FLOAT32], ids=str)
def test_moves_as_keras_does(case):
    recorded.assert_moves_as_recorded(transformation(case), GOLDEN[str(case)], case.scale)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", IN_FLOAT32, ids=str)
def test_moves_as_keras_does_whose_norms_are_in_float64(case):
    recorded.assert_moves_as_recorded(transformation(case), GOLDEN[f"{case}, in float64"], case.scale)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", IN_FLOAT32, ids=str)
def test_moves_as_keras_does_whose_norms_are_in_float32(case):
    recorded.assert_moves_as_recorded(transformation(case), GOLDEN[str(case)], case.scale, rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", [case for case in CASES if case.options.get("use_ema")], ids=str)
def test_keeps_the_average_that_keras_keeps(case):
    tx = transformation(case)
    params = {name: jnp.asarray(p) for name, p in problem.start().items()}
    state, update = tx.init(params), jax.jit(tx.update)
    for gradients in problem.gradients(case.scale):
        updates, state = update(gradients, state, params)
        params = gradtx.apply_updates(params, updates)
    norms = ", in float64" if case in IN_FLOAT32 else ""
    average = problem.flat({name: np.asarray(a) for name, a in state.average.items()})
    np.testing.assert_allclose(average, GOLDEN[f"{case}, average{norms}"], rtol=1e-12, atol=1e-13)


SHARED: dict[str, Any] = {
    "weight_decay": 0.1,
    "global_clipnorm": 1.0,
    "use_ema": True,
    "ema_overwrite_frequency": 2,
    "loss_scale_factor": 8.0,
}
OPTIMIZERS = {
    "sgd": lambda: keras.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.adam(amsgrad=True, weight_decay=0.1),
    "adamw": lambda: keras.adamw(clipnorm=1.0),
    "rmsprop": lambda: keras.rmsprop(momentum=0.9, centered=True),
    "nadam": lambda: keras.nadam(),
    "adamax": lambda: keras.adamax(clipvalue=0.5),
    "adagrad": lambda: keras.adagrad(),
    "adadelta": lambda: keras.adadelta(),
    "lion": lambda: keras.lion(),
    "lamb": lambda: keras.lamb(weight_decay=0.1),
    "adafactor": lambda: keras.adafactor(keras.exponential_decay(0.1, 10, 0.5), weight_decay=0.1),
    "ftrl": lambda: keras.ftrl(0.1, l1_regularization_strength=0.01, weight_decay=0.1),
    "muon": lambda: keras.muon(ns_steps=2, exclude_layers=["bias"]),
    "schedule_free_adamw": lambda: keras.schedule_free_adamw(warmup_steps=3, weight_decay=0.1),
    "all options": lambda: keras.adam(**SHARED, mask=matrices),
    "gathered": lambda: keras.sgd(keras.exponential_decay(0.1, 10, 0.5), 0.9, gradient_accumulation_steps=2),
}


def matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim == 2, params)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keeps_the_laws(name):
    check_transformation(OPTIMIZERS[name](), sample_params(), laws=RECIPE_LAWS)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_is_a_value(make):
    assert make() == make()
    assert hash(make()) == hash(make())
    assert pickle.loads(pickle.dumps(make())) == make()


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if hasattr(keras, name)])
def test_shows_all_its_arguments(name):
    parameters = inspect.signature(getattr(keras, name)).parameters
    assert {p.kind for p in parameters.values()} <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    assert keras.Options.__annotations__.keys() <= parameters.keys()
    assert parameters["ema_momentum"].default == 0.99


def test_a_schedule_counts_each_gradient_that_is_gathered():
    tx = keras.sgd(lambda count: 1.0 + count, gradient_accumulation_steps=3)
    state = tx.init(jnp.zeros(()))
    steps = []
    for _ in range(6):
        update, state = tx.update(jnp.ones(()), state, jnp.zeros(()))
        steps.append(float(-update))
    assert steps == [0, 0, 3, 0, 0, 6]


def test_muon_leaves_embeddings_and_excluded_layers_to_adam():
    params = {name: jnp.eye(2) for name in ("Embedding_0", "head", "dense")}
    gradients = jax.tree.map(lambda p: jnp.full_like(p, 1.0) + p, params)

    def steps(**options: Any) -> Any:
        tx = keras.muon(1.0, weight_decay=None, adam_weight_decay=None, **options)
        return tx.update(gradients, tx.init(params), params)[0]

    by_adam = jnp.full((2, 2), -1.0)
    some = steps(exclude_layers=["^he"])
    chex.assert_trees_all_close(some["Embedding_0"], by_adam, rtol=1e-4)
    chex.assert_trees_all_close(some["head"], by_adam, rtol=1e-4)
    chex.assert_trees_all_equal(some["dense"], steps(exclude_embeddings=False)["Embedding_0"])
    assert float(jnp.max(jnp.abs(some["dense"] - by_adam))) > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: keras.sgd(clipnorm=1.0, clipvalue=1.0), "takes one of clipnorm, clipvalue, global_clipnorm at most"),
        (lambda: keras.sgd(gradient_accumulation_steps=1), "sgd: gradient_accumulation_steps must be at least 2, got 1"),
        (lambda: keras.sgd(-1.0), "sgd: learning_rate must be at least 0, got -1.0; to ascend, negate the gradients"),
        (lambda: keras.adam(beta_2=1.0), "adam: beta_2 must be at least 0 and below 1, got 1.0"),
        (lambda: keras.adam(use_ema=True, ema_momentum=1.5), "adam: ema_momentum must be at least 0 and at most 1, got 1.5"),
        (lambda: keras.ftrl(learning_rate_power=0.5), "ftrl: learning_rate_power must be at most 0, got 0.5"),
        (lambda: keras.adafactor(beta_2_decay=0.8), "adafactor: beta_2_decay must be at most 0"),
    ],
)
def test_refuses_what_keras_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_refuses_an_unknown_argument_by_name():
    with pytest.raises(TypeError, match="decay"):
        keras.adam(decay=0.1)  # pyright: ignore[reportCallIssue]
