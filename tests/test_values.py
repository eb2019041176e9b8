"""Transformations and schedules are values: equal, hashable, picklable, printed as the call that made them."""

import copy
import functools
import inspect
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from tables import table

import gradtx
from gradtx import core, testing
from gradtx.core import Function, GradientTransformation, factory

MAKERS = {label: sample.make for label, sample in zoo.TRANSFORMATIONS.items()} | zoo.SCHEDULES | zoo.MASKS
LABELS = [*zoo.existing(zoo.TRANSFORMATIONS), *zoo.existing(zoo.SCHEDULES), *zoo.existing(zoo.MASKS)]
NAMES = {"bfloat16": jnp.bfloat16, "norm": gradtx.tree.norm, "P": jax.P, "PartitionSpec": jax.P} | {
    name: f for name, f in vars(zoo).items() if inspect.isfunction(f)
}

everything = table("label", LABELS)


@factory
def scale_by_table(table, function=None):
    """Keep arguments of any kind, for the tests."""
    return GradientTransformation(lambda params: core.EmptyState(), lambda updates, state, params=None: (updates, state))


def pickled(value):
    return pickle.loads(pickle.dumps(value))


@everything
def test_equal_arguments_make_equal_values_with_equal_hashes(label):
    one, two = MAKERS[label](), MAKERS[label]()
    assert one is not two
    assert one == two
    assert hash(one) == hash(two)


def test_different_samples_are_different():
    assert len({MAKERS[label]() for label in LABELS}) == len(LABELS)


@pytest.mark.parametrize(
    "copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"]
)
@everything
def test_copies_are_equal(label, copied):
    original = MAKERS[label]()
    twin = copied(original)
    assert twin == original
    assert type(twin) is type(original)
    assert hash(twin) == hash(original)


@everything
def test_repr_is_the_call_that_makes_it(label):
    value = MAKERS[label]()
    assert eval(repr(value), {**vars(gradtx), **NAMES}) == value


def test_repr_of_a_nested_chain_shows_what_was_written():
    optimizer = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.chain(gradtx.adam(3e-4, b2=0.95), gradtx.scale(2)))
    assert repr(optimizer) == "chain(clip_by_global_norm(1.0), chain(adam(0.0003, b2=0.95), scale(2)))"


def test_repr_of_a_named_chain_shows_the_names():
    assert repr(gradtx.named_chain(("rate", gradtx.scale(-0.1)))) == "named_chain(('rate', scale(-0.1)))"


def test_repr_shows_a_scalar_array_by_value_and_a_large_one_by_type():
    assert repr(scale_by_table(np.zeros((3, 2), np.float32))) == "scale_by_table(float32[3, 2])"
    assert "0.5" in repr(gradtx.scale(jnp.asarray(0.5)))


def test_repr_shows_no_address():
    assert "0x" not in repr(gradtx.adamw(zoo.halving, mask=lambda params: params))
    assert "0x" not in repr(scale_by_table({"mask": [zoo.matrices]}, functools.partial(zoo.matrices)))


def test_a_default_that_is_written_out_and_a_keyword_change_nothing():
    assert gradtx.adam(0.1) == gradtx.adam(0.1, 0.9) == gradtx.adam(learning_rate=0.1, b1=0.9)
    assert hash(gradtx.adam(0.1)) == hash(gradtx.adam(b1=0.9, learning_rate=0.1))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (0.1, 0.2),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (1.0, jnp.asarray(1.0)),
        (np.float32(1), np.float64(1)),
        (jnp.asarray([1.0, 2.0]), jnp.asarray([1.0, 3.0])),
        (jnp.asarray([1.0, 2.0]), jnp.asarray([[1.0, 2.0]])),
        (jnp.zeros(2, jnp.float32), jnp.zeros(2, jnp.int32)),
        ({"a": 1}, {"b": 1}),
        ([1, 2], (1, 2)),
        (None, ()),
        (jax.random.key(0), jax.random.key(1)),
        (jax.random.key(0), jax.random.key_data(jax.random.key(0))),
        (zoo.matrices, zoo.halving),
    ],
)
def test_arguments_that_trace_differently_make_different_values(one, two):
    assert scale_by_table(one) != scale_by_table(two)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.asarray([1.0, 2.0]),
        lambda: jnp.asarray([1.0, 2.0]),
        lambda: jax.random.key(3),
        lambda: {"kernel": True, "bias": [False, None]},
        lambda: float("nan"),
        lambda: np.float32(0.1),
        lambda: gradtx.adam(zoo.halving),
        lambda: [gradtx.scale(1.0), {"inner": gradtx.scale(jnp.ones(3))}],
        lambda: zoo.matrices,
        lambda: jax.ShapeDtypeStruct((2,), jnp.float32),
    ],
)
def test_arrays_trees_masks_and_callables_compare_by_value_and_pickle(make):
    one, two = scale_by_table(make(), zoo.halving), scale_by_table(make(), zoo.halving)
    assert one == two
    assert hash(one) == hash(two)
    assert pickled(one) == one


