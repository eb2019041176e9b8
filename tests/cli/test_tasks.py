"""The tasks of `gradtx race`."""

from pydoc_data.topics import topics

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradtx.cli import characters
from gradtx.cli.tasks import TASKS, rosenbrock


@pytest.mark.parametrize("name", TASKS)
def test_a_task_can_be_trained_and_equal_keys_give_equal_tasks(name):
    task = TASKS[name]()
    params, batch = task.init(jax.random.key(0)), task.draw(jax.random.key(1))
    chex.assert_trees_all_equal((params, batch), (task.init(jax.random.key(0)), task.draw(jax.random.key(1))))
    gradients = jax.grad(task.loss)(params, batch)
    chex.assert_tree_all_finite(gradients)
    down = jax.tree.map(lambda p, g: p - 1e-4 * g, params, gradients)
    assert task.loss(down, batch) < task.loss(params, batch)
    assert task.loss(task.init(jax.random.key(2)), batch) != task.loss(params, batch)


def test_held_out_characters_are_not_trained_on():
    text, held_out = characters.load()
    assert held_out.shape == (characters.HELD_OUT, characters.CONTEXT + 1)
    whole = "\n".join(topics.values()).encode("ascii", "replace")
    rest = np.append(np.asarray(held_out[:, :-1]).ravel(), held_out[-1, -1])
    assert bytes(np.append(text, rest).astype(np.uint8)) == whole


def test_a_window_is_a_piece_of_the_text():
    text, _ = characters.load()
    window = characters.windows(text, jnp.asarray([7]))[0]
    np.testing.assert_array_equal(window, text[7 : 8 + characters.CONTEXT])


def test_a_character_is_told_from_those_before_it_alone():
    text, _ = characters.load()
    params = characters.init_transformer(jax.random.key(0))
    window = characters.windows(text, jnp.asarray([0]))[:, :-1]
    before, after = (characters.logits(params, each) for each in (window, window.at[0, 40].add(1)))
    np.testing.assert_allclose(before[0, :40], after[0, :40], rtol=1e-5, atol=1e-5)
    assert not np.allclose(before[0, 40], after[0, 40], atol=1e-2)


def test_the_held_out_loss_is_the_mean_over_windows():
    _, held_out = characters.load()
    params, some = characters.init_transformer(jax.random.key(0)), held_out[:100]
    assert characters.evaluate(params, some) == pytest.approx(float(characters.loss(params, some)), rel=1e-5)


def test_rosenbrock_is_least_at_one_and_one():
    least = jnp.ones(2)
    assert rosenbrock(least) == 0
    np.testing.assert_array_equal(jax.grad(rosenbrock)(least), [0, 0])
    assert rosenbrock(jnp.asarray([-1.2, 1.0])) == pytest.approx(24.2, rel=1e-5)  # as its paper says
