"""What a record costs in training: `python tests/benchmarks/recording.py`.

A training step of a GPT-2 of 124 M parameters on 4 windows of 512 tokens, by AdamW with clipping, alone and in `recorded`, by
turns. Parameters and state are donated. Of the recorded steps those that make a row are measured apart.
"""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import gradtx

LAYERS, WIDTH, HEADS, TOKENS, CONTEXT = 12, 768, 12, 50257, 1024
WINDOWS, LENGTH = 4, 512
EVERY, ROUNDS = 5, 11  # one of EVERY steps makes a row


def new_parameters() -> dict[str, Any]:
    """Return parameters of GPT-2's shapes: normal matrices, zero biases, norms of 1. The head is the embedding."""
    keys = iter(jax.random.split(jax.random.key(0), 4 * LAYERS + 2))

    def matrix(rows: int, columns: int) -> dict[str, jax.Array]:
        return {"kernel": 0.02 * jax.random.normal(next(keys), (rows, columns)), "bias": jnp.zeros(columns)}

    def norm() -> dict[str, jax.Array]:
        return {"scale": jnp.ones(WIDTH), "bias": jnp.zeros(WIDTH)}

    def layer() -> dict[str, Any]:
        shapes = {"qkv": (WIDTH, 3 * WIDTH), "out": (WIDTH, WIDTH), "up": (WIDTH, 4 * WIDTH), "down": (4 * WIDTH, WIDTH)}
        return {name: matrix(*shape) for name, shape in shapes.items()} | {"norm1": norm(), "norm2": norm()}

    layers = [layer() for _ in range(LAYERS)]
    embeddings = {name: matrix(rows, WIDTH)["kernel"] for name, rows in (("tokens", TOKENS), ("positions", CONTEXT))}
    return embeddings | {"layers": layers, "norm": norm()}


def _normalized(x: jax.Array, norm: dict[str, jax.Array]) -> jax.Array:
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return norm["scale"] * x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-5) + norm["bias"]


def _linear(x: jax.Array, layer: dict[str, jax.Array]) -> jax.Array:
    return x @ layer["kernel"] + layer["bias"]


def loss(params: dict[str, Any], tokens: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of each next token."""
    x = params["tokens"][tokens[:, :-1]] + params["positions"][: tokens.shape[1] - 1]
    for layer in params["layers"]:
        q, k, v = jnp.split(_linear(_normalized(x, layer["norm1"]), layer["qkv"]), 3, axis=-1)
        q, k, v = (part.reshape(*x.shape[:-1], HEADS, WIDTH // HEADS) for part in (q, k, v))
        x = x + _linear(jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape), layer["out"])
        x = x + _linear(jax.nn.gelu(_linear(_normalized(x, layer["norm2"]), layer["up"])), layer["down"])
    scores = _normalized(x, params["norm"]) @ params["tokens"].T
    return jnp.mean(gradtx.softmax_cross_entropy_with_integer_labels(scores, tokens[:, 1:]))


class Contender:
    """An optimizer, its parameters and state, and its compiled training step."""

    def __init__(self, tx: Any, tokens: jax.Array):
        def step(params: Any, state: Any, tokens: jax.Array) -> tuple[Any, Any]:
            value, gradients = jax.value_and_grad(loss)(params, tokens)
            updates, state = tx.update(gradients, state, params, value=value)
            return gradtx.apply_updates(params, updates), state

        self.params, self.tokens = new_parameters(), tokens
        self.state = tx.init(self.params)
        self.compiled = jax.jit(step, donate_argnums=(0, 1)).lower(self.params, self.state, tokens).compile()
        self.times: list[float] = []

    def run(self) -> None:
        start = time.perf_counter()
        self.params, self.state = jax.block_until_ready(self.compiled(self.params, self.state, self.tokens))
        self.times.append(time.perf_counter() - start)

    @property
    def temporaries(self) -> float:
        analysis = self.compiled.memory_analysis()
        return math.nan if analysis is None else analysis.temp_size_in_bytes / 1e6


def main() -> None:
    tokens = jax.random.randint(jax.random.key(1), (WINDOWS, LENGTH + 1), 0, TOKENS)
    plain = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-4))
    contenders = {"alone": Contender(plain, tokens), "recorded": Contender(gradtx.recorded(plain, every=EVERY), tokens)}
    for _ in track(range(ROUNDS), "steps", transient=True):
        for contender in contenders.values():
            contender.run()
    rows = np.arange(ROUNDS) % EVERY == 0
    rows[0] = False  # the first step of all is slower
    others = np.arange(ROUNDS) % EVERY != 0
    alone, recorded = (np.asarray(contender.times) for contender in contenders.values())
    base, without, with_row = np.median(alone[1:]), np.median(recorded[others]), np.median(recorded[rows])
    mean = ((EVERY - 1) * without + with_row) / EVERY
    table = Table(
        "", "step s", "of that alone", "temporaries MB", title=f"GPT-2 of 124 M parameters, {WINDOWS} x {LENGTH} tokens"
    )
    table.add_row("alone", f"{base:.3f}", "1", f"{contenders['alone'].temporaries:.0f}")
    table.add_row("recorded, no row", f"{without:.3f}", f"{without / base:.3f}", f"{contenders['recorded'].temporaries:.0f}")
    table.add_row("recorded, a row", f"{with_row:.3f}", f"{with_row / base:.3f}", "")
    table.add_row(f"recorded, mean of {EVERY}", f"{mean:.3f}", f"{mean / base:.3f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
