"""Every argument of every factory has a contract: what can mean nothing is refused when it is built, by name.

The cases are made of signatures: each parameter is given each hostile value, while the others stay as they are in the zoo.
"""

import collections.abc
import importlib
import inspect
import math
import operator
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from jax.typing import ArrayLike, DTypeLike

import gradtx
from gradtx.interop import torch
from gradtx.require import alternatives
from gradtx.values import is_factory


def function(x):
    """A function that no one has asked for."""
    return x


HOSTILE = {
    "a word": "word",
    "a word for False": "False",
    "None": None,
    "a fraction": 2.5,
    "a list": [1, "a"],
    "NaN": math.nan,
    "infinity": math.inf,
    "10**400": 10**400,
    "a function": function,
    "an array with axes": np.ones((2, 3)),
}

LINEAR = torch.linear_lr(0.1)
# Arguments that the recipes for users of other libraries require.
REQUIRED = {
    "lr": 0.1,
    "max_lr": 0.1,
    "base_lr": 0.01,
    "initial_learning_rate": 0.1,
    "max_norm": 1.0,
    "clip_value": 1.0,
    "gamma": 0.9,
    "lr_lambda": lambda count: 0.5,
    "milestones": [2],
    "schedulers": [LINEAR, LINEAR],
    "boundaries": [2],
    "values": [0.1, 0.2],
    "T_max": 10,
    "T_0": 10,
    "step_size": 10,
    "total_steps": 100,
    "decay_steps": 10,
    "first_decay_steps": 10,
    "decay_rate": 0.5,
    "num_warmup_steps": 10,
    "num_training_steps": 100,
    "num_decay_steps": 10,
    "num_stable_steps": 10,
    "min_lr": 0.01,
    "name": "constant",
}


def samples():
    """Each public factory with arguments that it takes, by its name."""
    found = {}
    made = [each.make() for each in zoo.TRANSFORMATIONS.values()]
    made += [make() for make in (*zoo.SCHEDULES.values(), *zoo.MASKS.values())]
    for value in made:
        if value.recipe.name in vars(gradtx):
            found.setdefault(value.recipe.name, (value.recipe.factory, dict(value.recipe.arguments)))
    for library in ("torch", "keras", "transformers"):
        for name, factory in vars(importlib.import_module(f"gradtx.interop.{library}")).items():
            if is_factory(factory):
                parameters = inspect.signature(factory).parameters.values()
                needed = {p.name for p in parameters if p.default is p.empty} | {"total_steps", "num_training_steps", "min_lr"}
                given = {p.name: REQUIRED[p.name] for p in parameters if p.name in needed and p.name in REQUIRED}
                found[f"{library}.{name}"] = (factory, given)
    return found


SAMPLES = samples()

# What infinity means where it means something.
UNLIMITED = "no limit"
INFINITE = {
    "max_delta": UNLIMITED,
    "max_norm": UNLIMITED,
    "max_rms": UNLIMITED,
    "max_grad_norm": UNLIMITED,
    "threshold": UNLIMITED,
    "clipping": UNLIMITED,
    "clipping_threshold": UNLIMITED,
    "clip_threshold": UNLIMITED,
    "clip_value": UNLIMITED,
    "clipnorm": UNLIMITED,
    "clipvalue": UNLIMITED,
    "global_clipnorm": UNLIMITED,
    "max_learning_rate": UNLIMITED,
    "max_step_size": UNLIMITED,
    "increase_factor": "the search begins at the largest rate again",
    "norm_type": "the norm that is the largest entry",
}
# Factories whose errors may come from the one that they call with all of their arguments.
ALIASES = {"multi_transform": "partition", "noisy_sgd": "add_noise"}
# Steps that are never reached.
STEPS = ("_steps", "transition_begin")
# Trees and functions of trees, which no annotation describes.
TREES = ("mask", "dimension_numbers", "labels", "layout")


