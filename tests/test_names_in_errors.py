"""Whoever fails says its own name: every transformation of the zoo is asked, by mistakes in the arguments of its `update`."""

import contextlib
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
import zoo

import gradtx
from gradtx import tree
from gradtx.core.hyperparameters import all_made
from gradtx.inspection.walk import walk

PARAMS = {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4), "head": {"kernel": jnp.ones((4, 2))}}


class OthersState(NamedTuple):
    """The state of something else."""

    other: Any


OTHER_SHAPES = {
    "another shape": {**PARAMS, "kernel": jnp.ones((5, 4))},
    "a shape that broadcasts": {**PARAMS, "kernel": jnp.ones((1, 4))},
}
WRONG_UPDATES = {
    "a leaf is missing": {"kernel": PARAMS["kernel"], "head": PARAMS["head"]},
    "one leaf too many": {**PARAMS, "more": jnp.ones(2)},
    "a function": {**PARAMS, "bias": jax.nn.relu},
    **OTHER_SHAPES,
}


def failure(tx, updates, state, params, **extra_args) -> Exception | None:
    """What an update raises while it is traced; nothing is compiled."""
    caught = []

    def attempt():
        try:
            tx.update(updates, state, params, **extra_args)
        except Exception as error:
            caught.append(error)

    jax.eval_shape(attempt)
    return caught[0] if caught else None


def names(tx, state) -> set[str]:
    """The factories that a composition is made of, at every depth."""
    found = {made.recipe.name for made in all_made(tx)}
    for made in all_made(tx):
        value: Any = made.value
        with contextlib.suppress(Exception):  # only what has this very state can be asked for its parts
            found |= {part.recipe.name for part in walk(value, state).everything() if part.recipe}
    return {name.partition("(")[0] for name in found}


def keeps_an_array_for_each(state) -> bool:
    """Whether some part of a state has the structure and the shapes of the parameters."""
    like = jax.tree.map(jnp.shape, PARAMS)
    subtrees = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, dict) and node.keys() == PARAMS.keys())
    return any(jax.tree.map(jnp.shape, subtree) == like for subtree in subtrees if isinstance(subtree, dict))


def who(error: Exception) -> str | None:
    """The name that an error begins with."""
    said = re.match(r"([\w.]+)(\([\w.]+\))?(: | reads | needs )", str(error))
    return said and said[1]


def test_whoever_fails_says_its_own_name():
    wrong, silent = [], []
    for label in zoo.TRANSFORMATIONS:
        tx, extra_args = zoo.transformation(label), zoo.extra_args(label, PARAMS)
        state = tx.init(PARAMS)
        known = names(tx, state)
        reads_params = False

        def ask(mistake, *arguments, label=label, tx=tx, known=known, **extra_args):
            error = failure(tx, *arguments, **extra_args)
            if error is not None and who(error) not in known:
                wrong.append(f"{label}: {mistake}: {error!r}")
            return error

        reads_params = ask("no params", PARAMS, state, None, **extra_args) is not None
        for mistake, updates in WRONG_UPDATES.items():
            error = ask(mistake, updates, state, PARAMS, **extra_args)
            if error is None and mistake in OTHER_SHAPES and (reads_params or keeps_an_array_for_each(state)):
                silent.append(f"{label}: {mistake}")
        if extra_args:
            ask("no extra arguments", PARAMS, state, PARAMS)
    assert not wrong, "\n".join(wrong)
    assert not silent, "\n".join(silent)


def test_a_state_of_something_else_is_refused_in_the_name_of_what_was_called():
    for label in zoo.TRANSFORMATIONS:
        tx, extra_args = zoo.transformation(label), zoo.extra_args(label, PARAMS)
        error = failure(tx, PARAMS, OthersState(jnp.ones(3)), PARAMS, **extra_args)
        if jax.tree.leaves(tx.init(PARAMS)):
            assert error is not None, label
            assert who(error) in (tx.recipe.name, zoo.public_name(label)) or label in SAME_STATE, f"{label}: {error!r}"


