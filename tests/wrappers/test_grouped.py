"""Groups of parameters by path: each moves as if it were alone, and what a rule leaves out is said."""

import dataclasses
import pickle
import re
from typing import Any, NamedTuple

import chex
import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import trajectories
from flax import nnx
from flax.core import FrozenDict
from hypothesis import given
from hypothesis import strategies as st
from trees import properties, trees

import gradtx
from gradtx import Group, grouped
from gradtx.interop import torch as interop_torch
from gradtx.tree import MaskedNode
from gradtx.tree.paths import map_with_paths, places

foreign: Any = optax  # another library's classes are not ours to the type checker
FALLING = gradtx.cosine_decay_schedule(0.1, 20)


def params():
    """A small network with a bit of everything."""
    random = np.random.default_rng(0)

    def dense():
        return {"kernel": jnp.asarray(random.normal(size=(3, 3))), "bias": jnp.asarray(random.normal(size=3))}

    return {"embed": jnp.asarray(random.normal(size=(5, 3))), "layers": (dense(), dense()), "head": dense()}


def is_matrix(path, leaf):
    return leaf.ndim == 2


def labels_by_hand(kernel="rest"):
    """Labels of `params()`, as they are written without patterns."""
    layer = {"kernel": kernel, "bias": "bias"}
    return {"embed": "embed", "layers": (layer, layer), "head": {"kernel": "head", "bias": "head"}}


