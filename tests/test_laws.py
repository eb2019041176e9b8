"""Every transformation keeps every law; exceptions are written in the zoo, with their reason."""

import chex
import jax
import jax.numpy as jnp
import pytest
import zoo
from chosen_laws import COMPOSED_LAWS, LAWS_OF_ALL, LAWS_OF_OPTIONS

from gradtx import testing
from gradtx.inspection.walk import walk


def marks(label, demand):
    """The mark of a test that is expected to fail, if the zoo excuses the sample."""
    sample = zoo.TRANSFORMATIONS[label]
    reason = sample.excused.get(demand, sample.uncertain.get(demand))
    return [pytest.mark.xfail(reason=reason, strict=demand in sample.excused)] if reason else []


LABELS = zoo.existing(zoo.TRANSFORMATIONS)


# The first sample of each function of the zoo; the others call it with other options.
FIRST = set({zoo.public_name(label): label for label in reversed(LABELS)}.values())


def laws_of(label):
    """The names of the laws that a sample can break: of a chain, those that are not its pieces' alone."""
    if label in zoo.CHAINS:
        return COMPOSED_LAWS
    return LAWS_OF_ALL if label in FIRST else LAWS_OF_OPTIONS


# Each shape is compiled for. Laws of numbers make long runs, in which a scalar is one more number; that an empty array is none
# is left to the laws that only trace, and to that of jit.
SHAPES = {name: ("vector", "matrix") for name, law in testing.LAWS.items() if law.__module__ == "gradtx.testing.numbers"}
SHAPES |= dict.fromkeys(("vmap_works", "scan_works"), ("scalar", "vector", "matrix"))

CASES = [
    pytest.param(label, name, marks=marks(label, name), id=f"{label}-{name}") for label in LABELS for name in laws_of(label)
]


@pytest.mark.parametrize(("label", "name"), CASES)
def test_the_law_is_kept(label, name):
    params = testing.sample_params()
    params = {shape: params[shape] for shape in SHAPES.get(name) or params}
    testing.LAWS[name](zoo.transformation(label), params, zoo.TRANSFORMATIONS[label].extra_args)


PIECES = [label for label in LABELS if label in FIRST and label not in zoo.CHAINS]


@pytest.mark.parametrize("label", [pytest.param(label, marks=marks(label, "complex parameters")) for label in PIECES])
def test_complex_parameters_are_optimized(label):
    params = {"complex": jnp.asarray([[1 + 1j, -2j, 0.5]], jnp.complex64), "real": jnp.asarray([0.5, -1.0], jnp.float32)}
    tx, extra_args = zoo.transformation(label), zoo.extra_args(label, params)

    def step(state, gradients):
        updates, state = tx.update(gradients, state, params, **extra_args)
        return state, updates

    gradients = jax.tree.map(lambda p: jnp.stack([p, 0 * p, 1j * p if jnp.iscomplexobj(p) else -p]), params)
    state, updates = jax.jit(lambda: jax.lax.scan(step, tx.init(params), gradients))()  # which refuses a change of type
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, gradients)
    chex.assert_tree_all_finite(
        (updates, [x for x in jax.tree.leaves(state) if not jnp.issubdtype(x.dtype, jax.dtypes.extended)])
    )


def test_a_chain_of_the_zoo_is_made_of_pieces_in_the_zoo():
    names = {zoo.public_name(label) for label in LABELS}
    for label in zoo.CHAINS:
        tx = zoo.transformation(label)
        state = jax.eval_shape(tx.init, testing.sample_params())
        assert type(state) is tuple, f"{label} is not a chain"
        members = walk(tx, state).parts
        assert len(members) == len(state)
        assert {member.name for member in members} <= names
