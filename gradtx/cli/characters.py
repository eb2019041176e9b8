"""Characters of Python's help texts: the data, a small transformer that tells the next one, and its loss."""

import math
from pydoc_data.topics import topics
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

import gradtx

LAYERS, WIDTH, HEADS, CONTEXT, CHARACTERS = 2, 64, 4, 64, 128  # 120 000 parameters
HELD_OUT = 1000  # windows of CONTEXT characters and the next: more than a tenth of the text

Transformer: TypeAlias = dict[str, Any]
"""The parameters of the transformer."""


def load() -> tuple[jax.Array, jax.Array]:
    """Return the codes of the text to train on, and windows of the held-out rest, one a row."""
    text = "\n".join(topics.values()).encode("ascii", "replace")
    rest = HELD_OUT * CONTEXT + 1
    codes = jnp.asarray(np.frombuffer(text, np.uint8).astype(np.int32))
    return codes[:-rest], windows(codes[-rest:], CONTEXT * jnp.arange(HELD_OUT))


def windows(text: jax.Array, starts: jax.Array) -> jax.Array:
    """Return CONTEXT characters from each of `starts`, and the one after them."""
    return text[starts[:, None] + jnp.arange(CONTEXT + 1)]


def draw(text: jax.Array, key: jax.Array, batch_size: int) -> jax.Array:
    """Return windows that start anywhere in the text."""
    return windows(text, jax.random.randint(key, (batch_size,), 0, len(text) - CONTEXT))


def init_transformer(key: jax.Array) -> Transformer:
    """Return fresh parameters: normal matrices whose scale keeps the variance, and gains of 1."""

    def matrix(rows: int, columns: int) -> jax.Array:
        nonlocal key
        key, its_key = jax.random.split(key)
        return jax.random.normal(its_key, (rows, columns)) / math.sqrt(rows)

    def layer() -> dict[str, jax.Array]:
        shapes = {"qkv": (WIDTH, 3 * WIDTH), "out": (WIDTH, WIDTH), "up": (WIDTH, 4 * WIDTH), "down": (4 * WIDTH, WIDTH)}
        return {name: matrix(*shape) for name, shape in shapes.items()} | {"gains": jnp.ones((2, WIDTH))}

    ends = {"embedding": matrix(CHARACTERS, WIDTH), "positions": matrix(CONTEXT, WIDTH), "head": matrix(WIDTH, CHARACTERS)}
    return ends | {"layers": [layer() for _ in range(LAYERS)]}


def logits(params: Transformer, characters: jax.Array) -> jax.Array:
    """Return at each position a score for each character that may come next."""
    x = params["embedding"][characters] + params["positions"]
    for layer in params["layers"]:
        q, k, v = jnp.split(_normalized(x, layer["gains"][0]) @ layer["qkv"], 3, axis=-1)
        q, k, v = (part.reshape(*x.shape[:-1], HEADS, WIDTH // HEADS) for part in (q, k, v))
        x = x + jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape) @ layer["out"]
        x = x + jax.nn.gelu(_normalized(x, layer["gains"][1]) @ layer["up"]) @ layer["down"]
    return _normalized(x, 1.0) @ params["head"]


def _normalized(x: jax.Array, gain: Any) -> jax.Array:
    return gain * x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-6)


def loss(params: Transformer, batch: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of each next character of the windows, computed in float32 whatever the parameters are."""
    scores = logits(gradtx.tree.cast(params, jnp.float32), batch[:, :-1])
    return jnp.mean(gradtx.losses.softmax_cross_entropy_with_integer_labels(scores, batch[:, 1:]))


def evaluate(params: Transformer, held_out: jax.Array) -> jax.Array:
    """Return the loss of many windows, 50 at a time, as all at once take much memory."""
    return jnp.mean(jax.lax.map(lambda part: loss(params, part), held_out.reshape(-1, 50, CONTEXT + 1)))