SAME_STATE = {
    "flatten": "its state is that of what it wraps",
    "stored": "its state is that of what it wraps",
    "offloaded": "its state is that of what it wraps",
    "per_shard": "its state is that of what it wraps",
    "stacked": "its state is that of what it wraps",
    "sharded": "its state is that of what it wraps",
    "lookahead": "the sample is a wrapper without a state",
}


def test_what_shares_a_rule_or_is_made_of_another_names_itself():
    """They called themselves by the names of the rule or of the helper: running_mean, from, moved, partition, masked."""
    sgd, other, function = gradtx.sgd(0.1), OTHER_SHAPES["another shape"], WRONG_UPDATES["a function"]
    for tx, updates in (
        (gradtx.MultiSteps(sgd, 2), other),
        (gradtx.sam(sgd, sgd), other),
        (gradtx.schedule_free(sgd, 0.1), other),
        (gradtx.schedule_free_sgd(0.1), other),
        (gradtx.dog(), other),
        (gradtx.measure_with_ema(zoo.itself, 0.9), other),
        (gradtx.monitor({"norm": gradtx.tree.norm}), function),
        (gradtx.scale_by_learning_rate(0.1), function),
        (gradtx.freeze(dict.fromkeys(PARAMS, True)), PARAMS["head"]),
        (gradtx.selective_transform(sgd, freeze_mask=dict.fromkeys(PARAMS, True)), PARAMS["head"]),
        (gradtx.multi_transform({"all": sgd}, dict.fromkeys(PARAMS, "all")), PARAMS["head"]),
        (gradtx.stateless_with_tree_map(zoo.doubled), PARAMS["head"]),
    ):
        error = failure(tx, updates, tx.init(PARAMS), PARAMS)
        assert error is not None, tx
        name = tx.recipe and tx.recipe.name
        assert who(error) in (name, f"scale_by_{name}"), repr(error)


@tree.lift
def averaged(g, m):
    return g + m, g + m


def own_pair():
    return gradtx.GradientTransformation(tree.moment_like, lambda updates, state, params=None: averaged(updates, state))


def test_a_factory_of_ones_own_gives_its_name_and_a_plain_pair_none():
    @gradtx.factory
    def mine() -> gradtx.GradientTransformation:
        return own_pair()

    shapes = r"updates\['kernel'\] has shape \(5, 4\), but state m\['kernel'\] has shape \(3, 4\)"
    for tx, name in ((mine(), "mine: "), (own_pair(), ""), (gradtx.chain(gradtx.scale(1.0), mine()), "mine: ")):
        error = failure(tx, OTHER_SHAPES["another shape"], tx.init(PARAMS), PARAMS)
        assert re.match(name + shapes, str(error)), repr(error)
        with pytest.raises(TypeError, match=rf"^{name}params\['bias'\] is not an array but a function, relu"):
            tx.init(WRONG_UPDATES["a function"])


def test_the_outermost_factory_names_what_is_wrong_when_it_is_built():
    with pytest.raises(TypeError, match=r"^scale_by_adam: a moment needs a floating-point dtype, got int8"):
        gradtx.scale_by_adam(mu_dtype="int8")
    for make in (gradtx.adam, gradtx.adamw, gradtx.nadam):
        with pytest.raises(TypeError, match=f"^{make.__name__}: a moment needs a floating-point dtype, got int8"):
            make(0.1, mu_dtype="int8")


def test_a_function_within_a_transformation_keeps_its_name_unless_transformations_are_made_of_it():
    def fails(updates, params):
        return gradtx.huber_loss(jnp.ones(2), jnp.ones(5))

    def moves(updates, params):
        return gradtx.apply_updates({"w": jnp.ones(3)}, {"w": jnp.ones(2)})

    for f, name in ((fails, "huber_loss: targets must"), (moves, r"stateless: updates\['w'\] has shape")):
        error = failure(gradtx.stateless(f), PARAMS, gradtx.EmptyState(), PARAMS)
        assert re.match(name, str(error)), repr(error)
        with pytest.raises(ValueError, match=f"^{name.replace('stateless', 'apply_updates')}"):
            f(None, None)