def updates_of(tx, tree=None, **extra_args):
    tree = params() if tree is None else tree
    return tx.update(tree, tx.init(tree), tree, **extra_args)[0]


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("rate", "scaled"), [(0.1, 0.01), (FALLING, gradtx.cosine_decay_schedule(0.01, 20))], ids=["number", "schedule"]
)
def test_groups_move_as_a_partition_written_by_hand(rate, scaled):
    tx = grouped(
        gradtx.adamw(rate, weight_decay=0.3),
        [
            Group("embed/**", learning_rate_factor=0.1),
            Group("head/**", frozen=True),
            Group("**/bias", weight_decay=0.0),
            Group(is_matrix, gradtx.sgd(0.01, momentum=0.9), name="matrices"),
        ],
    )
    by_hand = gradtx.partition(
        {
            "embed": gradtx.adamw(scaled, weight_decay=0.3),
            "head": gradtx.set_to_zero(),
            "bias": gradtx.adamw(rate, weight_decay=0.0),
            "matrices": gradtx.sgd(0.01, momentum=0.9),
        },
        labels_by_hand("matrices"),
    )
    (path, state), (expected, expected_state) = (trajectories.run(each, params()) for each in (tx, by_hand))
    chex.assert_trees_all_close(path, expected, rtol=1e-12)
    chex.assert_trees_all_close(state, expected_state, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_groups_move_as_in_optax():
    def make_optax():
        return foreign.multi_transform(
            {
                "bias": foreign.adamw(0.1, weight_decay=0.0),
                "embed": foreign.adamw(0.01, weight_decay=0.3),
                "head": foreign.set_to_zero(),
                "rest": foreign.adamw(0.1, weight_decay=0.3),
            },
            labels_by_hand(),
        )

    tx = grouped(
        gradtx.adamw(0.1, weight_decay=0.3),
        [
            Group("head/**", frozen=True),
            Group("**/bias", weight_decay=0.0),
            Group("embed", learning_rate_factor=0.1),
            Group("**"),
        ],
    )
    trajectories.assert_moves_as_in_optax(tx, make_optax, params())


def test_the_first_pattern_that_matches_decides():
    groups = [Group("**/bias", gradtx.scale(2.0)), Group("head/**", gradtx.scale(3.0)), Group("**", gradtx.scale(5.0))]
    factors = jax.tree.map(lambda u, p: u / p, updates_of(grouped(gradtx.identity(), groups)), params())
    layer = {"kernel": 5.0, "bias": 2.0}
    expected = {"embed": 5.0, "layers": (layer, layer), "head": {"kernel": 3.0, "bias": 2.0}}
    chex.assert_trees_all_close(factors, jax.tree.map(lambda f, p: jnp.full(p.shape, f), expected, params()), rtol=1e-6)


def test_what_is_frozen_has_no_state_and_no_update():
    tx = grouped(gradtx.adam(0.1), [Group("layers/**", frozen=True), Group("**")])
    state = tx.init(params())
    assert state.inner_states["layers"].inner_state == gradtx.EmptyState()
    assert gradtx.tree.size(state) == 2 * (15 + 9 + 3) + 1
    chex.assert_trees_all_equal(updates_of(tx)["layers"], jax.tree.map(jnp.zeros_like, params()["layers"]))


def test_what_is_frozen_may_be_integers():
    tree = {"steps": jnp.arange(3), "w": jnp.ones(2)}
    tx = grouped(gradtx.adam(0.1), [Group("steps", frozen=True), Group("**")])
    chex.assert_trees_all_equal(updates_of(tx, tree)["steps"], jnp.zeros(3, int))


def test_a_factor_of_zero_moves_nothing_while_moments_go_on():
    tx = grouped(gradtx.adamw(0.1), [Group("embed", learning_rate_factor=0), Group("**")])
    updates, state = tx.update(params(), tx.init(params()), params())
    assert not updates["embed"].any()
    assert state.inner_states["embed"].inner_state[0].mu["embed"].all()


@pytest.mark.parametrize(
    "optimizer",
    [gradtx.chain(gradtx.trace(0.9), gradtx.scale(-0.1)), foreign.sgd(0.1, momentum=0.9)],
    ids=["chain", "optax"],
)
def test_without_a_learning_rate_the_updates_are_multiplied(optimizer):
    tx = grouped(optimizer, [Group("embed", learning_rate_factor=0.5), Group("**")])
    expected = updates_of(gradtx.sgd(0.1, momentum=0.9))
    chex.assert_trees_all_close(updates_of(tx), {**expected, "embed": expected["embed"] / 2}, rtol=1e-6)


def test_a_factor_and_a_weight_decay_reach_every_part_of_an_optimizer():
    base = gradtx.chain(gradtx.clip(10.0), gradtx.muon(0.1, weight_decay=0.2, adam_weight_decay=0.3, adam_learning_rate=0.4))
    tx = grouped(base, [Group("**", learning_rate_factor=0.5, weight_decay=0.6)])
    by_hand = gradtx.muon(0.05, weight_decay=0.6, adam_weight_decay=0.6, adam_learning_rate=0.2)
    chex.assert_trees_all_close(updates_of(tx), updates_of(by_hand), rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        gradtx.adafactor(0.1),
        gradtx.adafactor(),
        gradtx.adabound(0.1, final_learning_rate=0.2),
        gradtx.adabound(FALLING, final_learning_rate=0.2, base_learning_rate=0.1),
        gradtx.inject_hyperparams(gradtx.adamw)(0.1),
        gradtx.adjustable(gradtx.adamw(0.1)),
        gradtx.MultiSteps(gradtx.adamw(0.1), 1),
        gradtx.prodigy(),
        interop_torch.adamw(lr=0.1),
    ],
    ids=repr,
)
def test_a_factor_scales_the_updates_of_every_optimizer(optimizer):
    expected = updates_of(grouped(optimizer, [Group("embed"), Group("**")]))
    updates = updates_of(grouped(optimizer, [Group("embed", learning_rate_factor=0.5), Group("**")]))
    chex.assert_trees_all_close(updates, {**expected, "embed": expected["embed"] / 2}, rtol=1e-5)


def test_a_factor_does_not_scale_what_bounds_a_learning_rate():
    tx = grouped(gradtx.polyak_sgd(), [Group("embed", learning_rate_factor=0.5), Group("**")])
    expected = updates_of(grouped(gradtx.polyak_sgd(), [Group("embed"), Group("**")]), value=1.0)
    chex.assert_trees_all_close(updates_of(tx, value=1.0)["embed"], expected["embed"] / 2, rtol=1e-6)


def test_the_weight_decay_of_adafactor_is_replaced():
    tx = grouped(gradtx.adafactor(0.1, weight_decay_rate=0.3), [Group("**", weight_decay=0.0)])
    chex.assert_trees_all_close(updates_of(tx), updates_of(gradtx.adafactor(0.1)), rtol=1e-6)


