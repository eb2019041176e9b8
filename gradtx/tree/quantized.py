"""Arrays as codes of a few bits, with a scale for each block of them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.numerics import largest_along
from gradtx.tree.codes import Code, DynamicCode, FloatCode
from gradtx.tree.layout import all_gathered, joined_last_axes, reshard_like, split_last_axis


class Quantized(NamedTuple):
    """An array as codes and scales: of each block the largest magnitude, negative if no number in it is.

    Codes have the shape of the array; two of 4 bits share a byte, the first of them in its upper half. Those of `FloatCode` are
    int8, those of `DynamicCode` uint8. Where blocks divide the
    last axis, the scales have as many axes, so that both are split among devices as the array is; else they are those of the
    flattened array.
    """

    codes: jax.Array
    scale: jax.Array


class Format(NamedTuple):
    """How arrays are quantized."""

    code: Code
    block_size: int

    def encode(self, x: jax.Array) -> Quantized:
        """Return a float32 array as codes. One number that is not finite spoils its block."""
        blocks = _in_blocks(x, self.block_size)
        largest = largest_along(jnp.abs(blocks), -1, keepdims=True)
        unsigned = jnp.min(blocks, axis=-1, keepdims=True) >= 0
        codes = self.code.encode(blocks / jnp.where(largest == 0, 1, largest), unsigned).astype(jnp.uint8)
        scale = jnp.squeeze(jnp.where(unsigned, -largest, largest), -1)
        codes = reshard_like(x, _out_of_blocks(codes, x.shape))
        codes = reshard_like(x, _packed(codes)) if self.code.bits == 4 else codes
        return Quantized(lax.bitcast_convert_type(codes, self.code.dtype), scale)

    def decode(self, quantized: Quantized) -> jax.Array:
        """Return the float32 array that codes stand for."""
        codes = lax.bitcast_convert_type(quantized.codes, jnp.uint8)
        codes = _unpacked(codes) if self.code.bits == 4 else codes
        blocks, scale = _in_blocks(codes.astype(jnp.int32), self.block_size), quantized.scale[..., None]
        numbers = self.code.decode(blocks, scale <= 0) * jnp.abs(scale)
        return reshard_like(quantized.codes, _out_of_blocks(numbers, codes.shape))

    def shape_of(self, quantized: Quantized) -> tuple[int, ...]:
        """Return the shape of the array that codes stand for."""
        *rows, last = jnp.shape(quantized.codes)
        return (*rows, last * 8 // self.code.bits)

    def suits(self, x: Any) -> bool:
        """Return whether an array can be quantized: float32, and of 4 bits those with an even last axis."""
        return jnp.result_type(x) == jnp.float32 and jnp.ndim(x) > 0 and (self.code.bits == 8 or jnp.shape(x)[-1] % 2 == 0)


def format_told_by(quantized: Quantized, last_axis: int) -> Format | None:
    """Return how an array was quantized whose last axis had so many numbers; None if it had not.

    Args:
      quantized: the array; shapes and dtypes are enough.
      last_axis: how many numbers its last axis had.
    """
    codes, scale = quantized
    bits = next((bits for bits in (8, 4) if codes.shape[-1] * 8 // bits == last_axis), None)
    if bits is None:
        return None
    code = FloatCode.of(bits) if codes.dtype == jnp.int8 else DynamicCode(bits)
    shape = (*codes.shape[:-1], last_axis)
    if codes.ndim > 1 and scale.ndim == codes.ndim:
        return Format(code, shape[-1] // scale.shape[-1])
    size = math.prod(shape)
    powers = [1 << k for k in range(size.bit_length() + 1)]
    return next((Format(code, power) for power in powers if math.ceil(size / power) == scale.size), None)


class Coded:
    """A quantized array on its way through an update: `lift` computes with it leaf by leaf, and nothing else can.

    It is not a node of a tree, so that a norm of the state, say, fails, instead of being one of codes.
    """

    def __init__(self, quantized: Quantized, its_format: Format):
        self.quantized = quantized
        self.format = its_format


def is_quantized(node: Any) -> bool:
    """Return whether a node of a tree is an array as codes."""
    return isinstance(node, Quantized)


def map_quantized(f: Callable[[Quantized], Any], tree: Any) -> Any:
    """Apply a function to the quantized arrays of a tree; all else stays."""
    return jax.tree.map(lambda node: f(node) if is_quantized(node) else node, tree, is_leaf=is_quantized)


def laid_out_like(model: jax.Array, quantized: Quantized, follow: Callable[[jax.Array, jax.Array], jax.Array]) -> Quantized:
    """Return a quantized array whose codes lie as an array of their shape does, also where blocks are those of a flat one.

    Args:
      model: an array, that which is quantized or its codes; two codes of 4 bits in a byte have another shape.
      quantized: its codes and scales.
      follow: `placed_like` or `kept_like`.
    """
    codes, scale = quantized
    return Quantized(follow(model, codes) if model.shape == codes.shape else codes, scale)


def _in_blocks(x: jax.Array, size: int) -> jax.Array:
    """An array with its blocks along a new axis; flattened, and filled up with zeros, where they do not divide the last one."""
    if x.shape[-1] % size == 0:
        return split_last_axis(x, size)
    blocks = math.ceil(x.size / size)
    return jnp.pad(all_gathered(x).reshape(-1), (0, blocks * size - x.size)).reshape(blocks, size)


def _out_of_blocks(blocks: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The inverse of `_in_blocks`."""
    if shape[-1] % blocks.shape[-1] == 0:
        return joined_last_axes(blocks)
    return blocks.reshape(-1)[: math.prod(shape)].reshape(shape)


def _packed(codes: jax.Array) -> jax.Array:
    """Two codes in each byte; by a sum, as the compiler does not compute what it takes every other one of in vectors."""
    pairs = split_last_axis(codes, 2)
    return jnp.sum(pairs << _shifts(pairs), axis=-1, dtype=jnp.uint8)


def _unpacked(codes: jax.Array) -> jax.Array:
    """The upper and the lower half of each byte, one after the other; by shifts, which fuse with what is done with them."""
    pairs = jnp.broadcast_to(codes[..., None], (*codes.shape, 2))
    return joined_last_axes(pairs >> _shifts(pairs) & 15)


def _shifts(pairs: jax.Array) -> jax.Array:
    """By how many bits each of two codes is shifted in their byte."""
    return reshard_like(pairs, 4 * (1 - lax.broadcasted_iota(jnp.uint8, pairs.shape, pairs.ndim - 1)))
