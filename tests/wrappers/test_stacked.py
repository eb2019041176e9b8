"""`stacked`: layers in one array are optimized as they are one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx import tree

# How many layers, and the shape of one of them.
STACKS = {"m": (3, (8, 4)), "w": (5, (4, 6)), "b": (3, (4,)), "k": (3, ())}
OTHERS = {"one": (4, 3), "v": (5,)}
WHERE = {**dict.fromkeys(STACKS, True), **dict.fromkeys(OTHERS, False)}
STEPS = 3

# A law tells it of the whole zoo: here stacks of several lengths are beside what is none.
BY_LEAF = [
    "adafactor",
    "adam",
    "clip_by_global_norm",
    "freeze",
    "galore",
    "lamb",
    "lbfgs",
    "muon",
    "MultiSteps",
    "prodigy",
    "sm3",
]


def drawn(seed, size=1.0):
    """Numbers of which each layer's are a tenth of those of the one before."""
    rng = np.random.default_rng(seed)

    def stack(number, shape):
        return np.stack([10.0**-k * rng.normal(size=shape) for k in range(number)])

    leaves = {name: stack(*each) for name, each in STACKS.items()} | {k: rng.normal(size=s) for k, s in OTHERS.items()}
    return {name: jnp.asarray(size * leaf, jnp.float32) for name, leaf in leaves.items()}


PARAMS = drawn(0)
GRADIENTS = jax.tree.map(lambda *each: jnp.stack(each), *(drawn(k + 1, 10.0 ** (k - 1)) for k in range(STEPS)))


def separate(stacks, axis=0):
    """A parameter for each layer."""
    layers = {f"{name}{k}": jnp.take(stacks[name], k, axis) for name, (number, _) in STACKS.items() for k in range(number)}
    return layers | {name: stacks[name] for name in OTHERS}


def run(tx, label, gradients, params):
    """The updates of all steps, and the last state."""

    def step(state, g):
        updates, state = tx.update(g, state, params, **zoo.extra_args(label, params))
        return state, updates

    state, updates = jax.lax.scan(step, tx.init(params), gradients)
    return updates, state


def assert_alike(stacks, layers, axis=0, within=1e-5):
    for name, layer in separate(stacks, axis).items():
        largest = float(jnp.max(jnp.abs(layers[name]), initial=0))
        np.testing.assert_allclose(layer, layers[name], atol=within * largest, err_msg=name)


@pytest.mark.parametrize("label", BY_LEAF)
def test_updates_are_those_of_separate_layers(label):
    tx = zoo.transformation(label)
    layers = jax.jit(lambda g, p: run(tx, label, g, p)[0])(separate(GRADIENTS, 1), separate(PARAMS))
    stacks = jax.jit(lambda g, p: run(gradtx.stacked(tx, WHERE), label, g, p)[0])(GRADIENTS, PARAMS)
    assert_alike(stacks, layers, 1, within=1e-4 if label == "lbfgs" else 1e-5)  # which divides by differences


def test_all_parameters_are_stacked_by_default():
    params = {name: PARAMS[name] for name in STACKS}
    updates = updates_of(gradtx.stacked(gradtx.normalize_by_update_norm()), params)
    by_leaf = updates_of(gradtx.stacked(gradtx.scale_by_trust_ratio(), lambda p: jax.tree.map(lambda _: True, p)), params)
    assert updates.keys() == by_leaf.keys() == params.keys()


def updates_of(tx, params=PARAMS, gradients=None):
    gradients = {name: drawn(1)[name] for name in params} if gradients is None else gradients
    return tx.update(gradients, tx.init(params), params)[0]


@pytest.mark.parametrize("axis", [1, -1])
def test_another_axis_may_count_layers(axis):
    def moved(tree_):
        return jax.tree.map(lambda x, stack: jnp.moveaxis(x, 0, axis) if stack and x.ndim > 1 else x, tree_, where)

    where = {**WHERE, "k": False}  # a vector has no second axis
    tx = gradtx.chain(gradtx.clip_by_block_norm(0.5), gradtx.muon(0.1))
    expected = updates_of(gradtx.stacked(tx, where))
    got = updates_of(gradtx.stacked(tx, where, axis=axis), moved(PARAMS), moved(drawn(1)))
    for name, update in moved(expected).items():
        np.testing.assert_allclose(got[name], update, rtol=1e-5, atol=1e-7)


def test_the_state_has_layers_first_and_counters_stay_numbers():
    state = gradtx.stacked(gradtx.scale_by_novograd(), WHERE).init(PARAMS)
    assert state.count.shape == ()
    assert {name: nu.shape for name, nu in state.nu.items()} == {"m": (3,), "w": (5,), "b": (3,), "k": (3,), "one": (), "v": ()}


def test_a_mask_is_asked_about_one_layer():
    seen = {}

    def mask(params):
        seen.update({name: p.shape for name, p in params.items()})
        return jax.tree.map(lambda p: p.ndim == 2, params)

    updates = updates_of(gradtx.stacked(gradtx.masked(gradtx.set_to_zero(), mask), WHERE))
    assert seen == {name: shape for name, (_, shape) in STACKS.items()} | OTHERS
    assert {name for name, u in updates.items() if not jnp.any(u)} == {"m", "w", "one"}


def test_random_numbers_differ_by_layer():
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    noise = updates_of(gradtx.stacked(gradtx.add_noise(1.0, 0.0, key=0), WHERE), zeros, zeros)
    assert len(set(noise["k"].tolist())) == 3
    assert not np.allclose(noise["m"][0], noise["m"][1])


