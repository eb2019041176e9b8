"""The forms in which a state keeps arrays: as they are, in codes of a few bits, or as the low bits of 16-bit parameters."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.core import OptState, Transformation
from gradtx.errors import unnamed
from gradtx.inspection.transfer_matching import taken_over
from gradtx.inspection.walk import dtype_of, walk
from gradtx.tree.codes import DynamicCode, FloatCode
from gradtx.tree.layout import on_device
from gradtx.tree.paths import map_with_paths, path_of
from gradtx.tree.quantized import Format, Quantized, format_told_by, is_quantized, map_quantized
from gradtx.tree.sixteen_bits import has_sixteen_bits, joined, low_bits_of
from gradtx.wrappers.compensated import CompensatedState

NO_COUNTERPART = "no counterpart"
_UNKNOWN = "how an array of tx is quantized is not known: put gradtx's own chain around `quantized`."
Find: TypeAlias = Callable[[str], Iterable[Any]]
_CODES: Mapping[type, str] = {FloatCode: "float", DynamicCode: "dynamic"}


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """Float32 numbers in another form. It is not a node of a tree, so that a state has it as one leaf.

    Attributes:
      parts: what the state has.
      shape: that of the numbers.
      form: what the form is called; two of one name are alike.
      decode: the numbers, given the parts.
      encode: the parts, given numbers.
      absent: what to say where nothing gives the numbers.
    """

    parts: Any
    shape: tuple[int, ...]
    form: str
    decode: Callable[[Any], jax.Array]
    encode: Callable[[jax.Array], Any]
    absent: str = NO_COUNTERPART
    dtype: ClassVar[Any] = np.dtype(np.float32)


def form_of(array: Any) -> str:
    """Return what the form of an array is called: its dtype, if it is as it is."""
    return array.form if isinstance(array, Encoded) else str(dtype_of(array))


def is_low_bits(array: Any) -> bool:
    """Return whether an array is the low bits of a parameter."""
    return isinstance(array, Encoded) and not isinstance(array.parts, Quantized)


def absent(array: Any) -> str:
    """Return what to say of an array for which there are no numbers."""
    return array.absent if isinstance(array, Encoded) else NO_COUNTERPART


def is_converted(new: Any, old: Any) -> bool:
    """Return whether the numbers of one array take another form, or another precision, as another."""
    plain = not isinstance(new, Encoded) and not isinstance(old, Encoded)
    return form_of(new) != form_of(old) and not (plain and not jnp.issubdtype(dtype_of(new), jnp.inexact))


def continued(new: Any, old: Any) -> Any:
    """Return what is in a state instead of `new`, in its form, with the numbers of `old`; see `taken_over`."""
    alike = isinstance(new, Encoded) and isinstance(old, Encoded) and new.form == old.form
    if alike and (new.shape == old.shape or is_low_bits(new)):
        return jax.tree.map(taken_over, new.parts, old.parts)
    numbers = old.decode(old.parts) if isinstance(old, Encoded) else old
    if not isinstance(new, Encoded):
        return taken_over(new, numbers)
    return jax.tree.map(taken_over, new.parts, new.encode(taken_over(new.decode(new.parts), numbers)))


def as_in_state(new: Any) -> Any:
    """Return what is in a state as `new`."""
    return new.parts if isinstance(new, Encoded) else new


def shape_alone(array: Any) -> Any:
    """Return an array, in whatever form, without its values."""
    if isinstance(array, Encoded):
        return dataclasses.replace(array, parts=jax.tree.map(shape_alone, array.parts))
    return jax.ShapeDtypeStruct(np.shape(array), dtype_of(array))


def is_another(p: Any, x: Any) -> bool:
    """Return whether a 16-bit array is known not to be the rounding of another one."""
    unknown = Tracer | jax.ShapeDtypeStruct
    if isinstance(p, unknown) or isinstance(x, unknown):
        return False
    return not np.array_equal(*(np.asarray(jnp.asarray(each).astype(p.dtype), np.float32) for each in (p, x)), equal_nan=True)


def with_forms(
    state: OptState,
    tx: Transformation | None,
    find: Find = lambda path: (),
    unknown: str = _UNKNOWN,
    absent: str = NO_COUNTERPART,
) -> OptState:
    """Return a state with an `Encoded`, which is a leaf, instead of each quantized array, and of the low bits of parameters.

    Args:
      state: a state.
      tx: its optimizer, which knows how its arrays are quantized; what it does not say the codes do.
      find: what may be the parameter of a path.
      unknown: what to raise `ValueError` with if nobody says how an array is quantized.
      absent: see `Encoded`; of low bits.
    """
    return _with_low_bits(_with_codes(state, tx, find, unknown), find, absent)


def _with_codes(state: OptState, tx: Transformation | None, find: Find, unknown: str) -> OptState:
    found = jax.tree_util.tree_leaves_with_path(state, is_leaf=is_quantized)
    found = [(path_of(keys), node) for keys, node in found if is_quantized(node)]
    if not found:
        return state
    # By identity: each wrapper is given its part of the state, with the same arrays in it.
    formats: dict[int, Format | None] = dict(_formats(tx, state)) if tx is not None else {}
    for path, array in found:
        if id(array.codes) not in formats:
            formats[id(array.codes)] = _told_by_codes(path, array, find)
        its_format = formats[id(array.codes)]
        if its_format is None or not _is_of(array, its_format):
            raise unnamed(ValueError, unknown)
    return map_quantized(lambda array: _in_codes(array, cast("Format", formats[id(array.codes)])), state)


def _told_by_codes(path: str, array: Quantized, find: Find) -> Format | None:
    """How an array is quantized, given the parameter that its path ends with."""
    steps = path.split("/")
    endings = ("/".join(steps[k:]) for k in range(len(steps) + 1))
    candidates = (p for ending in endings for p in find(ending) if np.ndim(p))
    return next((told for p in candidates if (told := format_told_by(array, np.shape(p)[-1]))), None)


def _with_low_bits(state: OptState, find: Find, absent: str) -> OptState:
    def of_parameter(path: str, low: Any) -> Any:
        p = next(filter(has_sixteen_bits, find(path)), None)
        return low if p is None else _in_low_bits(low, p, absent)

    def of_state(node: Any) -> Any:
        return node._replace(low=map_with_paths(of_parameter, node.low)) if isinstance(node, CompensatedState) else node

    return jax.tree.map(of_state, state, is_leaf=lambda node: isinstance(node, CompensatedState))


def _formats(tx: Transformation, state: OptState) -> Iterator[tuple[int, Format]]:
    """Yield how each quantized array is coded, by the identity of its codes; nothing more if the state is not one of `tx`."""
    try:
        for node in walk(tx, state).everything():
            if (its_format := node.told.quantizes) is not None:
                for array in filter(is_quantized, jax.tree.leaves(node.state, is_leaf=is_quantized)):
                    yield id(array.codes), its_format
    except (AttributeError, KeyError, TypeError, ValueError):
        return


def _is_of(array: Quantized, its_format: Format) -> bool:
    """Whether an array has the scales that there are in a format."""
    numbers = jax.ShapeDtypeStruct(its_format.shape_of(array), jnp.float32)
    return np.shape(array.scale) == jax.eval_shape(functools.partial(_encoded, its_format), numbers).scale.shape


def _in_codes(array: Quantized, its_format: Format) -> Encoded:
    form = f"{its_format.code.bits} bits ({_CODES[type(its_format.code)]} code, blocks of {its_format.block_size})"
    decode, encode = (functools.partial(f, its_format) for f in (_decoded, _encoded))
    return Encoded(array, its_format.shape_of(array), form, decode, encode)


def _in_low_bits(low: Any, p: Any, absent: str) -> Encoded:
    form = f"{dtype_of(low)} beside {dtype_of(p)}"
    decode, encode = functools.partial(master, p), functools.partial(_low_bits, dtype_of(low), p)
    return Encoded(low, np.shape(low), form, decode, encode, absent)


@functools.partial(jax.jit, static_argnums=0)
def _decoded(its_format: Format, array: Quantized) -> jax.Array:
    codes, scale = map(on_device, array)
    return its_format.decode(Quantized(codes, scale.astype(jnp.float32)))


@functools.partial(jax.jit, static_argnums=0)
def _encoded(its_format: Format, x: jax.Array) -> Quantized:
    return its_format.encode(x)


@jax.jit
def master(p: jax.Array, low: jax.Array) -> jax.Array:
    """Return the float32 parameter of which `p` is the rounding, given its low bits; of one that has grown the corner."""
    return joined(p[tuple(map(slice, low.shape))], on_device(low))


@functools.partial(jax.jit, static_argnums=0)
def _low_bits(dtype: Any, p: jax.Array, x: jax.Array) -> jax.Array:
    """The low bits of `x`; none where `p` is not its rounding: the parameters count."""
    return jnp.where(x.astype(p.dtype) == p, low_bits_of(x, p, dtype), 0)
