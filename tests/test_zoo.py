"""Nothing public escapes the tests that run on the whole zoo."""

import inspect

import jax.numpy as jnp
import optax
import optax.contrib
import pytest
import zoo
from tables import table

import gradtx
from gradtx import core

pytestmark = pytest.mark.quick


def made_by_factory(thing):
    """Whether a function was marked with `@factory`: all of them run the same wrapper."""
    return getattr(thing, "__code__", None) is core.identity.__code__


def is_transformation(thing):
    """Whether the instances of a class are transformations, as those of `MultiSteps` are."""
    return inspect.isclass(thing) and issubclass(thing, core.GradientTransformation)


FACTORIES = {name for name, thing in vars(gradtx).items() if made_by_factory(thing)}
CLASSES = {name for name, thing in vars(gradtx).items() if is_transformation(thing)}
PROTOCOL = {"GradientTransformation", "GradientTransformationExtraArgs"}
SAMPLED = {zoo.public_name(label) for label in (*zoo.TRANSFORMATIONS, *zoo.SCHEDULES, *zoo.MASKS)}


def test_every_public_transformation_and_schedule_is_in_the_zoo():
    assert FACTORIES | CLASSES - PROTOCOL <= SAMPLED


def test_everything_in_the_zoo_is_public():
    assert sorted(name for name in SAMPLED if not hasattr(gradtx, name)) == []


def test_every_public_function_that_returns_a_transformation_is_a_factory():
    returns = {name: inspect.signature(f).return_annotation for name, f in vars(gradtx).items() if inspect.isfunction(f)}
    makers = {name for name, kind in returns.items() if inspect.isclass(kind) and issubclass(kind, core.GradientTransformation)}
    assert makers - {"with_extra_args_support"} <= FACTORIES


@table("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_each_sample_is_of_what_its_label_names(label):
    assert f"{zoo.public_name(label)}(" in repr(zoo.transformation(label))


@table("label", zoo.existing(zoo.SCHEDULES))
def test_each_sample_schedule_gives_one_finite_number_for_a_step(label):
    schedule = zoo.SCHEDULES[label]()
    for step in (0, 3, jnp.asarray(7, jnp.int32)):
        rate = jnp.asarray(schedule(step))
        assert rate.shape == ()
        assert jnp.isfinite(rate)


# `vars`, as `hasattr` would touch spellings that Optax warns of.
OPTAX = {**vars(optax), **vars(optax.contrib)}
del OPTAX["dpsgd"]  # whose seed is not yet a key, as it is everywhere else
DEFAULTS_THAT_PRINT_OTHERWISE = {"hessian_diagonal_fn", "linesearch"}


@table("name", sorted(name for name in SAMPLED if hasattr(gradtx, name) and name in OPTAX))
def test_a_name_of_optax_takes_the_arguments_of_optax(name):
    theirs, ours = (list(inspect.signature(f).parameters.values()) for f in (OPTAX[name], getattr(gradtx, name)))
    names = [p.name for p in theirs]
    assert [described(p) for p in ours if p.name in names] == [described(p) for p in theirs]
    # Calls by position go on: what is added comes after.
    first = [p.name for p in theirs if p.kind is not p.KEYWORD_ONLY]
    assert [p.name for p in ours][: len(first)] == first
    assert all(p.default is not p.empty for p in ours if p.name not in names)


def described(parameter):
    default = None if parameter.name in DEFAULTS_THAT_PRINT_OTHERWISE else parameter.default
    return parameter.name, parameter.kind, getattr(default, "__name__", repr(default))
