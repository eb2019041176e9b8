"""`per_shard`: inside of `shard_map` each transformation computes what it does on whole parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx import tree

MESH = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Auto,) * 2, devices=jax.devices()[:4])
SPECS = {"a": P("x"), "b": P("y", "x"), "c": P(None, "y"), "d": P(("x", "y")), "v": P("x"), "w": P(), "s": P()}
SHAPES = {"a": (8, 4), "b": (4, 8), "c": (6, 4), "d": (4, 6), "v": (8,), "w": (3,), "s": ()}
STEPS = 3

# A law tells it of the whole zoo: here without types that say on which axes arrays vary, as `check_vma=False` has it.
REDUCING = ["adafactor", "clip_by_global_norm", "flatten", "galore", "mechanize", "muon", "prodigy", "scale_by_trust_ratio"]


def drawn(seed, size=1.0):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(size * rng.normal(size=shape), jnp.float32) for name, shape in SHAPES.items()}


PARAMS = drawn(0)
GRADIENTS = jax.tree.map(lambda *each: jnp.stack(each), *(drawn(k + 1, 10.0 ** (k - 1)) for k in range(STEPS)))
OF_STEPS = {name: P(None, *spec) for name, spec in SPECS.items()}


def run(tx, label, gradients, params):
    """The updates of all steps."""

    def step(state, g):
        updates, state = tx.update(g, state, params, **zoo.extra_args(label, params))
        return state, updates

    return jax.lax.scan(step, tx.init(params), gradients)[1]


def sharded(function, in_specs, out_specs, **options):
    return jax.jit(jax.shard_map(function, mesh=MESH, in_specs=in_specs, out_specs=out_specs, **options))


def updates_of(tx, gradients, params=PARAMS, specs=SPECS, **options):
    """Those of the first step, inside of `shard_map`."""

    def step(g, p):
        inside = gradtx.per_shard(tx, specs)
        return inside.update(g, inside.init(p), p)[0]

    return sharded(step, (specs, specs), specs, **options)(gradients, params)


@pytest.mark.parametrize("label", REDUCING)
def test_updates_are_those_of_whole_parameters(label):
    tx = zoo.transformation(label)
    whole = jax.jit(lambda g, p: run(tx, label, g, p))(GRADIENTS, PARAMS)
    inside = sharded(lambda g, p: run(gradtx.per_shard(tx, SPECS), label, g, p), (OF_STEPS, SPECS), OF_STEPS, check_vma=False)
    for name, updates in inside(GRADIENTS, PARAMS).items():
        np.testing.assert_allclose(updates, whole[name], atol=1e-5 * float(jnp.max(jnp.abs(whole[name]))), err_msg=name)


def reductions(updates):
    return {
        "norm": tree.norm(updates),
        "of order 1": tree.norm(updates, 1),
        "of order 3": tree.norm(updates, 3),
        "largest": tree.norm(updates, "inf"),
        "sum": tree.sum(updates),
        "mean": tree.mean(updates),
        "max": tree.max(updates),
        "min": tree.min(updates),
        "vdot": tree.vdot(updates, tree.scale(0.5, updates)),
        "size": jnp.asarray(tree.size(updates)),
        "finite": tree.all_finite(updates),
        "close": tree.allclose(updates, updates),
    }


@pytest.mark.parametrize("spoilt", [False, True])
def test_reductions_of_trees_are_those_of_whole_ones(spoilt):
    gradients = drawn(1)
    if spoilt:
        gradients["a"] = gradients["a"].at[-1, 0].set(jnp.nan)
    measured = gradtx.snapshot("all", reductions)

    def measure(g):
        inside = gradtx.per_shard(measured, SPECS)
        return inside.update(g, inside.init(g))[1].measurement["all"]

    inside = sharded(measure, (SPECS,), P())(gradients)
    for name, expected in reductions(gradients).items():
        np.testing.assert_allclose(inside[name], expected, rtol=1e-6, err_msg=name)


def test_noise_differs_between_parts_and_not_between_copies():
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    noise = updates_of(gradtx.add_noise(1.0, 0.0, key=0), zeros)
    parts = noise["d"].reshape(4, -1)  # a row for each device
    assert len({float(part[0]) for part in parts}) == 4
    assert not np.allclose(*noise["v"].reshape(2, -1))
    # `shard_map` has checked by types that copies are equal: the specs of "w" say that they are.
    assert float(jnp.std(jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(noise)]))) == pytest.approx(1, abs=0.25)


# --- differential privacy: examples are split, too ----------------------------------------------------------------------


def private(noise_multiplier, gradients, **options):
    specs = jax.tree.map(lambda g: P("x"), gradients)
    whole = jax.tree.map(lambda g: P(), gradients)

    def step(g):
        tx = gradtx.differentially_private_aggregate(1.0, noise_multiplier, key=0)
        tx = gradtx.per_shard(tx, whole, **options)
        return tx.update(g, tx.init(jax.tree.map(lambda x: x[0], g)))[0]

    return sharded(step, (specs,), whole, check_vma=not options)(gradients)


def test_private_gradients_of_all_devices_are_summed():
    gradients = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(8, 5)), jnp.float32)}
    tx = gradtx.differentially_private_aggregate(1.0, 0.0, key=0)
    expected = tx.update(gradients, tx.init({"w": jnp.zeros(5)}))[0]
    np.testing.assert_allclose(private(0.0, gradients)["w"], expected["w"], rtol=1e-6)
    np.testing.assert_allclose(private(0.0, gradients, batch="x")["w"], expected["w"], rtol=1e-6)


def test_private_noise_is_added_once():
    gradients = {"w": jnp.zeros((8, 40_000))}
    assert float(jnp.std(private(1.0, gradients)["w"])) == pytest.approx(1 / 8, rel=0.02)


def test_who_cannot_know_how_examples_are_split_asks():
    def step(g):
        tx = gradtx.per_shard(gradtx.differentially_private_aggregate(1.0, 1.0, key=0), P())
        return tx.update(g, tx.init(g[0]))[0]

    with pytest.raises(ValueError, match=r"differentially_private_aggregate: say along which axes .* batch="):
        sharded(step, (P("x"),), P(), check_vma=False)(jnp.zeros((8, 3)))


# --- what else is to be known -------------------------------------------------------------------------------------------


def test_specs_of_the_state_are_those_of_whole_parameters():
    whole = jax.tree.map(lambda p, spec: jax.device_put(p, jax.NamedSharding(MESH, spec)), PARAMS, SPECS)
    tx = gradtx.adafactor(1e-2, min_dim_size_to_factor=4)
    specs = jax.tree.map(lambda sharding: sharding.spec, gradtx.state_shardings(tx, whole))

    def step(g, state, p):
        return gradtx.per_shard(tx, SPECS).update(g, state, p)

    inside = sharded(step, (SPECS, specs, SPECS), (SPECS, specs))
    updates, state = inside(drawn(1), tx.init(whole), whole)
    expected, expected_state = tx.update(drawn(1), tx.init(PARAMS), PARAMS)
    for new, old in zip(jax.tree.leaves((updates, state)), jax.tree.leaves((expected, expected_state)), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-6)


def test_masks_see_shapes_of_whole_parameters():
    seen = {}

    def mask(params):
        seen.update({name: p.shape for name, p in params.items()})
        return jax.tree.map(lambda p: True, params)

    updates_of(gradtx.masked(gradtx.sgd(0.1), mask), drawn(1))
    assert seen == SHAPES


def test_a_spec_may_be_for_all_below_a_node():
    params = {"layers": [jnp.ones(4), jnp.ones((2, 3))], "w": jnp.ones(3)}
    specs = {"layers": P("x"), "w": P()}
    updates = updates_of(gradtx.clip_by_global_norm(1.0), params, params, specs)
    assert float(tree.norm(updates)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gradtx.per_shard(gradtx.sgd(0.1), {"a": "x"}), r"per_shard: specs\['a'\] must be a PartitionSpec"),
        (lambda: gradtx.per_shard(gradtx.sgd(0.1), {"z": P()}).init({"a": jnp.ones(2)}), "specs do not match"),
        (lambda: gradtx.per_shard(gradtx.sgd(0.1), P("x")).init({"a": jnp.ones(2)}), "inside of shard_map"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_what_is_not_known_is_not_guessed():
    with pytest.raises(ValueError, match="not known how this array is split"):
        updates_of(gradtx.flatten(gradtx.clip_by_global_norm(1.0)), drawn(1))


def test_programs_made_outside_are_not_taken_for_those_inside():
    tx = gradtx.lamb(0.1)
    gradients = drawn(1)
    expected = tx.update(gradients, tx.init(PARAMS), PARAMS)[0]  # compiled, with whole parameters
    for _ in range(2):
        inside = updates_of(tx, gradients)
        for name in SHAPES:
            np.testing.assert_allclose(inside[name], expected[name], rtol=1e-5, atol=1e-7)
        again = tx.update(gradients, tx.init(PARAMS), PARAMS)[0]
        jax.tree.map(np.testing.assert_array_equal, again, expected)
