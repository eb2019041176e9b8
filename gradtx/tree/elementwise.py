"""Whether a rule on arrays is one on their entries, so that it may see them in chunks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

# fmt: off
_OF_ENTRIES = frozenset((
    "abs", "add", "and", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "cos", "div", "eq", "erf", "exp",
    "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt", "max",
    "min", "mul", "ne", "neg", "not", "or", "pow", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sqrt", "square",
    "sub", "tan", "tanh", "xor",
))
# fmt: on
_OF_SHAPES = ("shape", "broadcast_dimensions", "sharding", "out_sharding")  # parameters in which chunks differ
_CALLED = ("jaxpr", "call_jaxpr")


def same_on_entries(rule: Callable[..., Any], leaf: Sequence[Any], chunk: Sequence[Any], scalars: dict[str, Any]) -> bool:
    """Return whether a rule computes the same of each entry, be it in a leaf or in a chunk of one.

    A rule that reduces does not, nor does one that asks its arrays for their shape.

    Args:
      rule: a pure function of arrays of one shape.
      leaf: arrays of one shape, or their shapes and dtypes.
      chunk: the same of another shape.
      scalars: its other arguments.
    """
    programs = [_program(jax.make_jaxpr(rule)(*arrays, **scalars)) for arrays in (leaf, chunk)]
    return None not in programs and programs[0] == programs[1]


def _program(closed: Any) -> list[Any] | None:
    """What a program does with entries, whatever the shape; None if it does something with arrays."""
    if closed.consts:
        return None
    program: list[Any] = []
    place: dict[Any, int] = {}

    def named(x: Any) -> Any:
        return repr(x.val) if hasattr(x, "val") else place.setdefault(x, len(place))

    for equation in closed.jaxpr.eqns:
        name, arguments = equation.primitive.name, equation.invars
        called = next((equation.params[key] for key in _CALLED if key in equation.params), None)
        if called is not None:
            does: Any = _program(called)
        elif name in _OF_ENTRIES or (name == "broadcast_in_dim" and arguments[0].aval.ndim == 0):
            does = name, [(key, repr(value)) for key, value in equation.params.items() if key not in _OF_SHAPES]
        else:
            does = None
        if does is None:
            return None
        program.append((does, [*map(named, arguments)], [*map(named, equation.outvars)]))
    return [*program, [*map(named, closed.jaxpr.invars)], [*map(named, closed.jaxpr.outvars)]]
