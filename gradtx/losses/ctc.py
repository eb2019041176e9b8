"""Connectionist temporal classification: losses of a sequence whose alignment is unknown (Graves et al. 2006)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.errors import unnamed
from gradtx.losses.arguments import loss
from gradtx.losses.bounds import nonnegative
from gradtx.losses.softmax import surprise
from gradtx.tree import full_of_shape


class _Paths(NamedTuple):
    """log of the probability of all paths so far, by how many labels are out, of shapes (batch, n + 1) and (batch, n)."""

    blank: jax.Array  # those that end with a blank after n labels
    label: jax.Array  # those that end with label n


@loss("logits")
def ctc_loss(
    logits: Any, logit_paddings: Any, labels: Any, label_paddings: Any, *, blank_id: int = 0, log_epsilon: Any = -1e5
) -> jax.Array:
    """Return −log of the probability that a sequence of frames spells the labels.

        −log Σ_π Π_t p(π_t | t)

    The sum is over all π that become the labels when repetitions are merged and then blanks are dropped.

    Args:
      logits: of shape (batch, frames, classes); p is their softmax.
      logit_paddings: of shape (batch, frames), 1 for frames that are not there.
      labels: integers of shape (batch, n).
      label_paddings: of shape (batch, n), 1 for labels that are not there, at the end of each row.
      blank_id: the class that is the blank.
      log_epsilon: −log_epsilon is the loss of labels that cannot be spelled, with gradient 0.

    Returns:
      Losses of shape (batch,).

    Raises:
      TypeError: `logits` are not floats.
      ValueError: a shape does not match, or `blank_id` is not a class.

    References:
      Graves et al., Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural
      Networks, 2006, https://doi.org/10.1145/1143844.1143891
    """
    return _ctc(logits, logit_paddings, labels, label_paddings, blank_id, log_epsilon)[0]


@loss("logits")
def ctc_loss_with_forward_probs(
    logits: Any, logit_paddings: Any, labels: Any, label_paddings: Any, *, blank_id: int = 0, log_epsilon: Any = -1e5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return `ctc_loss` and, for each frame, the logarithms of the probabilities of how far the spelling has come.

    Args:
      logits: of shape (batch, frames, classes).
      logit_paddings: of shape (batch, frames), 1 for frames that are not there.
      labels: integers of shape (batch, n).
      label_paddings: of shape (batch, n), 1 for labels that are not there, at the end of each row.
      blank_id: the class that is the blank.
      log_epsilon: what stands for log 0.

    Returns:
      Losses of shape (batch,); of shape (frames, batch, n + 1), log α that the frame is a blank after so many labels, and in
      the last frame that so many labels are spelled, with or without a blank; of shape (frames, batch, n), log α that the
      frame is the label.

    Raises:
      TypeError: `logits` are not floats.
      ValueError: a shape does not match, or `blank_id` is not a class.

    References:
      Graves et al., 2006, https://doi.org/10.1145/1143844.1143891
    """
    return _ctc(logits, logit_paddings, labels, label_paddings, blank_id, log_epsilon)


def _ctc(
    logits: jax.Array, logit_paddings: Any, labels: Any, label_paddings: Any, blank_id: int, log_epsilon: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    logit_paddings, label_paddings = (jnp.asarray(x).astype(bool) for x in (logit_paddings, label_paddings))
    labels = jnp.asarray(labels)
    _check_shapes(logits, logit_paddings, labels, label_paddings, blank_id)
    batch, frames = logit_paddings.shape
    # Labels that are not there may be of any value, and are never spelled.
    labels = jnp.where(label_paddings, 0, labels).astype(jnp.int32)
    log_p = -surprise(logits, -1)
    of_blank = log_p[..., blank_id]
    of_label = jnp.take_along_axis(log_p, jnp.broadcast_to(labels[:, None], (batch, frames, labels.shape[1])), axis=-1)
    of_label = jnp.where(label_paddings[:, None], -jnp.inf, of_label)
    # From a label straight to the next leads no path if both are the same.
    repeated = jnp.pad(labels[:, 1:] == labels[:, :-1], ((0, 0), (min(1, labels.shape[1]), 0)), constant_values=True)

    def step(paths: _Paths, frame: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[_Paths, _Paths]:
        of_blank, of_label, padded = frame
        ended = _or(paths.blank, _after_label(paths.label))
        begun = _or(paths.blank[:, :-1], jnp.where(repeated, -jnp.inf, _after_label(paths.label)[:, :-1]))
        extended = _Paths(ended + of_blank[:, None], _or(paths.label, begun) + of_label)
        paths = jax.tree.map(lambda new, old: jnp.where(padded[:, None], old, new), extended, paths)
        return paths, paths

    nothing = full_of_shape(of_blank, (batch, labels.shape[1]), -jnp.inf)
    start = _Paths(jnp.pad(nothing, ((0, 0), (1, 0)), constant_values=0), nothing)  # surely, nothing is out
    over_time = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (of_blank, of_label, logit_paddings))
    end, (blank, label) = jax.lax.scan(step, start, over_time)
    spelled = _or(end.blank, _after_label(end.label))
    blank = blank.at[-1:].set(spelled)
    length = jnp.sum(~label_paddings, axis=1)
    log_likelihood = jnp.take_along_axis(spelled, length[:, None], axis=1)[:, 0]
    log_likelihood, blank, label = (_finite(log_p, log_epsilon) for log_p in (log_likelihood, blank, label))
    return -log_likelihood, blank, label


def _after_label(label: jax.Array) -> jax.Array:
    """What ends with label n, at the place n + 1: so many labels are out."""
    return jnp.pad(label, ((0, 0), (1, 0)), constant_values=-jnp.inf)


def _or(one: jax.Array, other: jax.Array) -> jax.Array:
    """log(exp(x) + exp(y)), also of −inf and −inf, where the derivative is 0."""
    impossible = jnp.isneginf(one) & jnp.isneginf(other)
    one, other = (jnp.where(impossible, 0, x) for x in (one, other))
    return jnp.where(impossible, -jnp.inf, jnp.logaddexp(one, other))


def _finite(log_p: jax.Array, log_epsilon: Any) -> jax.Array:
    """The logarithm of a probability: at most 0, whatever was lost in rounding, and `log_epsilon` for that of 0."""
    return jnp.where(jnp.isneginf(log_p), log_epsilon, -nonnegative(-log_p))


def _check_shapes(
    logits: jax.Array, logit_paddings: jax.Array, labels: jax.Array, label_paddings: jax.Array, blank_id: int
) -> None:
    if logits.ndim != 3:
        raise unnamed(ValueError, f"logits must be of shape (batch, frames, classes), got {logits.shape}.")
    batch, frames, classes = logits.shape
    if logit_paddings.shape != (batch, frames):
        raise unnamed(ValueError, f"logit_paddings must have the shape {(batch, frames)}, got {logit_paddings.shape}.")
    if labels.ndim != 2 or labels.shape[0] != batch:
        raise unnamed(ValueError, f"labels must be of shape (batch, n), with a batch of {batch}; got {labels.shape}.")
    if label_paddings.shape != labels.shape:
        raise unnamed(ValueError, f"label_paddings must have the shape {labels.shape}, as labels; got {label_paddings.shape}.")
    if not -classes <= blank_id < classes:
        raise unnamed(ValueError, f"blank_id must be one of {classes} classes, got {blank_id}.")
