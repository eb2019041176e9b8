"""Labels choose transformations; labels that mean nothing are refused by path."""

import enum

import chex
import jax
import jax.numpy as jnp
import pytest

import gradtx

PARAMS = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "scale": jnp.ones(())}


def test_a_label_above_the_leaves_speaks_for_all_below():
    tx = gradtx.partition({"a": gradtx.scale(2.0), "b": gradtx.scale(3.0)}, {"dense": "a", "scale": "b"})
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    chex.assert_trees_all_equal(updates, {"dense": jax.tree.map(lambda x: 2 * x, PARAMS["dense"]), "scale": jnp.asarray(3.0)})


def test_a_norm_is_that_of_the_own_parameters():
    tx = gradtx.partition({"a": gradtx.normalize(), "b": gradtx.identity()}, {"dense": "a", "scale": "b"})
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    assert gradtx.tree.norm(updates["dense"]) == pytest.approx(1)
    assert updates["scale"] == 1


class Group(enum.Enum):
    """Labels that cannot be sorted."""

    FAST = 1
    SLOW = 2


@pytest.mark.parametrize(
    ("fast", "slow"),
    [(1, 2), (True, False), (1, "slow"), (Group.FAST, Group.SLOW), (("fast", 1), ("slow",)), ("fast", None), (int, float)],
)
def test_a_label_may_be_anything_that_can_be_hashed(fast, slow):
    tx = gradtx.partition({fast: gradtx.trace(0.5), slow: gradtx.scale(2.0)}, {"dense": fast, "scale": slow})
    state = jax.jit(tx.init)(PARAMS)
    updates, state = jax.jit(tx.update)(PARAMS, state, PARAMS)
    updates, state = jax.jit(tx.update)(PARAMS, state, PARAMS)
    assert set(state.inner_states) == {fast, slow}
    chex.assert_trees_all_equal(updates, {"dense": jax.tree.map(lambda x: 1.5 * x, PARAMS["dense"]), "scale": jnp.asarray(2.0)})


def test_a_transformation_without_parameters_is_no_error():
    tx = gradtx.partition({"a": gradtx.sgd(1.0), "b": gradtx.adam(1.0)}, "a")
    updates, _ = tx.update(PARAMS, tx.init(PARAMS))
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.negative, PARAMS))


def test_a_hole_in_the_updates_alone_stays_one():
    tx = gradtx.partition({"a": gradtx.adamw(1.0)}, lambda tree: jax.tree.map(lambda leaf: "a", tree))
    updates, _ = tx.update({**PARAMS, "scale": None}, tx.init(PARAMS), PARAMS)
    assert updates["scale"] is None


@pytest.mark.parametrize("labels", [{"dense": "a", "scale": "typo"}, lambda params: {"dense": "a", "scale": "typo"}])
def test_a_label_that_names_nothing_is_refused_by_path(labels):
    with pytest.raises(
        ValueError, match=r"param_labels\['scale'\] is 'typo', which names none of the transformations; there are 'a', 'b'"
    ):
        gradtx.partition({"a": gradtx.sgd(0.1), "b": gradtx.sgd(0.1)}, labels).init(PARAMS)


def test_labels_that_do_not_match_the_params_are_refused():
    with pytest.raises(ValueError, match=r"partition: param_labels has nothing for \['scale'\]; it has \['dense'\]"):
        gradtx.partition({"a": gradtx.sgd(0.1)}, {"dense": "a"}).init(PARAMS)
    with pytest.raises(ValueError, match=r"partition: param_labels\['more'\] has no counterpart in the tree"):
        gradtx.partition({"a": gradtx.sgd(0.1)}, {"dense": "a", "scale": "a", "more": "a"}).init(PARAMS)


def test_extra_arguments_like_the_updates_are_split_on_demand():
    seen = {}

    @gradtx.factory
    def look(name):
        def update(updates, state, params=None, *, grad):
            seen[name] = jax.tree.structure(grad)
            return updates, state

        return gradtx.GradientTransformation(gradtx.init_empty_state, update)

    tx = gradtx.partition({"a": look("a"), "b": look("b")}, {"dense": "a", "scale": "b"}, mask_compatible_extra_args=True)
    tx.update(PARAMS, tx.init(PARAMS), grad=PARAMS)
    assert seen["a"] != seen["b"]
    assert seen["b"].num_leaves == 1


def test_a_function_of_labels_is_asked_once_for_the_updates_and_once_for_the_params():
    asked = []

    def labels(tree):
        asked.append(tree)
        return {"dense": "a", "scale": "b"}

    tx = gradtx.partition({"a": gradtx.sgd(1.0), "b": gradtx.adamw(1.0), "c": gradtx.adam(1.0)}, labels)
    state = tx.init(PARAMS)
    assert len(asked) == 1
    tx.update(PARAMS, state, PARAMS)
    assert len(asked) == 3