def test_a_weight_decay_may_be_a_schedule():
    tx = grouped(gradtx.adamw(0.1), [Group("**", weight_decay=FALLING)])
    chex.assert_trees_all_equal(updates_of(tx), updates_of(gradtx.adamw(0.1, weight_decay=FALLING)))


def test_a_norm_is_that_of_the_group_within_and_that_of_all_before():
    groups = [Group("embed", gradtx.normalize()), Group("**")]
    assert gradtx.tree.norm(updates_of(grouped(gradtx.identity(), groups))["embed"]) == pytest.approx(1)
    whole = gradtx.chain(gradtx.clip_by_global_norm(1.0), grouped(gradtx.identity(), [Group("embed"), Group("**")]))
    assert gradtx.tree.norm(updates_of(whole)) == pytest.approx(1)


# --- transformations of JAX -------------------------------------------------------------------------------------------


def test_groups_are_the_same_for_shapes_and_for_gradients_of_another_dtype():
    tx = grouped(gradtx.adamw(0.1), [Group(is_matrix, weight_decay=0.0, name="matrices"), Group("**", frozen=True)])
    state = jax.eval_shape(tx.init, jax.eval_shape(params))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, tx.init(params()))
    gradients = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params())
    updates, new_state = tx.update(gradients, tx.init(params()), params())
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, gradients)
    chex.assert_trees_all_equal_shapes_and_dtypes(new_state, state)


def test_parts_of_the_state_are_known_by_their_parameters():
    tx = grouped(gradtx.adam(0.1), [Group("layers/**", frozen=True), Group("**/bias"), Group("**")])
    names = map_with_paths(lambda path, leaf: path, params())
    found = gradtx.tree.map_params(tx, lambda _, name: name, tx.init(params()), names, transform_non_params=lambda _: None)
    assert sorted(set(jax.tree.leaves(found))) == ["embed", "head/bias", "head/kernel"]


def test_parts_of_the_state_are_known_where_no_group_is_for_the_rest():
    for groups in ([Group("**/bias")], [Group("**/bias"), Group("*", name="top"), Group("**/kernel")]):
        tx = grouped(gradtx.adam(0.1), groups)
        names = map_with_paths(lambda path, leaf: path, params())
        found = gradtx.tree.map_params(tx, lambda _, name: name, tx.init(params()), names, transform_non_params=lambda _: None)
        assert sorted(set(jax.tree.leaves(found))) == sorted(jax.tree.leaves(names))


def test_factors_may_be_traced_and_mapped():
    def first_update(factor):
        return updates_of(grouped(gradtx.sgd(FALLING), [Group("embed", learning_rate_factor=factor), Group("**")]))["embed"]

    factors = jnp.asarray([0.5, 2.0])
    expected = jnp.stack([first_update(0.5), first_update(2.0)])
    chex.assert_trees_all_close(jax.jit(jax.vmap(first_update))(factors), expected, rtol=1e-6)


def test_a_learning_rate_may_be_traced():
    def first_update(rate):
        return updates_of(grouped(gradtx.sgd(rate), [Group("embed", learning_rate_factor=0.5), Group("**")]))["embed"]

    chex.assert_trees_all_close(jax.jit(first_update)(jnp.asarray(0.1)), -0.05 * params()["embed"], rtol=1e-6)


def test_it_scans():
    tx = grouped(gradtx.adamw(FALLING), [Group("head/**", frozen=True), Group("**", learning_rate_factor=0.5)])

    def step(carry, _):
        tree, state = carry
        updates, state = tx.update(tree, state, tree)
        return (gradtx.apply_updates(tree, updates), state), None

    (tree, _), _ = jax.lax.scan(step, (params(), tx.init(params())), length=3)
    chex.assert_trees_all_equal(tree["head"], params()["head"])


def test_equal_groups_are_not_traced_again():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def train(tree):
        return updates_of(tx, tree)

    tx = grouped(gradtx.adamw(0.1), [Group("**/bias", weight_decay=0.0), Group("**")])
    for _ in range(3):
        train(params())