def test_a_value_stays_what_it_was_when_its_arguments_are_changed_later():
    mask = {"kernel": True}
    tx = scale_by_table(mask)
    before = hash(tx)
    mask["kernel"] = False
    assert hash(tx) == before
    assert tx != scale_by_table({"kernel": False})


def test_a_value_is_not_equal_to_a_pair_a_number_or_another_factory():
    tx = gradtx.scale(0.5)
    assert tx != (tx.init, tx.update)
    assert tx != 0.5
    assert gradtx.scale(0.5) != gradtx.clip(0.5)
    assert gradtx.amsgrad(0.1) != gradtx.adam(0.1)


def test_an_equal_transformation_as_static_argument_is_not_traced_again():
    @functools.partial(jax.jit, static_argnums=0)
    @chex.assert_max_traces(n=1)
    def train(tx, params):
        updates, _ = tx.update(params, tx.init(params), params)
        return updates

    params = testing.sample_params()
    for _ in range(3):
        train(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(zoo.halving, mask=zoo.matrices)), params)


def test_a_transformation_can_be_built_from_tracers():
    @jax.jit
    @jax.vmap
    def first_update(learning_rate):
        tx = gradtx.adam(learning_rate)
        gradients = jnp.ones(3)
        assert tx == tx
        assert hash(tx) == hash(tx)
        return tx.update(gradients, tx.init(gradients))[0]

    rates = jnp.asarray([0.1, 0.2])
    chex.assert_trees_all_close(first_update(rates), -rates[:, None] * jnp.ones((2, 3)), rtol=1e-5)


@pytest.mark.parametrize("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_every_float_among_the_arguments_may_be_traced_and_derived_by(label):
    params = testing.sample_params()
    made_by = zoo.transformation(label).recipe
    floats = {name: jnp.asarray(x) for name, x in made_by.arguments.items() if isinstance(x, float)}

    def second_update(floats):
        tx = made_by.factory(**{**made_by.arguments, **floats})
        _, state = tx.update(params, tx.init(params), params, **zoo.extra_args(label, params))
        updates, _ = tx.update(params, state, params, **zoo.extra_args(label, params))
        return sum(jnp.sum(u) for u in jax.tree.leaves(updates))

    if floats:
        jax.eval_shape(jax.jacfwd(second_update), floats)  # which loops of line searches have, too


@table("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_a_transformation_unpacks_into_two_plain_functions(label):
    init, update = zoo.transformation(label)
    assert inspect.isfunction(init)
    assert inspect.isfunction(update)


@table("name", sorted({zoo.public_name(label) for label in LABELS} - {"chain", "named_chain", *zoo.MASKS}))
def test_factories_have_real_signatures(name):
    parameters = inspect.signature(getattr(gradtx, name)).parameters.values()
    assert [p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)] == []


@table("name", sorted({zoo.public_name(label) for label in LABELS}))
def test_factories_are_documented_and_know_their_name(name):
    made = getattr(gradtx, name)
    assert made.__name__ == name
    assert made.__doc__


def test_the_classes_can_be_subclassed_and_given_attributes():
    class Logged(gradtx.GradientTransformation):
        """A client's own kind of transformation."""

    tx = Logged(*gradtx.scale(2.0))
    assert isinstance(tx, gradtx.GradientTransformation)
    assert tx == Logged(tx.init, tx.update)
    Logged.verbose = True  # pyright: ignore[reportAttributeAccessIssue]
    assert tx.verbose  # pyright: ignore[reportAttributeAccessIssue]


def test_a_pair_made_by_hand_is_a_named_tuple():
    def update(updates, state, params=None):
        return updates, state

    tx = GradientTransformation(core.init_empty_state, update)
    assert tx == GradientTransformation(init=core.init_empty_state, update=update)
    assert tx != tx._replace(update=zoo.negated)
    assert tx._fields == ("init", "update")
    assert hash(tx) == hash(GradientTransformation(core.init_empty_state, update))


def test_a_pair_of_importable_functions_pickles():
    tx = GradientTransformation(core.init_empty_state, zoo.negated)
    assert pickled(tx) == tx
    assert copy.deepcopy(tx) == tx


def test_a_transformation_whose_update_was_replaced_is_another():
    tx = gradtx.scale(0.5)
    other = tx._replace(update=zoo.negated)
    assert other != tx
    assert other.update is zoo.negated


def test_a_function_that_no_factory_made_compares_by_identity_and_is_called():
    one, two = Function(zoo.halving), Function(zoo.halving)
    assert one == one
    assert one != two
    chex.assert_trees_all_close(one(jnp.asarray(1)), jnp.asarray(0.05))


def test_attributes_may_be_set_on_the_module():
    gradtx.note = "set by a client"  # pyright: ignore[reportAttributeAccessIssue]
    del gradtx.note  # pyright: ignore[reportAttributeAccessIssue]