def test_roundings_differ_by_layer():
    params = {"m": jnp.ones((3, 1000), jnp.bfloat16)}
    tx = gradtx.stacked(gradtx.stochastically_rounded(gradtx.sgd(1e-3), key=0))
    updates = updates_of(tx, params, jax.tree.map(jnp.ones_like, params))
    first, second, _ = np.asarray(updates["m"])
    assert not np.array_equal(first, second)


def test_gradients_of_examples_have_layers_second():
    def private(g, params):
        tx = gradtx.stacked(gradtx.differentially_private_aggregate(1.0, 0.0, key=0), dict.fromkeys(params, True))
        return tx.update(g, tx.init(params), params)[0]

    gradients = {"m": jnp.asarray(np.random.default_rng(0).normal(size=(6, 3, 4)), jnp.float32)}
    tx = gradtx.differentially_private_aggregate(1.0, 0.0, key=0)
    params = {"m": jnp.zeros((3, 4))}
    expected = tx.update(gradients, tx.init(params), params)[0]
    np.testing.assert_allclose(private(gradients, params)["m"], expected["m"], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gradtx.stacked(gradtx.sgd(0.1), {"a": 1}), r"stacked: where\['a'\] must be True or False"),
        (lambda: gradtx.stacked(gradtx.sgd(0.1)).init({"a": jnp.ones(())}), r"params\['a'\] has the shape \(\).* no axis 0"),
        (lambda: gradtx.stacked(gradtx.sgd(0.1), axis=2).init({"a": jnp.ones((2, 2))}), "no axis 2 counts layers"),
        (lambda: gradtx.stacked(gradtx.sgd(0.1), {"z": True}).init({"a": jnp.ones(2)}), r"where has nothing for \['a'\]"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


# --- with others ------------------------------------------------------------------------------------------------------


def test_stacks_may_be_split_by_shard_map():
    """Of layers that are split the norms are whole, layer by layer."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    specs = {"m": P(None, "x"), "w": P(None, None, "x"), "b": P(), "k": P(), "one": P("x"), "v": P()}

    def step(g, p):
        inside = gradtx.per_shard(gradtx.stacked(tx, WHERE), specs)
        return inside.update(g, inside.init(p), p)[0]

    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.lamb(0.1), gradtx.add_decayed_weights(0.1))
    inside = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(specs, specs), out_specs=specs))(drawn(1), PARAMS)
    expected = updates_of(tx, separate(PARAMS), separate(drawn(1)))
    assert_alike(inside, expected)


@pytest.mark.parametrize("wrap", [gradtx.quantized, gradtx.adjustable, lambda tx: gradtx.MultiSteps(tx, 1)])
def test_it_may_be_wrapped(wrap):
    def lamb(outer):
        return outer(gradtx.stacked(gradtx.lamb(0.1), WHERE))

    big = drawn(0) | {"m": jnp.linspace(-1, 1, 3 * 64 * 64).reshape(3, 64, 64)}
    gradients = jax.tree.map(jnp.sin, big)
    plain, wrapped = (updates_of(lamb(outer), big, gradients) for outer in (lambda tx: tx, wrap))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), wrapped, plain)


def test_what_is_inside_may_be_quantized():
    big = {"m": jnp.linspace(-1, 1, 3 * 64 * 64).reshape(3, 64, 64)}
    gradients = jax.tree.map(jnp.sin, big)
    plain, quantized = (
        updates_of(gradtx.stacked(tx), big, gradients) for tx in (gradtx.lamb(0.1), gradtx.quantized(gradtx.lamb(0.1)))
    )
    np.testing.assert_allclose(quantized["m"], plain["m"], rtol=1e-5, atol=1e-7)


def test_its_state_maps_like_any_other():
    tx = gradtx.stacked(gradtx.scale_by_adam(), WHERE)
    doubled = tree.map_params(tx, lambda leaf, p: leaf + 2 * p, tx.init(PARAMS), PARAMS)
    jax.tree.map(lambda nu, p: np.testing.assert_allclose(nu, 2 * p), doubled.nu, PARAMS)


def test_its_state_is_known_before_it_is_there():
    tx = gradtx.stacked(gradtx.adafactor(0.1, min_dim_size_to_factor=4), WHERE)
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), gradtx.abstract_state(tx, PARAMS))
    assert shapes == jax.tree.map(lambda x: (x.shape, x.dtype), tx.init(PARAMS))


def test_stacks_are_divided_inside_and_outside():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    gradients, params = jax.device_put((drawn(1), PARAMS), jax.NamedSharding(mesh, P()))
    alone, layout = gradtx.stacked(gradtx.lamb(0.1), WHERE), jax.NamedSharding(mesh, P())
    expected = jax.jit(lambda g, p: alone.update(g, alone.init(p), p)[0])(gradients, params)
    for tx in (
        gradtx.stacked(gradtx.sharded(gradtx.lamb(0.1), layout=layout), WHERE),
        gradtx.sharded(gradtx.stacked(gradtx.lamb(0.1), WHERE), layout=layout),
    ):
        state = tx.init(params)
        assert tree.get(state, "mu")["m"].sharding.spec[:2] == (None, "data")
        updates, _ = jax.jit(tx.update)(gradients, state, params)
        jax.tree.map(lambda u, e: np.testing.assert_allclose(u, e, atol=1e-6), updates, expected)