def test_extra_arguments_reach_the_groups():
    tx = grouped(gradtx.polyak_sgd(), [Group("embed", learning_rate_factor=0.5), Group("**", gradtx.sgd(0.1))])
    chex.assert_trees_all_close(updates_of(tx, value=1.0)["head"]["bias"], -0.1 * params()["head"]["bias"], rtol=1e-6)
    with pytest.raises(TypeError, match="valeu"):
        updates_of(tx, valeu=1.0)


# --- parameters of other libraries ------------------------------------------------------------------------------------

BIAS_APART = [Group("**/bias", frozen=True), Group("**")]


def test_groups_of_an_nnx_module():
    state = nnx.state(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Param)
    ones = jax.tree.map(jnp.ones_like, state)
    updates = nnx.to_pure_dict(updates_of(grouped(gradtx.sgd(1.0), BIAS_APART), ones))
    chex.assert_trees_all_equal(updates, {"kernel": -jnp.ones((3, 2)), "bias": jnp.zeros(2)})


def test_an_nnx_optimizer_trains_with_groups():
    model: Any = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    before = model.bias[...] + 0
    tx: Any = grouped(gradtx.adamw(0.1), BIAS_APART)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    gradients = nnx.grad(lambda model: (model(jnp.ones(3)) ** 2).sum())(model)
    optimizer.update(model, gradients)
    chex.assert_trees_all_equal(model.bias[...], before)


def test_groups_of_an_equinox_module():
    model = eqx.filter(eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0)), eqx.is_inexact_array)
    tx = grouped(gradtx.sgd(1.0), [Group("layers/#/bias", frozen=True), Group("**")])
    updates = updates_of(tx, model)
    assert not updates.layers[0].bias.any()
    chex.assert_trees_all_equal(updates.layers[1].weight, -model.layers[1].weight)


class Dense(NamedTuple):
    """A layer as a NamedTuple."""

    kernel: Any
    bias: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    """A layer as a dataclass."""

    kernel: Any
    bias: Any


@pytest.mark.parametrize(
    "make",
    [
        lambda kernel, bias: {"kernel": kernel, "bias": bias},
        lambda kernel, bias: [{"kernel": kernel, "bias": bias}],
        lambda kernel, bias: FrozenDict({"dense": {"kernel": kernel, "bias": bias}}),
        lambda kernel, bias: (Dense(kernel, bias),),
        lambda kernel, bias: {"dense": Layer(kernel, bias)},
        lambda kernel, bias: {"dense": {"kernel": nn.Partitioned(kernel, names=("rows", None)), "bias": bias}},
    ],
    ids=["dict", "list", "FrozenDict", "NamedTuple", "dataclass", "boxes of linen"],
)
def test_groups_of_any_container(make):
    tree = make(jnp.ones((2, 2)), jnp.ones(2))
    updates = updates_of(grouped(gradtx.sgd(1.0), BIAS_APART), tree)
    chex.assert_trees_all_equal(updates, make(-jnp.ones((2, 2)), jnp.zeros(2)))


@properties
@given(trees(), st.data())
def test_in_any_tree_each_leaf_is_in_its_own_group(tree, data):
    paths = [path for path, _ in places(tree)]
    frozen = data.draw(st.lists(st.sampled_from(paths), unique=True)) if paths else []
    tx = grouped(gradtx.identity(), [*(Group(path, frozen=True, name=f"{path}!") for path in frozen), Group("**")])
    expected = map_with_paths(lambda path, leaf: jnp.zeros_like(leaf) if path in frozen else leaf, tree)
    if set(paths) - set(frozen):
        chex.assert_trees_all_equal(updates_of(tx, tree), expected)


# --- names and values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "label"),
    [
        ("**/bias", "bias"),
        ("layers/#/attention/**", "layers_attention"),
        ("layer_[0-9]/*", "layer"),
        ("low_rank_*/__a__", "low_rank_a"),
        ("**", "rest"),
        (("**/bias", "**/scale"), "bias_scale"),
        (re.compile(r"layers/\d+/(bias|scale)"), "layers_bias_scale"),
        (is_matrix, "is_matrix"),
        (lambda path, leaf: True, "function"),
    ],
)
def test_a_group_is_named_by_the_words_of_its_pattern(pattern, label):
    assert Group(pattern).label == label
    assert Group(pattern, name="mine").label == "mine"


