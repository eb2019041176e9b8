"""Train the network on the digits with one optimizer."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from gradtx import GradientTransformation
from gradtx.cli import digits
from gradtx.cli.digits import Digits


class Result(NamedTuple):
    """What an optimizer achieved, and what it took."""

    losses: np.ndarray  # the training loss at each step
    test_losses: np.ndarray  # after each epoch
    test_accuracy: float
    seconds_per_step: float  # of the median epoch, without compilation
    state_bytes: int

    @property
    def test_loss(self) -> float:
        """That after the last epoch."""
        return float(self.test_losses[-1])


def train(
    optimizer: GradientTransformation,
    data: tuple[Digits, Digits],
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    on_epoch: Callable[[float], None],
) -> Result:
    """Train on the first of `data` and test on the second; the same seed gives the same network and the same batches.

    Args:
      optimizer: what takes the steps.
      data: digits to train on and digits to test with.
      epochs: passes over the data.
      batch_size: digits a step.
      seed: of the network and the batches.
      on_epoch: called after each epoch with the last training loss.
    """
    train_digits, test_digits = data
    key, generator = jax.random.key(seed), np.random.default_rng(seed)

    params = digits.init_network(key)
    state = optimizer.init(params)
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    _compile(optimizer, key, train_digits, batch_size)

    losses, tests, epoch_seconds = [], [], []
    for _ in range(epochs):
        start = time.perf_counter()
        for batch in digits.batches(train_digits, batch_size, generator):
            params, state, loss = digits.train_step(optimizer, params, state, batch)
            losses.append(loss)
        last_loss = float(losses[-1])  # waits for the device
        epoch_seconds.append(time.perf_counter() - start)
        tests.append(digits.evaluate(params, test_digits))
        on_epoch(last_loss)

    accuracies, test_losses = np.asarray(tests).T
    return Result(
        losses=np.asarray(losses),
        test_losses=test_losses,
        test_accuracy=float(accuracies[-1]),
        seconds_per_step=float(np.median(epoch_seconds)) * epochs / len(losses),
        state_bytes=state_bytes,
    )


def _compile(optimizer: GradientTransformation, key: jax.Array, train_digits: Digits, batch_size: int) -> None:
    """Take one step that nobody keeps, so that compiling does not count in the time of the others."""
    params = digits.init_network(key)
    batch = next(digits.batches(train_digits, batch_size, np.random.default_rng(0)))
    jax.block_until_ready(digits.train_step(optimizer, params, optimizer.init(params), batch))
