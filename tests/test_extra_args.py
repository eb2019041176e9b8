"""The contract of extra arguments: read by those that declare them, ignored by all others, refused if misspelt."""

import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
import gradtx.interop.optax
from gradtx.core import (
    EmptyState,
    GradientTransformation,
    declared_extra_args,
    factory,
    forwards_to,
    with_extra_args_support,
)
from gradtx.core.extra_args import is_misspelling

PARAMS = {"w": jnp.asarray([1.0, -2.0, 3.0])}
GRADIENTS = {"w": jnp.asarray([0.1, 0.2, -0.3])}
# The types of another library are not ours: the pair is duck-typed.
foreign: Any = optax


@factory
def scale_by_value():
    """Multiply by the extra argument `value`, which is required."""

    def update(updates, state, params=None, *, value):
        return jax.tree.map(lambda g: value * g, updates), state

    return GradientTransformation(lambda params: EmptyState(), update)


@factory
def scale_by_damping():
    """Multiply by the extra argument `damping`, 1 if absent."""

    def update(updates, state, params=None, *, damping=1.0):
        return jax.tree.map(lambda g: damping * g, updates), state

    return GradientTransformation(lambda params: EmptyState(), update)


@factory
def twice(inner):
    """Apply `inner` two times."""
    inner = with_extra_args_support(inner)

    @forwards_to(inner)
    def update(updates, state, params=None, **extra_args):
        updates, state = inner.update(updates, state, params, **extra_args)
        return inner.update(updates, state, params, **extra_args)

    return GradientTransformation(inner.init, update)


@factory
def needs_params():
    """Return the params."""

    def update(updates, state, params):
        return params, state

    return GradientTransformation(lambda params: EmptyState(), update)


def updated(tx, **extra_args):
    return tx.update(GRADIENTS, tx.init(PARAMS), PARAMS, **extra_args)[0]


def times(number):
    return {"w": number * GRADIENTS["w"]}


@pytest.mark.parametrize("tx", [gradtx.adam(0.1), gradtx.chain(gradtx.adam(0.1)), gradtx.identity()], ids=repr)
def test_a_typo_is_refused_by_name_with_the_likely_word(tx):
    with pytest.raises(TypeError, match=r"nothing here reads the extra argument 'valeu'; did you mean 'value'\?"):
        updated(tx, valeu=3.0)


def test_misspelt_params_are_refused_too():
    for tx in (gradtx.adam(0.1), gradtx.chain(needs_params())):
        with pytest.raises(TypeError, match=r"nothing here reads the extra argument 'parmas'; did you mean 'params'\?"):
            tx.update(GRADIENTS, tx.init(PARAMS), parmas=PARAMS)


MISSPELLINGS = {
    "params": ["parmas", "praams", "prams", "parama"],
    "value": ["valeu", "vlaue", "vaule", "avlue", "valu", "vallue", "vaalue", "Value", "valye", "vakue"],
    "value_fn": ["valuefn", "valueFn", "value_fun", "valeu_fn", "value_f", "value_gn"],
    "grad": ["grda", "gard", "rgad", "Grad"],
    "grad_fn": ["grda_fn", "gradfn", "gradFn", "grad_fun", "grad_dn"],
    "key": ["kye", "eky", "KEY"],
    "damping": ["dampign", "dampin", "dampping", "danping"],
}
# What training loops call their own things.
WORDS = """
    accuracy aux axis batch batch_size carry cost data dt epoch eval_fn features gradient gradients grads grad_norm
    grade grid hessian hvp_fn images inputs iteration jacobian keys labels learning_rate logits loss loss_fn losses lr
    mask metrics model n_steps noise obj obj_fn objective outputs p pvalue pred prng_key rad rate rng rng_key
    rngs seed state step steps t targets temperature train training val val_loss valid value_and_grad_fn value_and_grad
    value2 values values_fn_args vals var variance weight x y damp dampings damping1
"""


def test_misspellings_are_told_from_other_words():
    known = MISSPELLINGS.keys()
    missed = [(word, name) for name, words in MISSPELLINGS.items() for word in words if not is_misspelling(word, name)]
    hit = [(word, name) for word in WORDS.split() for name in known if is_misspelling(word, name)]
    confused = [(name, other) for name in known for other in known - {name} if is_misspelling(name, other)]
    assert (missed, hit, confused) == ([], [], [])


