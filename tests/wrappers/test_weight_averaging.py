"""Averages of the parameters: dtypes, holes, wrappers around and inside."""

import chex
import jax
import jax.numpy as jnp
import pytest
import small_runs

import gradtx
from gradtx.testing.samples import gradients_like

PARAMS = {"w": jnp.asarray([1.0, -2.0, 3.0]), "hole": None}
MAKERS = {
    "exponentially_averaged": lambda inner, **options: gradtx.exponentially_averaged(inner, 0.5, **options),
    "polyak_averaged": gradtx.polyak_averaged,
    "stochastic_weight_averaged": lambda inner, **options: gradtx.stochastic_weight_averaged(inner, 2, **options),
}
everything = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def trained(tx, params=PARAMS, steps=5):
    return small_runs.trained(tx, params, steps)


@everything
def test_the_parameters_move_as_without_it(make):
    params, _ = trained(gradtx.adam(0.1))
    averaged_params, state = trained(make(gradtx.adam(0.1)))
    chex.assert_trees_all_equal(averaged_params, params)
    assert state.count == 5


@everything
def test_until_it_begins_the_average_is_the_parameters(make):
    params, state = trained(make(gradtx.sgd(0.1), begin=5))
    chex.assert_trees_all_close(gradtx.eval_params(state, params), params, rtol=1e-6)
    params, state = trained(make(gradtx.sgd(0.1), begin=2), steps=6)
    assert jnp.all(jnp.abs(gradtx.eval_params(state, params)["w"] - params["w"]) > 1e-3)


@everything
def test_the_average_of_bfloat16_is_kept_in_float32(make):
    params = gradtx.tree.cast(PARAMS, jnp.bfloat16)
    tx = make(gradtx.sgd(0.1))
    assert tx.init(params).average["w"].dtype == jnp.float32
    assert make(gradtx.sgd(0.1), accumulator_dtype=jnp.bfloat16).init(params).average["w"].dtype == jnp.bfloat16
    params, state = trained(tx, params)
    assert gradtx.eval_params(state, params)["w"].dtype == jnp.bfloat16


def test_a_long_average_of_bfloat16_does_not_stall():
    tx = gradtx.exponentially_averaged(gradtx.sgd(0.0), 0.999, warmup=False)
    state = tx.init({"w": jnp.zeros(1, jnp.bfloat16)})
    params = {"w": jnp.ones(1, jnp.bfloat16)}
    step = jax.jit(lambda state: tx.update(params, state, params)[1])
    for _ in range(1000):
        state = step(state)
    chex.assert_trees_all_close(state.average["w"], jnp.full(1, 1 - 0.999**1000), rtol=1e-3)


@everything
def test_a_population_has_an_average_each(make):
    rates = jnp.asarray([0.1, 0.2])

    def average(rate):
        params, state = trained(make(gradtx.sgd(rate)))
        return gradtx.eval_params(state, params)

    alone = [average(rate)["w"] for rate in rates]
    chex.assert_trees_all_close(jax.vmap(average)(rates)["w"], jnp.stack(alone), rtol=1e-6)


def test_inside_of_multi_steps_and_around_it_is_the_average_of_its_steps():
    inner, around = (
        gradtx.MultiSteps(gradtx.polyak_averaged(gradtx.sgd(0.1)), 2),
        gradtx.polyak_averaged(gradtx.MultiSteps(gradtx.sgd(0.1), 2)),
    )
    points, state, params = [], inner.init(PARAMS), PARAMS
    for step in range(6):
        updates, state = inner.update(gradients_like(params, step), state, params)
        params = gradtx.apply_updates(params, updates)
        points.append(params["w"])
    chex.assert_trees_all_close(gradtx.eval_params(state, params)["w"], sum(points[1::2]) / 3, rtol=1e-6)
    params, state = trained(around, steps=6)
    chex.assert_trees_all_close(gradtx.eval_params(state, params)["w"], sum(points[1::2]) / 3, rtol=1e-6)


WAITING = {
    "a group each": lambda tx: gradtx.partition({"all": tx}, {"w": "all", "b": "all"}),
    "one that is frozen": lambda tx: gradtx.grouped(tx, [gradtx.Group("b", frozen=True)]),
    "in a chain": lambda tx: gradtx.chain(gradtx.clip(9.0), gradtx.grouped(tx, [gradtx.Group("b", tx)])),
}


@pytest.mark.parametrize("grouped", WAITING.values(), ids=WAITING)
def test_around_groups_that_all_wait_it_is_the_average_of_their_steps(grouped):
    params = {"w": jnp.ones(2), "b": jnp.ones(1)}
    _, state = trained(gradtx.polyak_averaged(grouped(gradtx.MultiSteps(gradtx.sgd(0.1), 2))), params, steps=5)
    assert state.count == 2
    mixed = gradtx.grouped(gradtx.MultiSteps(gradtx.sgd(0.1), 2), [gradtx.Group("b", gradtx.sgd(0.1))])
    _, state = trained(gradtx.polyak_averaged(mixed), params, steps=5)
    assert state.count == 5  # "b" moves in each


def test_the_average_and_the_parameters_can_be_donated():
    tx = gradtx.exponentially_averaged(gradtx.adam(0.1))
    params = jax.tree.map(jnp.array, PARAMS)

    def step(params, state):
        updates, state = tx.update(params, state, params)
        return gradtx.apply_updates(params, updates), state

    params, state = jax.jit(step, donate_argnums=(0, 1))(params, tx.init(params))
    jax.jit(step, donate_argnums=(0, 1))(params, state)


@everything
def test_the_average_is_split_as_the_parameters_are(make):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    params = jax.device_put({"w": jnp.arange(8.0)}, split)
    params, state = trained(make(gradtx.sgd(0.1)), params, steps=2)
    assert state.average["w"].sharding.is_equivalent_to(split, 1)
    assert gradtx.eval_params(state, params)["w"].sharding.is_equivalent_to(split, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gradtx.exponentially_averaged(gradtx.sgd(0.1), 1.0), "decay must be at least 0 and below 1, got 1.0"),
        (lambda: gradtx.exponentially_averaged(gradtx.sgd(0.1), begin=-1), "begin must be at least 0, got -1"),
        (lambda: gradtx.polyak_averaged(gradtx.sgd(0.1), begin=-1), "begin must be at least 0, got -1"),
        (lambda: gradtx.stochastic_weight_averaged(gradtx.sgd(0.1), 0), "every must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@everything
def test_an_average_of_integers_is_refused(make):
    with pytest.raises(TypeError, match="params\\['w'\\] has dtype int32"):
        make(gradtx.sgd(0.1)).init({"w": jnp.arange(3)})


def test_steps_are_counted_exactly_beyond_the_precision_of_float32():
    tx = gradtx.stochastic_weight_averaged(gradtx.set_to_zero(), 3)
    params = jnp.ones(())
    for count in range(2**24 - 2, 2**24 + 10):
        state = tx.init(jnp.zeros(()))._replace(count=jnp.asarray(count, jnp.int32))
        _, state = tx.update(params, state, params)
        assert (float(state.average) > 0) is ((count + 1) % 3 == 0)
