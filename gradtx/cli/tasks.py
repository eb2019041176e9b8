"""Tasks to train on: handwritten digits, characters of a text, and a function of two numbers that can be looked at."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.cli import characters

DIGITS_BATCH, CHARACTERS_BATCH = 64, 16
DIGITS_NOISE = 0.3  # its standard deviation, where a pixel is between 0 and 1
START, SPREAD = (-1.2, 1.0), 0.1  # of Rosenbrock's function: where its paper starts, and how far seeds differ from there


class Task(NamedTuple):
    """A model and its data.

    - `init`: a function of a key that returns fresh parameters;
    - `loss`: a function of the parameters and a batch;
    - `draw`: a function of a key that draws a batch;
    - `held_out_loss`: a function of the parameters;
    - `num_steps`: of a run that is long enough to tell optimizers apart;
    - `evaluations`: how many times the held-out loss is worth its time in a run;
    - `frame`: what to draw of a function of two numbers: from x to x, and from y to y.
    """

    init: Callable[[jax.Array], Any]
    loss: Callable[[Any, Any], jax.Array]
    draw: Callable[[jax.Array], Any]
    held_out_loss: Callable[[Any], jax.Array]
    num_steps: int
    evaluations: int = 30
    frame: tuple[float, float, float, float] | None = None


def of_digits() -> Task:
    """A network of 26 000 parameters on handwritten digits, to which each batch adds noise.

    Without noise, which acts as a regularizer, it soon knows the few digits by heart, and what the held-out loss then says is
    how sure it is of itself.

    References:
      Bishop, Training with Noise is Equivalent to Tikhonov Regularization, 1995, https://doi.org/10.1162/neco.1995.7.1.108
    """
    from gradtx.cli import digits  # loads scikit-learn, which the others do not need

    train, test = digits.load(0)
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)

    def draw(key: jax.Array) -> digits.Digits:
        key, noise_key = jax.random.split(key)
        rows = jax.random.randint(key, (DIGITS_BATCH,), 0, len(labels))
        noise = DIGITS_NOISE * jax.random.normal(noise_key, (DIGITS_BATCH, images.shape[1]))
        return digits.Digits(images[rows] + noise, labels[rows])

    return Task(digits.init_network, digits.loss, draw, lambda params: digits.loss(params, test), 600)


def of_characters() -> Task:
    """A transformer of 120 000 parameters on the characters of Python's help texts."""
    text, held_out = characters.load()
    return Task(
        characters.init_transformer,
        characters.loss,
        lambda key: characters.draw(text, key, CHARACTERS_BATCH),
        lambda params: characters.evaluate(params, held_out),
        300,
        evaluations=15,
    )


def of_rosenbrock() -> Task:
    """Rosenbrock's function of two numbers, a curved valley to its least value 0 at (1, 1). Seeds start at different points."""
    return Task(
        lambda key: jnp.asarray(START) + SPREAD * jax.random.normal(key, (2,)),
        lambda point, _: rosenbrock(point),
        lambda key: None,  # every batch is the same
        rosenbrock,
        500,
        evaluations=250,
        frame=(-1.8, 1.8, -0.8, 2.2),
    )


def rosenbrock(point: jax.Array) -> jax.Array:
    """Return (1 - x)² + 100 (y - x²)².

    References:
      Rosenbrock, An Automatic Method for Finding the Greatest or Least Value of a Function, 1960,
      https://doi.org/10.1093/comjnl/3.3.175
    """
    x, y = point
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


TASKS: Mapping[str, Callable[[], Task]] = {"digits": of_digits, "characters": of_characters, "rosenbrock": of_rosenbrock}
