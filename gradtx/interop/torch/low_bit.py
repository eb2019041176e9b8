"""States in 8 and 4 bits, as bitsandbytes and torchao have them in torch's `state_dict()`."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx.inspection.transfer_forms import Encoded
from gradtx.tree.quantized import Quantized

_OF_BITSANDBYTES = "__bnb_optimizer_quant_state__"


@dataclasses.dataclass(frozen=True, eq=False)
class LowBit:
    """An array as codes, two of 4 bits in a byte, whose numbers are in a book, times the scale of each block of them.

    NumPy takes it for the array of these numbers.
    """

    codes: np.ndarray
    scale: np.ndarray
    book: np.ndarray
    block_size: int
    shape: tuple[int, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        codes = self.codes.reshape(-1)
        if self.book.size == 16:
            codes = np.stack([codes >> 4, codes & 15], axis=-1).reshape(-1)
        scales = np.repeat(self.scale, self.block_size)[: codes.size]
        return np.asarray((self.book[codes] * scales).reshape(self.shape), dtype)

    @property
    def is_whole(self) -> bool:
        """Whether there is a scale for each block, and a block for each scale."""
        return -(-math.prod(self.shape) // self.block_size) == self.scale.size

    def to_the_bit(self, like: Encoded) -> Quantized | None:
        """Return the same codes in the place of `like`, if they mean the same numbers there."""
        place = like.parts
        if (np.size(place.codes), np.size(place.scale)) != (self.codes.size, self.scale.size):
            return None
        scale = self.scale if np.any(self.book < 0) else -self.scale  # as `Quantized` tells codes without a sign
        same = Quantized(*(jnp.reshape(one, np.shape(other)) for one, other in zip((self.codes, scale), place, strict=True)))
        return same if np.allclose(like.decode(same), np.asarray(self), rtol=1e-5, atol=0) else None


def with_low_bits(entries: Mapping[str, Any], array: Callable[[Any], np.ndarray]) -> dict[str, Any]:
    """Return the entries of a parameter with a `LowBit` instead of what bitsandbytes or torchao have for an array.

    Args:
      entries: bitsandbytes has "state1", "qmap1" and "absmax1"; torchao a tensor of its own class.
      array: makes an array of a tensor.
    """
    flat = {**entries, **entries.get(_OF_BITSANDBYTES, {})}
    flat.pop(_OF_BITSANDBYTES, None)
    for k in "12":
        if flat.keys() >= {f"state{k}", f"qmap{k}", f"absmax{k}"}:
            codes, book, scale = (array(flat.pop(f"{name}{k}")) for name in ("state", "qmap", "absmax"))
            flat[f"state{k}"] = LowBit(codes, scale, book, _block_size(codes.size, scale.size), codes.shape)
    return {name: _of_torchao(value, array) if hasattr(value, "qmap") else value for name, value in flat.items()}


def _of_torchao(value: Any, array: Callable[[Any], np.ndarray]) -> LowBit:
    codes, scale, book = array(value.codes), array(value.scale), array(value.qmap)
    return LowBit(codes, scale, book, int(value.block_size), tuple(map(int, value.shape)))


def _block_size(size: int, blocks: int) -> int:
    """The power of two that makes so many blocks, or fewer; bitsandbytes has had 256 and 2048, and does not say which."""
    return next(2**k for k in range(size.bit_length() + 1) if -(-size // 2**k) <= max(blocks, 1))