def taking_anything():
    return GradientTransformation(lambda params: (), lambda updates, state, params=None, **extra: (updates, state))


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adam(0.1),
        gradtx.chain(foreign.scale(2.0), scale_by_damping()),
        gradtx.chain(foreign.chain(foreign.scale(2.0)), scale_by_damping()),
        gradtx.chain(taking_anything(), scale_by_damping()),
        gradtx.masked(gradtx.chain(taking_anything(), scale_by_damping()), {"w": True}),
        twice(scale_by_damping()),
        gradtx.chain(foreign.chain(gradtx.interop.optax.to_optax(scale_by_damping()))),
    ],
    ids=["adam", "optax", "optax_taking_anything", "taking_anything", "masked", "wrapper", "inside_optax"],
)
def test_whoever_made_the_members_misspelt_arguments_are_named_and_others_ignored(tx):
    given = {"value": 1.0, "grad": GRADIENTS, "value_fn": lambda params: jnp.sum(params["w"])}
    with jax.numpy_dtype_promotion("standard"):
        updated(tx, **given, step=3, batch=None, train=True)
        with pytest.raises(TypeError, match=r"nothing here reads the extra argument 'valeu'; did you mean 'value'\?"):
            updated(tx, **given, valeu=3.0)
        if "damping" in declared_extra_args(tx.update):
            with pytest.raises(TypeError, match=r"'dampign'; did you mean 'damping'\?"):
                updated(tx, **given, dampign=3.0)


def test_gradtx_inside_optax_names_a_misspelt_argument():
    tx = optax.chain(gradtx.interop.optax.to_optax(scale_by_damping()), optax.identity())
    updated(tx, step=3)
    with pytest.raises(TypeError, match=r"scale_by_damping: nothing here reads the extra argument 'dampign'"):
        updated(tx, dampign=3.0)


def test_a_typo_of_a_declared_argument_is_explained():
    with pytest.raises(TypeError, match=r"'dampign'; did you mean 'damping'\?"):
        updated(gradtx.chain(gradtx.scale(1.0), scale_by_damping()), dampign=2.0)


def test_protocol_arguments_pass_through_those_that_do_not_read_them():
    chex.assert_trees_all_close(updated(gradtx.scale(2.0), value=1.0, key=jax.random.key(0), value_fn=None), times(2.0))


def test_a_declared_argument_reaches_its_reader_in_nested_chains():
    tx = gradtx.chain(gradtx.scale(2.0), gradtx.chain(scale_by_damping(), gradtx.identity()))
    chex.assert_trees_all_close(updated(tx, damping=3.0), times(6.0))
    chex.assert_trees_all_close(updated(tx), times(2.0))


def test_a_declared_argument_reaches_its_reader_in_a_named_chain_and_a_wrapper():
    tx = gradtx.named_chain(("damped", twice(scale_by_damping())), ("scaled", gradtx.scale(0.5)))
    chex.assert_trees_all_close(updated(tx, damping=3.0), times(4.5))


def test_what_the_inner_transformation_of_a_wrapper_does_not_read_is_ignored():
    chex.assert_trees_all_close(updated(twice(gradtx.scale(2.0)), damping=1.0), times(4.0))


@pytest.mark.parametrize("tx", [scale_by_value(), gradtx.chain(scale_by_value()), twice(scale_by_value())], ids=repr)
def test_a_required_argument_that_is_missing_is_named_with_its_reader(tx):
    with pytest.raises(
        TypeError, match=re.escape("scale_by_value reads 'value': call update(updates, state, params, value=...).")
    ):
        updated(tx)


@pytest.mark.parametrize(
    "tx", [needs_params(), gradtx.chain(gradtx.scale(1.0), needs_params()), twice(needs_params())], ids=repr
)
def test_missing_params_are_reported_by_who_reads_them(tx):
    message = "needs_params reads the parameters: call update(updates, state, params), not update(updates, state)."
    with pytest.raises(ValueError, match=re.escape(message)):
        tx.update(GRADIENTS, tx.init(PARAMS))


def test_params_may_be_given_by_keyword():
    tx = gradtx.chain(needs_params())
    updates, _ = tx.update(GRADIENTS, tx.init(PARAMS), params=PARAMS)
    chex.assert_trees_all_close(updates, PARAMS)


def test_params_pass_through_those_that_do_not_read_them():
    tx = gradtx.scale(2.0)
    chex.assert_trees_all_close(tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)[0], tx.update(GRADIENTS, tx.init(PARAMS))[0])


# --- transformations of other libraries ------------------------------------------------------------------------------


