"""Masks by path."""

import re

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from flax.core import FrozenDict

import gradtx
from gradtx.tree import MaskedNode

PARAMS = {
    "layers": [{"bias": jnp.ones(2), "kernel": jnp.ones((2, 2))} for _ in range(2)],
    "head": {"kernel": jnp.ones((2, 1))},
}


def is_vector(path, leaf):
    return leaf.ndim == 1


@pytest.mark.parametrize(
    "patterns",
    [
        ("**/bias",),
        ("layers/0/bias", "layers/1/bias"),
        (("layers/0/bias", "layers/1/bias"),),
        (re.compile(r"layers/\d+/bias"),),
        (is_vector,),
    ],
)
def test_a_mask_is_true_where_a_pattern_matches_and_its_opposite_is_false_there(patterns):
    expected = {"layers": [{"bias": True, "kernel": False}] * 2, "head": {"kernel": False}}
    assert gradtx.matching(*patterns)(PARAMS) == expected
    assert gradtx.not_matching(*patterns)(PARAMS) == jax.tree.map(lambda matched: not matched, expected)


def test_shapes_and_traced_arrays_give_the_same_mask():
    mask = gradtx.matching(is_vector)
    seen = []
    jax.jit(lambda params: seen.append(mask(params)))(PARAMS)
    assert [mask(jax.eval_shape(lambda: PARAMS)), *seen] == [mask(PARAMS)] * 2


@pytest.mark.parametrize(
    "wrap",
    [
        lambda mask: gradtx.adamw(0.1, weight_decay=0.5, mask=mask),
        lambda mask: gradtx.masked(gradtx.adam(0.1), mask),
        lambda mask: gradtx.chain(gradtx.sgd(0.1), gradtx.freeze(mask)),
        lambda mask: gradtx.selective_transform(gradtx.adam(0.1), freeze_mask=mask),
        lambda mask: gradtx.muon(0.1, weight_decay=0.5, weight_decay_mask=mask),
        lambda mask: gradtx.inject_hyperparams(gradtx.adamw)(0.1, weight_decay=0.5, mask=mask),
    ],
    ids=["adamw", "masked", "freeze", "selective_transform", "muon", "inject_hyperparams"],
)
def test_it_serves_wherever_a_mask_is_asked_for(wrap):
    by_hand = {"layers": [{"bias": True, "kernel": False}] * 2, "head": {"kernel": False}}
    expected, got = wrap(by_hand), wrap(gradtx.matching("**/bias"))
    state = expected.init(PARAMS)
    chex.assert_trees_all_equal(got.init(PARAMS), state)
    chex.assert_trees_all_equal(jax.jit(got.update)(PARAMS, state, PARAMS), jax.jit(expected.update)(PARAMS, state, PARAMS))


def test_a_mask_of_nnx_variables_and_of_equinox_modules_is_by_the_same_patterns():
    mask = gradtx.not_matching("**/bias")
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.Param)
    assert nnx.to_pure_dict(mask(state)) == {"kernel": True, "bias": False}
    model = eqx.filter(eqx.nn.Linear(2, 2, key=jax.random.key(0)), eqx.is_inexact_array)
    where = mask(model)
    assert (where.weight, where.bias) == (True, False)
    assert mask(FrozenDict({"bias": 1.0, "kernel": 1.0})) == FrozenDict({"bias": False, "kernel": True})


# --- what matches nothing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("**/bais", r"'\*\*/bais' matches nothing; did you mean '\*\*/bias'\?"),
        ("bias", r"did you mean '\*\*/bias'\?"),
        ("layers", r"did you mean 'layers/\*\*'\?"),
        ("layer/0/bias", r"did you mean 'layers/0/bias'\?"),
        ("layers.*.bias", r"did you mean 'layers/\*/bias'\?"),
        ("/head/kernel/", r"did you mean 'head/kernel'\?"),
        (re.compile("bias"), r"re.compile\('bias'\) matches nothing; did you mean re.compile\('\.\*\(\?:bias\)\.\*'\)\?"),
        (re.compile("(?i)BAIS"), r"BAIS'.*\) matches nothing\. There are"),
        ("nothing/like/it", r"'nothing/like/it' matches nothing\. There are"),
        (lambda path, leaf: False, r"<lambda> matches nothing\. There are"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_what_was_meant(pattern, hint):
    paths = "'head/kernel', 'layers/0/bias', 'layers/0/kernel', 'layers/1/bias', 'layers/1/kernel'"
    with pytest.raises(ValueError, match=rf"not_matching: .*{hint}.*{paths}\."):
        gradtx.adamw(0.1, mask=gradtx.not_matching("**/kernel", pattern)).init(PARAMS)


def test_of_many_paths_the_nearest_are_shown():
    with pytest.raises(ValueError, match=r"The nearest of 20 paths are ('\d+'(, |\.)){8}$"):
        gradtx.matching("bias")([jnp.ones(())] * 20)


def test_where_a_mask_has_left_holes_what_is_matched_may_be_elsewhere():
    mask = gradtx.not_matching("**/bias")
    assert mask({"kernel": 1.0, "bias": MaskedNode()}) == {"kernel": True, "bias": MaskedNode()}
    assert mask({"kernel": 1.0, "rest": MaskedNode()}) == {"kernel": True, "rest": MaskedNode()}
    tx = gradtx.masked(gradtx.adamw(0.1, mask=mask), gradtx.matching("**/kernel"))
    tx.update(PARAMS, tx.init(PARAMS), PARAMS)


def test_a_leaf_that_is_none_is_matched_in_its_place():
    assert gradtx.matching("bias")({"bias": None, "kernel": 1.0}) == {"bias": None, "kernel": False}
    with pytest.raises(ValueError, match="'bais' matches nothing"):
        gradtx.matching("bais")({"bias": None, "kernel": 1.0})


def test_in_an_empty_tree_there_is_nothing_to_match():
    assert gradtx.matching("**/bias")({}) == {}


@pytest.mark.parametrize("make", [gradtx.matching, gradtx.not_matching])
def test_no_pattern_or_a_wrong_one_is_refused_when_built(make):
    with pytest.raises(ValueError, match=rf"{make.__name__} needs a pattern, such as {make.__name__}\('\*\*/bias'\)"):
        make()
    with pytest.raises(TypeError, match=rf"{make.__name__}: \['a'\] is not a pattern"):
        make(["a"])


def test_a_mask_with_a_regular_expression_is_a_value():
    one, two = (gradtx.matching(re.compile("a", re.IGNORECASE), is_vector) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert repr(one) == "matching(re.compile('a', re.IGNORECASE), is_vector)"
    assert one != gradtx.matching(re.compile("a"), is_vector)
    assert one != gradtx.not_matching(re.compile("a", re.IGNORECASE), is_vector)