def has_a_meaning(case, parameter):
    """Whether a hostile value may mean something, by what the signature says."""
    members = set(alternatives(parameter.annotation))
    origins = {typing.get_origin(member) for member in members}
    is_array = members >= set(typing.get_args(ArrayLike))
    is_dtype = members >= set(typing.get_args(DTypeLike))
    is_tree = parameter.name.endswith(TREES)
    functions = collections.abc.Callable in origins or {gradtx.Schedule, gradtx.ShouldSkipUpdateFunction} & members
    return {
        "a word": (str in members and not is_dtype),
        "a word for False": (str in members and not is_dtype),
        "None": type(None) in members or parameter.default is None,
        "a fraction": float in members,
        "infinity": parameter.name in INFINITE or parameter.name.endswith(STEPS),
        "a function": bool(functions) or is_tree,
        "an array with axes": is_array or (jax.Array in members and float not in members),
    }.get(case, False)


def refusal(factory, arguments):
    """The error of a call with arguments, which may be those of `*args`; None if there is none."""
    parameters = inspect.signature(factory).parameters
    several = [p.name for p in parameters.values() if p.kind is p.VAR_POSITIONAL]
    positional = [each for name in several for each in arguments[name]]
    try:
        factory(*positional, **{name: value for name, value in arguments.items() if name not in several})
    except (TypeError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore:get_wsd_schedule")
@pytest.mark.parametrize("name", SAMPLES)
def test_an_argument_means_something_or_is_refused_by_name(name):
    factory, arguments = SAMPLES[name]
    own = name.rpartition(".")[2]
    for parameter in inspect.signature(factory).parameters.values():
        several = parameter.kind is parameter.VAR_POSITIONAL
        for case, value in HOSTILE.items():
            error = refusal(factory, {**arguments, parameter.name: [value] if several else value})
            what = f"{own}({parameter.name}={case})"
            if error is None:
                assert has_a_meaning(case, parameter), f"{what} is accepted"
            else:
                assert own in error or ALIASES.get(own, own) in error, f"{what} is refused by another: {error}"
                assert several or parameter.name in error, f"{what} is refused without the name of the argument: {error}"


@pytest.mark.parametrize("name", SAMPLES)
def test_an_annotation_says_what_an_argument_may_be(name):
    # Of an argument that may be anything it is guessed whether a function is a schedule, as with factories of other libraries.
    for parameter in inspect.signature(SAMPLES[name][0], eval_str=True).parameters.values():
        assert parameter.annotation not in (typing.Any, parameter.empty), parameter.name


# --- what is meant ----------------------------------------------------------------------------------------------------


def test_what_is_meant_is_taken_for_what_is_asked_for():
    untyped: typing.Any = gradtx
    same = [
        (untyped.apply_every(2.0), untyped.apply_every(2)),
        (untyped.apply_every(np.int64(2)), untyped.apply_every(2)),
        (untyped.apply_every(jnp.asarray(2)), untyped.apply_every(2)),
        (untyped.trace(0.9, nesterov=np.True_), untyped.trace(0.9, nesterov=True)),
        (untyped.trace(0.9, nesterov=1), untyped.trace(0.9, nesterov=True)),
        (untyped.trace(0.9, nesterov=jnp.asarray(False)), untyped.trace(0.9, nesterov=False)),
        (untyped.clip(10**10), untyped.clip(1e10)),
        (untyped.multi_step_decay_schedule(0.1, np.array([3, 6])), untyped.multi_step_decay_schedule(0.1, [3, 6])),
        (untyped.dog(init_step=["distance", 1.0]), untyped.dog(init_step=["distance", 1.0])),
    ]
    for given, asked in same:
        assert given == asked


@pytest.mark.parametrize("number", [0.5, np.float32(0.5), np.array(0.5), jnp.asarray(0.5, jnp.bfloat16), 1], ids=repr)
def test_numbers_of_any_library_are_numbers(number):
    gradtx.adamw(number, weight_decay=number)
    gradtx.cosine_decay_schedule(number, 10)(0)


def test_hyperparameters_may_be_traced():
    def step(rate, decay):
        tx = gradtx.chain(gradtx.trace(decay), gradtx.adamw(gradtx.linear_schedule(rate, 0.0, 10), weight_decay=rate))
        return tx.update(PARAMS, tx.init(PARAMS), PARAMS)[0]

    jax.eval_shape(jax.vmap(step), jnp.ones(3), jnp.full(3, 0.5))


# --- schedules --------------------------------------------------------------------------------------------------------

PARAMS = {"w": jnp.ones((4, 3))}
# Recipes for users of other libraries that evaluate schedules themselves; in the others gradtx's pieces do.
OTHERS = {"torch": ("adagrad", "asgd", "adafactor", "sgd"), "keras": ("adam", "adafactor", "muon")}


def a_rate_for_each_column(count):
    return jnp.full(3, 0.1)


def scheduled():
    """Each argument of a factory of transformations that may be a schedule."""
    for name, (factory, arguments) in SAMPLES.items():
        library, _, own = name.rpartition(".")
        for parameter in (
            inspect.signature(factory).parameters.values() if own in OTHERS.get(library, ()) or not library else ()
        ):
            members = alternatives(parameter.annotation)
            if float in members and any(typing.get_origin(member) is collections.abc.Callable for member in members):
                yield name, factory, arguments, parameter.name


def error_of_first_update(name, factory, arguments):
    """What is said when a transformation is made, or when its first step is traced."""
    extra = zoo.extra_args(name, PARAMS) if name in zoo.TRANSFORMATIONS else {}
    try:
        tx = factory(**arguments)
        jax.eval_shape(lambda: tx.update(PARAMS, tx.init(PARAMS), PARAMS, **extra))
    except ValueError as error:
        return str(error)
    return None


def test_a_schedule_that_returns_an_array_is_refused_by_name():
    said = "a schedule returns a number for a step, but a_rate_for_each_column returned an array of shape (3,)"
    for name, factory, arguments, argument in scheduled():
        error = error_of_first_update(name, factory, {**arguments, argument: a_rate_for_each_column})
        assert error is not None, f"{name} takes a rate for each column for {argument}"
        assert error.partition(": ")[2] == f"{said}.", f"{name}: {error}"  # after the name of the transformation


# --- functions --------------------------------------------------------------------------------------------------------

X = jnp.ones(4)
# What takes numbers and is no factory, with what else it needs.
FUNCTIONS = {
    **{f"projections.projection_{name}": (X,) for name in ("l2_ball", "l2_sphere", "simplex", "l1_sphere", "l1_ball")},
    "incremental_update": (X, X),
    "periodic_update": (X, X, 3),
    "minimize": (jnp.sum, X),
    "perturbations.make_perturbed_fun": (jnp.sum,),
    "losses.huber_loss": (X, X),
    "losses.smooth_labels": (X,),
    "losses.sigmoid_focal_loss": (X, X),
    "losses.cosine_similarity": (X, X),
    "losses.triplet_margin_loss": (X, X, X),
    "losses.poly_loss_cross_entropy": (X, X),
}
NUMBERS = {"scale", "step_size", "update_period", "tol", "max_steps", "num_samples", "sigma", "delta", "alpha", "gamma"}
NUMBERS |= {"epsilon", "margin", "eps", "norm_degree"}


def test_functions_refuse_what_is_no_number_by_name():
    asked = set()
    for path, arguments in FUNCTIONS.items():
        function = operator.attrgetter(path)(gradtx)
        name = path.rpartition(".")[2]
        for argument in NUMBERS & inspect.signature(function).parameters.keys():
            asked.add(argument)
            for value in ("word", "0.1", [0.1], math.nan, 10**400, *[2.5] * (argument in ("update_period", "max_steps"))):
                with pytest.raises((TypeError, ValueError), match=rf"^{name}: {argument} must be "):
                    function(*arguments, **{argument: value})
    assert asked == NUMBERS