def test_a_pair_of_another_kind_works_in_a_chain():
    class Doubling:
        """All that is asked: an init and an update."""

        def init(self, params):
            return ()

        def update(self, updates, state, params=None):
            return jax.tree.map(lambda g: 2 * g, updates), state

    doubling: Any = Doubling()
    chex.assert_trees_all_close(updated(gradtx.chain(doubling, gradtx.scale(2.0)), value=1.0), times(4.0))


def test_a_foreign_update_that_takes_anything_is_given_everything():
    seen = {}

    def update(updates, state, params=None, **extra):
        seen.update(extra)
        return updates, state

    recorder = GradientTransformation(lambda params: (), update)
    updated(gradtx.chain(gradtx.scale(1.0), twice(recorder)), value=1.0, anything=2)
    assert seen == {"value": 1.0, "anything": 2}


def test_a_foreign_update_without_extra_arguments_is_given_none():
    tx = gradtx.chain(foreign.scale(2.0), scale_by_value())
    chex.assert_trees_all_close(updated(tx, value=3.0), times(6.0))


def test_optax_inside_a_chain_does_what_it_does_alone():
    inside = gradtx.chain(foreign.clip_by_global_norm(0.1), foreign.adam(0.1))
    alone = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(0.1))
    with jax.numpy_dtype_promotion("standard"):
        expected, expected_state = alone.update(GRADIENTS, alone.init(PARAMS), PARAMS)
        updates, state = inside.update(GRADIENTS, inside.init(PARAMS), PARAMS)
    chex.assert_trees_all_equal(updates, expected)
    chex.assert_trees_all_equal(state, expected_state)


def test_a_line_search_of_optax_inside_a_chain_gets_what_it_reads():
    def loss(params):
        return jnp.sum(jnp.square(params["w"]))

    tx = gradtx.chain(gradtx.sgd(1.0), foreign.scale_by_backtracking_linesearch(max_backtracking_steps=5))
    value, gradients = jax.value_and_grad(loss)(PARAMS)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = tx.update(gradients, tx.init(PARAMS), PARAMS, value=value, grad=gradients, value_fn=loss)
    assert loss(gradtx.apply_updates(PARAMS, updates)) < value


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda tx: foreign.chain(foreign.identity(), tx),
        lambda tx: foreign.masked(tx, {"w": True}),
        lambda tx: foreign.apply_if_finite(tx, 3),
        lambda tx: foreign.multi_transform({"all": tx}, {"w": "all"}),
        lambda tx: foreign.MultiSteps(tx, 1),
    ],
    ids=["chain", "masked", "apply_if_finite", "multi_transform", "MultiSteps"],
)
def test_gradtx_inside_wrappers_of_optax_does_what_it_does_alone(wrapped):
    with jax.numpy_dtype_promotion("standard"):
        chex.assert_trees_all_close(updated(wrapped(gradtx.adamw(0.1)), value=0.0), updated(gradtx.adamw(0.1)), rtol=1e-6)


def test_a_chain_of_optax_hands_no_extra_argument_on_and_the_reader_says_so():
    # Optax hands them only to instances of its own class.
    with pytest.raises(TypeError, match="scale_by_value reads 'value'"):
        updated(foreign.chain(scale_by_value(), foreign.scale(2.0)), value=2.0)


def test_optax_injects_hyperparameters_into_gradtx():
    with jax.numpy_dtype_promotion("standard"):
        tx = foreign.inject_hyperparams(gradtx.adam)(learning_rate=0.1)
        chex.assert_trees_all_close(updated(tx), updated(gradtx.adam(0.1)), rtol=1e-5)


def test_the_first_member_that_reads_an_argument_asks_for_it():
    tx = gradtx.chain(gradtx.identity(), gradtx.add_decayed_weights(0.1), gradtx.scale_by_trust_ratio())
    params = jnp.ones(2)
    with pytest.raises(ValueError, match="add_decayed_weights reads the parameters: call update"):
        tx.update(params, tx.init(params))


def test_an_update_is_called_as_its_factory():
    init, update = gradtx.adamw(0.1)
    assert (init.__qualname__, update.__qualname__) == ("adamw.init", "adamw.update")  # pyright: ignore[reportAttributeAccessIssue]


def test_a_pair_of_optax_whose_signature_says_nothing_is_given_nothing():
    read = []

    def wrapped(*args, **kwargs):
        read.append(set(kwargs))
        return args[:2]

    for kind, expected in ((gradtx.GradientTransformation, set()), (gradtx.GradientTransformationExtraArgs, {"value"})):
        tx = gradtx.chain(kind(gradtx.init_empty_state, wrapped))
        params = jnp.zeros(2)
        tx.update(params, tx.init(params), params, value=1.0)
        assert read.pop() == expected