def test_the_state_has_the_names_of_the_groups():
    tx = grouped(gradtx.adam(0.1), [Group("**/bias"), Group("**", name="all_else")])
    assert set(tx.init(params()).inner_states) == {"bias", "all_else"}


def test_groups_are_values():
    def make(pattern: Any = is_matrix):
        return grouped(
            gradtx.adamw(FALLING, weight_decay=0.1),
            [
                Group(pattern, gradtx.muon(0.02), name="matrices", learning_rate_factor=jnp.asarray(0.5)),
                Group(re.compile("embed"), frozen=True),
                Group("**", weight_decay=0.0),
            ],
        )

    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != make("**/kernel")
    assert pickle.loads(pickle.dumps(make())) == make()
    assert repr(make()) == (
        "grouped(adamw(cosine_decay_schedule(0.1, 20), weight_decay=0.1), "
        "[Group(is_matrix, muon(0.02), name='matrices', learning_rate_factor=Array(0.5, dtype=float32, weak_type=True)), "
        "Group(re.compile('embed'), frozen=True), Group('**', weight_decay=0.0)])"
    )


def test_a_group_is_a_value():
    assert Group("a", weight_decay=0.1) == Group(pattern="a", weight_decay=0.1)
    assert Group("a", weight_decay=0.1) != Group("a")
    assert len({Group("a"), Group("a"), Group("b")}) == 2
    assert pickle.loads(pickle.dumps(Group("a", gradtx.adam(0.1)))) == Group("a", gradtx.adam(0.1))


def test_hyperparameters_of_groups_have_their_names_before_them():
    tx = grouped(
        gradtx.adamw(FALLING), [Group("embed", gradtx.sgd(0.2), learning_rate_factor=0.1), Group("**", weight_decay=0.3)]
    )
    values = gradtx.hyperparams(tx, tx.init(params()))
    assert values["embed.sgd.learning_rate"] == 0.2
    assert values["embed.learning_rate_factor"] == 0.1
    assert values["rest.weight_decay"] == 0.3
    assert values["adamw.learning_rate"] == pytest.approx(0.1)


def test_groups_can_be_adjusted_in_a_run():
    tx = gradtx.adjustable(grouped(gradtx.sgd(0.1), [Group("embed", learning_rate_factor=0.5), Group("**")]))
    state = gradtx.set_hyperparams(tx, tx.init(params()), {"sgd.learning_rate": 0.2, "embed.learning_rate_factor": 0.1})
    updates, _ = jax.jit(tx.update)(params(), state, params())
    chex.assert_trees_all_close(updates["embed"], -0.02 * params()["embed"], rtol=1e-6)
    chex.assert_trees_all_close(updates["head"], jax.tree.map(lambda p: -0.2 * p, params()["head"]), rtol=1e-6)


def test_a_factor_can_follow_a_schedule():
    groups = [Group("embed", learning_rate_factor=1.0), Group("**")]
    thawing = gradtx.linear_schedule(0.0, 1.0, 4)
    tx = gradtx.adjustable(grouped(gradtx.sgd(1.0), groups), {"embed.learning_rate_factor": thawing})
    state = tx.init(params())
    for step in range(3):
        updates, state = tx.update(params(), state, params())
        chex.assert_trees_all_close(updates["embed"], -step / 4 * params()["embed"], rtol=1e-6)


def test_groups_stay_what_they_were_when_the_list_is_changed_later():
    groups = [Group("embed", frozen=True), Group("**")]
    tx = grouped(gradtx.sgd(1.0), groups)
    groups.reverse()
    assert not updates_of(tx)["embed"].any()


# --- parameters in no group -------------------------------------------------------------------------------------------


def test_parameters_in_no_group_are_left_to_the_optimizer():
    tx = grouped(gradtx.adamw(1.0, weight_decay=0.5), [Group("embed", frozen=True)])
    plain = gradtx.adamw(1.0, weight_decay=0.5)
    updates, expected = updates_of(tx), updates_of(plain)
    assert not updates["embed"].any()
    chex.assert_trees_all_equal(updates["head"], expected["head"])
    chex.assert_trees_all_equal(updates_of(grouped(plain, [])), expected)


