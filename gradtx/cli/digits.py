"""Handwritten digits: the data, a small network, its loss, and a training step."""

import functools
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import gradtx
from gradtx import GradientTransformation, OptState

LAYER_SIZES = (64, 128, 128, 10)

Array: TypeAlias = jax.Array | np.ndarray
Network: TypeAlias = list[dict[str, jax.Array]]
"""The parameters of the network, layer by layer."""


class Digits(NamedTuple):
    """Images as rows of 64 pixels between 0 and 1, and the digits they show."""

    images: Array
    labels: Array


def load(seed: int) -> tuple[Digits, Digits]:
    """Return 1437 digits to train on and 360 to test with, the split drawn from `seed`."""
    images, labels = load_digits(return_X_y=True)
    images = np.asarray(images, np.float32) / 16  # pixels count from 0 to 16
    labels = np.asarray(labels, np.int32)
    split = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=seed)
    train_images, test_images, train_labels, test_labels = map(np.asarray, split)
    return Digits(train_images, train_labels), Digits(test_images, test_labels)


def batches(digits: Digits, batch_size: int, generator: np.random.Generator) -> Iterator[Digits]:
    """Yield one epoch of shuffled batches; the rest that does not fill a batch is left out."""
    order = generator.permutation(len(digits.labels))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        rows = order[start : start + batch_size]
        yield Digits(digits.images[rows], digits.labels[rows])


@jax.jit
def init_network(key: jax.Array) -> Network:
    """Return fresh parameters: normal weights whose scale keeps the variance through ReLU layers, zero biases."""
    layers = zip(jax.random.split(key, len(LAYER_SIZES) - 1), LAYER_SIZES[:-1], LAYER_SIZES[1:], strict=True)
    he_normal = jax.nn.initializers.he_normal()
    return [{"w": he_normal(key, (fan_in, fan_out)), "b": jnp.zeros(fan_out)} for key, fan_in, fan_out in layers]


def logits(params: Network, images: Array) -> jax.Array:
    """Return a score for each image and digit."""
    x = jnp.asarray(images)
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def loss(params: Network, batch: Digits) -> jax.Array:
    """Return the mean cross-entropy of the batch."""
    log_probabilities = jax.nn.log_softmax(logits(params, batch.images))
    return -jnp.mean(jnp.take_along_axis(log_probabilities, batch.labels[:, None], axis=1))


# Transformations are values, so the optimizer can be a static argument: a second call with an equal one does not compile.
@functools.partial(jax.jit, static_argnames="optimizer", donate_argnames=("params", "state"))
def train_step(
    optimizer: GradientTransformation, params: Network, state: OptState, batch: Digits
) -> tuple[Network, OptState, jax.Array]:
    """Take one step down the gradient of the loss."""
    value, grads = jax.value_and_grad(loss)(params, batch)
    updates, state = optimizer.update(grads, state, params)
    params = gradtx.apply_updates(params, updates)
    return params, state, value


@jax.jit
def evaluate(params: Network, digits: Digits) -> tuple[jax.Array, jax.Array]:
    """Return the accuracy and the loss."""
    right = jnp.argmax(logits(params, digits.images), axis=1) == digits.labels
    return jnp.mean(right), loss(params, digits)
