"""Hyperparameters have readable paths, and a composition can be made again with others."""

# Optax has types of its own.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

import jax
import numpy as np
import optax
import pytest
import zoo
from tables import table

import gradtx
from gradtx.core.hyperparameters import hyperparameters, rebuilt
from gradtx.inspection.walk import walk
from gradtx.interop import torch

PARAMS = {"w": np.ones((3, 4), np.float32), "b": np.ones(3, np.float32)}


def by_rank(params):
    """Labels for `partition`."""
    return jax.tree.map(lambda p: "matrix" if np.ndim(p) == 2 else "rest", params)


def test_chains_and_wrappers_add_nothing_to_a_path():
    tx = gradtx.chain(gradtx.clip(1.0), gradtx.apply_if_finite(gradtx.sgd(0.1, momentum=0.9), 5))
    expected = {
        "clip.max_delta": 1.0,
        "apply_if_finite.max_consecutive_errors": 5,
        "sgd.learning_rate": 0.1,
        "sgd.momentum": 0.9,
    }
    assert hyperparameters(tx) == expected


def test_labels_and_names_come_before():
    tx = gradtx.named_chain(
        ("clipping", gradtx.clip(1.0)),
        ("descent", gradtx.partition({"matrix": gradtx.sgd(0.1), 0: gradtx.scale(2.0)}, by_rank)),
    )
    assert hyperparameters(tx) == {
        "clipping.clip.max_delta": 1.0,
        "descent.matrix.sgd.learning_rate": 0.1,
        "descent.0.scale.step_size": 2.0,
    }


def test_an_index_tells_equal_names_apart():
    tx = gradtx.chain(gradtx.scale(1.0), gradtx.clip(9.0), gradtx.scale(2.0))
    assert hyperparameters(tx) == {"scale[0].step_size": 1.0, "clip.max_delta": 9.0, "scale[1].step_size": 2.0}


def test_flags_dtypes_and_functions_other_than_schedules_are_no_hyperparameters():
    schedule = gradtx.linear_schedule(1.0, 0.0, 10)
    tx = gradtx.chain(
        gradtx.stateless_with_tree_map(lambda g, p: g),
        gradtx.masked(gradtx.scale_by_schedule(schedule), by_rank),
        gradtx.snapshot("norm", gradtx.tree.norm),
        gradtx.lion(schedule, mu_dtype="bfloat16", mask=by_rank),
    )
    assert hyperparameters(tx) == {
        "scale_by_schedule.step_size_fn": schedule,
        "lion.learning_rate": schedule,
        "lion.b1": 0.9,
        "lion.b2": 0.99,
        "lion.weight_decay": 0.001,
    }


def test_several_numbers_have_an_index():
    tx = torch.adam(betas=(gradtx.linear_schedule(0.8, 0.9, 10), 0.99))
    found = hyperparameters(tx)
    assert list(found) == ["adam.lr", "adam.betas[0]", "adam.betas[1]", "adam.eps", "adam.weight_decay"]
    assert found["adam.betas[1]"] == 0.99
    assert rebuilt(tx, {"adam.betas[0]": 0.7}) == torch.adam(betas=(0.7, 0.99))


def test_an_injected_factory_has_the_names_of_the_factory():
    assert hyperparameters(gradtx.inject_hyperparams(gradtx.sgd)(0.1)) == {"sgd.learning_rate": 0.1}


def test_of_another_library_nothing_is_known():
    assert hyperparameters(optax.adam(1e-3)) == {}
    assert hyperparameters(gradtx.chain(optax.adam(1e-3), gradtx.scale(2.0))) == {"scale.step_size": 2.0}
    assert walk(optax.adam(1e-3), optax.adam(1e-3).init(PARAMS)).parts == ()


def test_a_composition_is_made_again_with_other_hyperparameters():
    tx = gradtx.named_chain(("a", gradtx.MultiSteps(gradtx.chain(gradtx.clip(1.0), gradtx.adam(0.1)), 4)))
    schedule = gradtx.linear_schedule(1.0, 0.0, 10)
    again = rebuilt(tx, {"a.adam.learning_rate": schedule, "a.adam.b2": 0.9})
    expected = gradtx.chain(gradtx.clip(1.0), gradtx.adam(schedule, b2=0.9))
    assert again == gradtx.named_chain(("a", gradtx.MultiSteps(expected, 4)))
    assert repr(again) == repr(gradtx.named_chain(("a", gradtx.MultiSteps(expected, 4))))


def test_what_does_not_change_is_not_made_again():
    kept = gradtx.adam(0.1)
    again = rebuilt(gradtx.chain(kept, gradtx.scale(1.0)), {"scale.step_size": 2.0})
    assert again.recipe.args[0] is kept


def test_an_unknown_path_is_refused_with_the_nearest():
    with pytest.raises(KeyError, match=r"no hyperparameter 'adam.lr'; did you mean 'adam.learning_rate'\?"):
        rebuilt(gradtx.adam(0.1), {"adam.lr": 1.0})
    with pytest.raises(KeyError, match=r"did you mean 'adam.b1'"):
        rebuilt(gradtx.adam(0.1), {"adam.b11": 1.0})


def test_a_factory_refuses_what_is_out_of_its_range():
    with pytest.raises(ValueError, match=r"adam: b1 must be at least 0 and below 1, got 2"):
        rebuilt(gradtx.chain(gradtx.adam(0.1)), {"adam.b1": 2.0})


@table("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_every_sample_is_made_again_as_it_is(label):
    tx = zoo.transformation(label)
    assert rebuilt(tx, hyperparameters(tx)) == tx


@table("label", zoo.existing(zoo.TRANSFORMATIONS))
def test_the_parts_of_every_sample_are_found_beside_their_states(label):
    tx = zoo.transformation(label)
    state = jax.eval_shape(tx.init, PARAMS)
    whole = {id(leaf) for leaf in jax.tree.leaves(state)}
    for part in walk(tx, state).everything():
        assert {id(leaf) for leaf in jax.tree.leaves(part.state)} <= whole
        assert callable(part.tx.init)
