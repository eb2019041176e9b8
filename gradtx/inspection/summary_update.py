"""What an update needs beside the parameters, the state and the gradients."""

import collections
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp

from gradtx.inspection.summary_entries import arrays, bytes_of
from gradtx.inspection.walk import Node, Parameter
from gradtx.tree.sixteen_bits import is_sixteen_bits

_FLOAT32 = jnp.dtype(jnp.float32)


class Temporaries(NamedTuple):
    """The bytes, and those of them on a device."""

    bytes: int
    bytes_per_device: int


def temporaries(node: Node) -> Temporaries:
    """Return about what an update holds for a while, in a training step that is compiled as one and donates what it replaces.

    Updates take the place of the gradients, unless they are float32 and these are not. Quantized arrays are decoded parameter
    by parameter, of which the largest counts. What a transformation computes with besides, such as the matrices of Muon, is
    not known, nor what a compiler keeps apart that need not be: on a CPU it copies 16-bit parameters before `compensated`
    replaces them, as the new ones and their low bits are made by two loops, which both read the old ones.
    """
    whole, shared = (_bytes(node, per_device) for per_device in (False, True))
    return Temporaries(whole, shared)


def _bytes(node: Node, per_device: bool) -> int:
    updates = sum(bytes_of(each.shape, _FLOAT32, each.sharding if per_device else None) for each in {*_widened(node)})
    decoded: dict[Parameter | None, int] = collections.Counter()
    for part in node.everything():
        for array in arrays(part) if part.format else ():
            if array.bits:
                decoded[array.parameter] += bytes_of(array.shape, _FLOAT32, array.sharding if per_device else None)
    return updates + max(decoded.values(), default=0)


def _widened(node: Node) -> Iterator[Parameter]:
    """The parameters of 16 bits whose updates have more."""
    inside = [part for part in node.parts if part.told.widens]
    if node.told.widens and not inside:
        yield from (each for each in node.parameters if is_sixteen_bits(each.dtype))
    for part in inside:
        yield from _widened(part)