def test_a_last_group_of_the_rest_changes_neither_the_state_nor_the_updates():
    for groups in ([Group("embed", frozen=True)], [Group("embed", frozen=True), Group("*/**", name="below")], []):
        short, long = grouped(gradtx.adam(1.0), groups), grouped(gradtx.adam(1.0), [*groups, Group("**")])
        state, same = short.init(params()), long.init(params())
        chex.assert_trees_all_equal(state, same)
        assert state.inner_states.keys() == same.inner_states.keys()
        for tx in (short, long):  # either takes the state of the other
            chex.assert_trees_all_equal(tx.update(params(), state, params()), short.update(params(), same, params()))


def test_the_rest_has_a_state_only_if_there_is_one():
    everything = grouped(gradtx.adam(1.0), [Group("embed", name="a"), Group("*/**", name="b")])
    assert everything.init(params()).inner_states.keys() == {"a", "b"}
    rest = grouped(gradtx.adam(1.0), [Group("embed", name="a")])
    assert rest.init(params()).inner_states.keys() == {"a", "rest"}
    with pytest.raises(ValueError, match="grouped: the state has nothing for 'rest'"):
        rest.update(params(), everything.init(params()), params())


def test_a_group_that_is_called_rest_is_not_given_what_is_left():
    named = grouped(gradtx.adam(1.0), [Group("embed", name="rest"), Group("*/**", name="others")])
    assert named.init(params()).inner_states.keys() == {"rest", "others"}
    clash = grouped(gradtx.adam(1.0), [Group("embed", name="rest")])
    message = r"grouped: no group has 'head/bias', so its label is 'rest', as Group\('embed', name='rest'\) is called; give"
    with pytest.raises(ValueError, match=message):
        clash.init(params())


def test_hyperparameters_of_the_rest_are_those_of_the_optimizer():
    tx = grouped(gradtx.adamw(FALLING), [Group("embed", frozen=True)])
    state = tx.init(params())
    assert gradtx.hyperparams(tx, state)["adamw.learning_rate"] == FALLING(0)
    _, state = tx.update(params(), state, params())
    assert gradtx.hyperparams(tx, state)["adamw.learning_rate"] == FALLING(1)
    [frozen, rest] = gradtx.summary(tx, params()).groups
    assert (frozen.label, rest.label) == ("embed", "rest")


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_a_parameter_in_no_group_is_refused_where_it_is_strict():
    tx = grouped(gradtx.sgd(0.1), [Group("layers/**"), Group("embed")], strict=True)
    with pytest.raises(ValueError, match="grouped: no group has 'head/bias'; add one that does, or leave out strict=True"):
        tx.init(params())
    assert grouped(gradtx.sgd(0.1), [Group("layers/**"), Group("**")], strict=True).init(params())


def test_a_pattern_that_matches_nothing_is_refused_before_anything_else():
    for groups, strict in (
        ([Group("**/bais", frozen=True), Group("**")], False),
        ([Group("embed"), Group("**/bais", frozen=True)], True),  # most parameters are in no group
        ([Group("**"), Group("embed"), Group("**/bais", frozen=True)], False),  # the first takes all of the second
    ):
        message = r"grouped: '\*\*/bais' matches nothing; did you mean '\*\*/bias'\? There are 'embed'"
        with pytest.raises(ValueError, match=message):
            grouped(gradtx.sgd(0.1), groups, strict=strict).init(params())


def test_of_many_paths_those_that_are_nearest_to_a_pattern_are_shown():
    many = {f"block_{k}": {"norm": 1.0} for k in range(30)} | {"zoo": {"kernel": 1.0}}
    with pytest.raises(ValueError, match=r"'zu/kernels' matches nothing.* The nearest of 31 paths are 'zoo/kernel', "):
        grouped(gradtx.sgd(0.1), [Group("zu/kernels", frozen=True)]).init(many)


