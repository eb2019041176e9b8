"""Keep the state of a transformation in 8 or 4 bits (Dettmers et al. 2021)."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from gradtx.core import (
    GradientTransformationExtraArgs,
    OptState,
    Params,
    Transformation,
    Updates,
    factory,
    forwards_to,
    init_at_once,
    told_apart,
    with_extra_args_support,
)
from gradtx.errors import unnamed
from gradtx.numerics import hidden_zero
from gradtx.require import AT_LEAST_ONE
from gradtx.tree.codes import DynamicCode, FloatCode
from gradtx.tree.layout import kept_like, placed_like, rests_on_host
from gradtx.tree.masks import Mask, check_mask, evaluate_mask
from gradtx.tree.placeholders import map_params
from gradtx.tree.quantized import Coded, Format, is_quantized, laid_out_like, map_quantized

_BLOCK_SIZE = {8: 256, 4: 128}


class QuantizedState(NamedTuple):
    """The inner state, with a `Quantized` in place of each large array."""

    inner_state: OptState


@factory(block_size=AT_LEAST_ONE, min_size=AT_LEAST_ONE)
def quantized(
    inner: Transformation,
    *,
    bits: Literal[4, 8] = 8,
    code: Literal["float", "dynamic"] = "float",
    block_size: int | None = None,
    min_size: int = 4096,
    mask: Mask | None = None,
) -> GradientTransformationExtraArgs:
    """Keep the large arrays in the state of `inner` as codes of 8 or 4 bits: AdamW in 2 bytes a parameter instead of 8.

        quantized(adamw(1e-3))                               AdamW in 8 bits
        quantized(adamw(1e-3), code="dynamic")               bitsandbytes' and torchao's AdamW8bit, number by number
        quantized(adamw(1e-3), bits=4, code="dynamic")       torchao's AdamW4bit

    What is decoded is what `inner` computes with, in float32, and its step is of the numbers that it has computed, before they
    are rounded. Each block has a scale of its own, the largest number in it. Arrays of float32 with `min_size` entries are kept
    so; counts, small arrays and other dtypes stay as they are. So does what a few bits do not hold: parameters in a state, such
    as averages, where Prodigy began and L-BFGS was, or what FTRL and MADGRAD make them of, and sums of gradients, as in
    `MultiSteps`.

    The two codes: "float" keeps numbers that may be negative in 4 bits of exponent and 3 of mantissa, and positive ones, such
    as second moments, as roots in 5 and 3 bits, rounded at random by a hash of their own bits: no key is needed, and any number
    of devices rounds alike. "dynamic" is the code of bitsandbytes and torchao, which rounds to the nearest: there a second
    moment with decay 0.999 does not decay where gradients have ended, and is 0 beside one that is 10⁷ times as large, so that
    the next step is up to 20 times too long.

    Rules on leaves (`tree.lift`), which most optimizers are made of, decode one array at a time, so that an update takes no
    more room than its largest leaf does, twice in float32; where there is one device, and a rule is one on entries, as Adam's
    is, large arrays are decoded in chunks, and it takes the room of the leaf's updates. What computes with its state in another
    way, or inside of `MultiSteps` and the like, decodes all arrays first.

    A NaN spoils its block: `apply_if_finite` goes around it.

    Args:
      inner: a transformation.
      bits: of a code, 8 or 4. With 4, arrays with an odd last axis stay as they are.
      code: "float" or "dynamic".
      block_size: how many numbers share a scale, a power of two; by default 256 of 8 bits, and 128 of 4.
      min_size: the least number of entries of an array that is quantized.
      mask: a tree of bools like the parameters, or a function that returns one, as for `masked`: what belongs to a parameter
        where it is False stays in float32. Published results keep embeddings so.

    Raises:
      TypeError, ValueError: an argument is out of its range, or the mask does not match the parameters.
      ValueError: from `init`, if nothing is large enough; or `inner` is quantized itself, or offloaded.

    References:
      Dettmers, Lewis, Shleifer and Zettlemoyer, 8-bit Optimizers via Block-wise Quantization, 2021,
        https://arxiv.org/abs/2110.02861
    """
    inner = with_extra_args_support(inner)
    if block_size is not None and block_size & (block_size - 1):
        raise unnamed(ValueError, f"block_size must be a power of two, got {block_size}.")
    if mask is not None:
        check_mask(mask)
    numbers = DynamicCode(bits) if code == "dynamic" else FloatCode.of(bits)
    its_format = Format(numbers, block_size or _BLOCK_SIZE[bits])
    encode, decode = jax.jit(its_format.encode), jax.jit(its_format.decode)

    def coded(state: OptState, params: Params) -> QuantizedState:
        leaves = jax.tree.leaves(state, is_leaf=is_quantized)
        if any(map(is_quantized, leaves)):
            raise unnamed(ValueError, f"the state of {inner!r} is quantized already.")
        if any(map(rests_on_host, leaves)):
            raise unnamed(ValueError, f"the state of {inner!r} rests on the host: put offloaded around quantized.")
        # Of float64, where it is enabled for tests, nothing is to be said, nor of a model's part without parameters.
        arrays = [leaf for leaf in leaves if jnp.result_type(leaf) == jnp.float32 and jnp.ndim(leaf) and jnp.size(leaf)]
        if jax.tree.leaves(params) and arrays and not any(map(is_large, arrays)):
            raise unnamed(ValueError, f"nothing is quantized: {_why_not(arrays, min_size)}.")

        state, is_precise = told_apart(inner, state)

        def encoded(leaf: Any) -> Any:
            if is_precise(leaf) or not is_large(leaf):
                return leaf
            # What the compiler knows to be zeros it would encode itself, for minutes.
            return laid_out_like(leaf, encode(jnp.where(hidden_zero() == 0, leaf, 0)), placed_like)

        if mask is None:
            return QuantizedState(jax.tree.map(encoded, state))
        where = jax.tree.map(lambda chosen, part: jax.tree.map(lambda _: chosen, part), evaluate_mask(mask, params), params)
        masked = map_params(
            inner, lambda leaf, chosen: encoded(leaf) if chosen else leaf, state, where, transform_non_params=encoded
        )
        return QuantizedState(masked)

    def is_large(leaf: Any) -> bool:
        return jnp.size(leaf) >= min_size and its_format.suits(leaf)

    def decoded(state: QuantizedState) -> OptState:
        return map_quantized(decode, state.inner_state)

    @forwards_to(inner, quantizes=its_format)
    def update(updates: Updates, state: QuantizedState, params: Params | None = None, **extra_args: Any):
        try:
            return by_leaves(updates, state, params, extra_args)
        except Exception:  # something in it computes with the state otherwise than by rules on its leaves, or would fail anyway
            new_updates, new_state = inner.update(updates, decoded(state), params, **extra_args)

        def encoded_again(old: Any, new: Any) -> Any:
            return laid_out_like(old.codes, encode(new), kept_like) if is_quantized(old) else new

        return new_updates, QuantizedState(jax.tree.map(encoded_again, state.inner_state, new_state, is_leaf=is_quantized))

    def by_leaves(updates: Updates, state: QuantizedState, params: Params | None, extra_args: dict[str, Any]):
        """The update with codes all along, which `tree.lift` decodes and encodes leaf by leaf."""
        coded = map_quantized(lambda quantized: Coded(quantized, its_format), state.inner_state)
        new_updates, new_state = inner.update(updates, coded, params, **extra_args)
        return new_updates, QuantizedState(jax.tree.map(_from_coded, state.inner_state, new_state, is_leaf=is_quantized))

    return GradientTransformationExtraArgs(
        init_at_once(inner, coded, key=(its_format, min_size) if mask is None else None), update
    )


def _why_not(arrays: list[jax.Array], min_size: int) -> str:
    largest = max(map(jnp.size, arrays))
    if largest < min_size:
        return f"the largest array of float32 has {largest} entries, and min_size is {min_size}"
    return "two codes of 4 bits share a byte, and every array of that size has an odd last axis"


def _from_coded(old: Any, new: Any) -> Any:
    if is_quantized(old) != isinstance(new, Coded):
        raise TypeError("an array is not quantized any more, or another one is")
    return laid_out_like(old.codes, new.quantized, kept_like) if isinstance(new, Coded) else new
