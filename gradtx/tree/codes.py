"""Codes of 8 and 4 bits for numbers between -1 and 1, or between 0 and 1.

- *float*: the upper bits of a float32. A signed number has 4 bits of exponent and 3 of mantissa. One that is known to be
  positive, as a second moment is, is kept as its root, with 5 and 3 bits, and rounded at random by a hash of its own bits: of
  the formats that round to the nearest, none lets an average with decay 0.999 decay, and only a code in which nothing but 0 is
  0 bounds the steps of Adam.
- *dynamic*: the map of bitsandbytes and torchao, whose decades have 1, 2, 4, ... cells, and which rounds to the nearest.

The largest number of a block of them is its scale.

References:
  Dettmers et al., 8-bit Optimizers via Block-wise Quantization, 2021, https://arxiv.org/abs/2110.02861 (the dynamic map)
"""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.tree.hashing import mixed

_ONE = 0x3F800000  # the bits of 1.0


class Code(Protocol):
    """How numbers become codes, and back."""

    @property
    def bits(self) -> int:
        """How many bits a code has."""
        ...

    @property
    def dtype(self) -> Any:
        """That of an array of codes, of 8 bits; it tells one kind of code from the other."""
        ...

    def encode(self, x: jax.Array, unsigned: jax.Array) -> jax.Array:
        """Return codes, as int32, of float32 numbers in [-1, 1]; where `unsigned` is true, in [0, 1]."""
        ...

    def decode(self, codes: jax.Array, unsigned: jax.Array) -> jax.Array:
        """Return the float32 numbers that int32 codes stand for."""
        ...


class FloatCode(NamedTuple):
    """The upper bits of a float32, with some bits for the mantissa; see above."""

    bits: int
    mantissa: int

    @classmethod
    def of(cls, bits: int) -> "FloatCode":
        """Return that of 8 or 4 bits."""
        return cls(bits, mantissa=3 if bits == 8 else 1)

    @property
    def dtype(self) -> Any:
        return jnp.int8

    def encode(self, x: jax.Array, unsigned: jax.Array) -> jax.Array:
        magnitude = jnp.abs(x)
        number = lax.bitcast_convert_type(jnp.where(unsigned, jnp.sqrt(magnitude), magnitude), jnp.int32)
        top, drop = self._top(unsigned), 23 - self.mantissa
        die = (mixed(lax.bitcast_convert_type(x, jnp.uint32)) >> self.mantissa + 9).astype(jnp.int32)  # `drop` bits
        rounding = jnp.where(unsigned, die, 1 << (drop - 1))
        code = jnp.clip((number - _ONE + rounding >> drop) + top, 1, top)
        least = jnp.where(unsigned, 0, self.decode(jnp.ones((), jnp.int32), jnp.zeros((), bool)) / 2)
        code = jnp.where(magnitude <= least, 0, code)
        return jnp.where(unsigned | (x >= 0), code, code | self._sign)

    def decode(self, codes: jax.Array, unsigned: jax.Array) -> jax.Array:
        code = jnp.where(unsigned, codes, codes & ~self._sign)
        number = lax.bitcast_convert_type(_ONE + (code - self._top(unsigned) << 23 - self.mantissa), jnp.float32)
        number = jnp.where(code == 0, 0, jnp.where(unsigned, number * number, number))
        return jnp.where(unsigned | (codes == code), number, -number)

    @property
    def _sign(self) -> int:
        return 1 << (self.bits - 1)

    def _top(self, unsigned: jax.Array) -> jax.Array:
        """The code of 1."""
        return jnp.where(unsigned, 2 * self._sign - 1, self._sign - 1)


class DynamicCode(NamedTuple):
    """The dynamic map: decade i of 7 in 8 bits, [0.1, 1]·10^(i−6), is cut into 2^i cells, or 2^(i+1) without a sign.

    In 4 bits, as torchao has it, there are 3 decades, and without a sign the codes are k/16 for k from 1: there is no 0.
    """

    bits: int

    @property
    def dtype(self) -> Any:
        return jnp.uint8

    def encode(self, x: jax.Array, unsigned: jax.Array) -> jax.Array:
        size, first = jnp.abs(x), self._first_cells(unsigned)
        cell = jnp.zeros_like(x)
        for decade, unit in enumerate(self._units):
            cells = first * 2.0**decade
            # Half-way between the neighbours on both sides; the lowest decade has 0 below.
            least = unit * (0.1 + 0.18 / cells) if decade else unit * (0.05 + 0.225 / cells)
            position = jnp.floor(size * (cells / (0.9 * unit)) + (cells - cells / 9))
            cell = jnp.where(size > least, jnp.clip(position, cells, 2 * cells - 1), cell)
        last = first * self._zero + first  # of the number 1
        cell = jnp.where(size > 1 - 0.45 / last, last, cell).astype(jnp.int32)
        negative = self._zero - jnp.minimum(cell, self._zero)  # there is no -1
        positive = self._linear(size) if self.bits == 4 else jnp.maximum(cell - 1, 0)
        return jnp.where(unsigned, positive, jnp.where(x < 0, negative, self._zero + cell))

    def decode(self, codes: jax.Array, unsigned: jax.Array) -> jax.Array:
        first = self._first_cells(unsigned)
        cell = jnp.where(unsigned, jnp.where(codes > 0, codes + 1, 0), jnp.abs(codes - self._zero)).astype(jnp.float32)
        size = jnp.zeros_like(cell)
        for decade, unit in enumerate(self._units):
            cells = first * 2.0**decade
            size = jnp.where(cell >= cells, unit * (0.1 + 0.9 * (cell - cells + 0.5) / cells), size)
        size = jnp.where(cell == first * self._zero + first, 1, size)
        if self.bits == 4:
            size = jnp.where(unsigned, (codes + 1).astype(jnp.float32) / 16, size)
        return jnp.where(unsigned | (codes >= self._zero), size, -size)

    @property
    def _zero(self) -> int:
        """The code of 0 among those with a sign."""
        return 2 ** (self.bits - 1) - 1

    @property
    def _units(self) -> list[float]:
        """The ends of the decades."""
        return [10.0 ** (decade - self.bits + 2) for decade in range(self.bits - 1)]

    def _first_cells(self, unsigned: jax.Array) -> jax.Array:
        """How many cells the lowest decade has."""
        return jnp.where(unsigned, 2.0, 1.0)

    def _linear(self, size: jax.Array) -> jax.Array:
        return jnp.clip(jnp.ceil(size * 16 - 0.5).astype(jnp.int32) - 1, 0, 15)