def test_a_group_from_which_all_is_taken_is_refused():
    tx = grouped(gradtx.sgd(0.1), [Group("**"), Group("**/bias", frozen=True)])
    with pytest.raises(ValueError, match=r"grouped: '\*\*/bias' matches only what the patterns before it have taken"):
        tx.init(params())


def test_where_a_mask_has_left_holes_a_group_may_be_empty():
    tx = gradtx.masked(grouped(gradtx.sgd(1.0), BIAS_APART), gradtx.matching("**/kernel", "embed"))
    updates = updates_of(tx)
    chex.assert_trees_all_equal(updates["head"], {"kernel": -params()["head"]["kernel"], "bias": params()["head"]["bias"]})
    assert grouped(gradtx.sgd(1.0), BIAS_APART).init({"kernel": 1.0, "more": MaskedNode()})


def test_a_hole_in_the_gradients_alone_stays_one():
    tx = grouped(gradtx.adamw(1.0), [Group("embed", frozen=True), Group(is_matrix, name="matrices"), Group("**")])
    gradients = {**params(), "embed": None, "head": {"kernel": None, "bias": params()["head"]["bias"]}}
    updates, _ = tx.update(gradients, tx.init(params()), params())
    assert updates["embed"] is None
    assert updates["head"]["kernel"] is None


def test_an_empty_tree_has_no_groups():
    assert updates_of(grouped(gradtx.adam(1.0), BIAS_APART), {}) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": gradtx.adam(0.1)}, "leave out optimizer or frozen"),
        (
            {"weight_decay": 0.1},
            r"Group\('a', weight_decay=0.1, frozen=True\): what is frozen does not move; leave out",
        ),
        ({"learning_rate_factor": 0.1}, "leave out learning_rate_factor or frozen"),
    ],
)
def test_what_is_frozen_has_nothing_else(arguments, message):
    with pytest.raises(ValueError, match=message):
        Group("a", frozen=True, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pattern": ["a"]}, TypeError, r"Group: \['a'\] is not a pattern"),
        (
            {"optimizer": gradtx.adam},
            TypeError,
            "optimizer must be a gradient transformation or None, got adam itself",
        ),
        ({"name": 3}, TypeError, "Group: name must be a string or None, got 3"),
        ({"learning_rate_factor": FALLING}, TypeError, "learning_rate_factor must be a number or None, got a function"),
        ({"learning_rate_factor": "small"}, TypeError, "learning_rate_factor must be a number or None, got 'small'"),
        ({"learning_rate_factor": -0.1}, ValueError, "Group: learning_rate_factor must be at least 0, got -0.1"),
        ({"weight_decay": -0.1}, ValueError, "Group: weight_decay must be at least 0, got -0.1"),
    ],
)
def test_an_argument_of_another_kind_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Group(**{"pattern": "a", **arguments})


def test_two_groups_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"Group\('a/\*'\) and Group\('\*/a'\) are both called 'a'; give one of them a name"):
        grouped(gradtx.adam(0.1), [Group("a/*"), Group("*/a")])


@pytest.mark.parametrize("groups", ["**", gradtx.adam(0.1), {"a": Group("a")}])
def test_groups_that_are_no_list_are_refused(groups):
    with pytest.raises(TypeError, match="grouped: groups must be a list, got"):
        grouped(gradtx.adam(0.1), groups)


def test_what_is_no_group_is_refused():
    with pytest.raises(TypeError, match=r"grouped: groups\[0\] must be a Group, got '\*\*'"):
        grouped(gradtx.adam(0.1), ["**"])  # pyright: ignore[reportArgumentType]


def test_an_optimizer_that_was_not_called_is_refused():
    with pytest.raises(TypeError, match=r"call it: adam"):
        grouped(gradtx.adam, [Group("**")])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("optimizer", [gradtx.sgd(0.1), foreign.adamw(0.1)], ids=["sgd", "optax"])
def test_a_weight_decay_for_an_optimizer_that_has_none_is_refused(optimizer):
    with pytest.raises(ValueError, match=r"grouped: .* has no weight_decay to be replaced in Group\('a', weight_decay=0.1\)"):
        grouped(optimizer, [Group("a", weight_decay=0.1), Group("**")])
