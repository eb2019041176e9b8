"""What a second moment of 8 bits does to the steps of Adam."""

import functools

import jax
import jax.numpy as jnp

import gradtx
from gradtx.tree.codes import DynamicCode, FloatCode
from gradtx.tree.quantized import Format, map_quantized

CODES = {"float": FloatCode.of(8), "dynamic": DynamicCode(8)}
STOPPED, GOING_ON = slice(None, None, 2), slice(1, None, 2)


def scale_by_adam(code):
    return gradtx.quantized(gradtx.scale_by_adam(), code=code, min_size=1) if code in CODES else gradtx.scale_by_adam()


@functools.cache
def second_moment(code):
    """The second moment after 4000 steps: in a block gradients spread over decades, and every other one has stopped at 1000."""
    tx, shape = scale_by_adam(code), (8, 256)
    goes_on = jnp.arange(256)[None] % 2 == 1
    gradients = jax.random.normal(jax.random.key(1), (100, *shape)) * 10 ** jax.random.normal(jax.random.key(0), (1, *shape))

    def step(k, state):
        return tx.update(jnp.where(goes_on | (k < 1000), gradients[k % 100], 0), state)[1]

    state = jax.jit(lambda state: jax.lax.fori_loop(0, 4000, step, state))(tx.init(jnp.ones(shape)))
    return gradtx.tree.get(map_quantized(Format(CODES[code], 256).decode, state) if code in CODES else state, "nu")


def part_that_is_left(code):
    """Of the second moment of a number whose gradient has stopped 3000 steps ago."""
    exact = 0.999**3000  # 0.05
    return exact * jnp.mean((second_moment(code) / second_moment("float32"))[:, STOPPED])


def test_a_second_moment_decays_where_gradients_have_stopped():
    assert part_that_is_left("float") <= 0.1
    assert part_that_is_left("dynamic") > 0.5  # why it is not the default


def test_steps_are_right_where_the_gradients_of_a_block_spread_over_decades():
    def factors(code):
        return jnp.sqrt(second_moment("float32") / second_moment(code))[:, GOING_ON]

    least, most = jnp.percentile(factors("float"), jnp.asarray([1.0, 99.0]))
    assert least >= 0.5
    assert most <= 2
    assert jnp.percentile(factors("dynamic"), 99.0) == jnp.inf


def longest_step(code, rows, steps):
    """The largest update of Adam on an embedding of words that are as frequent as Zipf's law says."""
    tx, params = scale_by_adam(code), jnp.zeros((rows, 64))
    frequency = 1 / jnp.arange(1, rows + 1)
    words = jax.random.choice(jax.random.key(0), rows, (steps, 32), p=frequency / jnp.sum(frequency))

    def step(k, carry):
        state, longest = carry
        noise = jax.random.normal(jax.random.fold_in(jax.random.key(1), k), (32, 64))
        updates, state = tx.update(params.at[words[k]].add(noise), state)
        return state, jnp.maximum(longest, jnp.max(jnp.abs(updates)))

    return jax.jit(lambda state: jax.lax.fori_loop(0, steps, step, (state, 0.0))[1])(tx.init(params))


def test_steps_are_as_long_as_in_float32_where_gradients_are_sparse():
    assert longest_step("float", 2000, 400) <= 1.1 * longest_step("float32", 2000, 400)
    assert longest_step("dynamic", 200, 100) > 10 * longest_step("float32", 200, 100)
