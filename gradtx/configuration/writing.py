"""`to_config`: a composition as plain data."""

import inspect
import types
from collections.abc import Mapping
from typing import Any, cast

import jax
import numpy as np
from jax.core import Tracer

from gradtx.configuration.names import CALL, FUNCTION, Names
from gradtx.configuration.paths import below
from gradtx.configuration.tuples import takes_tuples
from gradtx.configuration.words import LARGEST, WORDS, is_plain_dict
from gradtx.core import Schedule, Transformation, is_transformation, supported
from gradtx.values import WORDS as SIMPLE
from gradtx.values import Recipe, Value
from gradtx.wrappers.inject_hyperparams import InjectedFactory


def to_config(value: Transformation | Schedule, *, known: Mapping[str, Any] = types.MappingProxyType({})) -> dict[str, Any]:
    """Return a composition as plain data: dicts, lists, strings, numbers and bools, as JSON, YAML and TOML hold them.

        tx = chain(clip_by_global_norm(1.0), adamw(cosine_decay_schedule(3e-4, 1000), weight_decay=0.1))
        to_config(tx)

        {"chain": [
            {"clip_by_global_norm": {"max_norm": 1.0}},
            {"adamw": {
                "learning_rate": {"cosine_decay_schedule": {"init_value": 3e-4, "decay_steps": 1000}},
                "weight_decay": 0.1}}]}

    - A call is a dict of one key: the name of the function, with the arguments by name, or the list of them for a function such
      as `chain` that takes any number. Arguments that are their defaults are left out.
    - Numbers, strings, bools, lists, and dicts of string keys are themselves; but a dict of one key, which would be a call, is
      written `{"dict": {...}}`.
    - What JSON has no word for has one here: `{"tuple": [...]}`, `{"none": []}`, `{"number": "inf"}`, `{"dtype": "bfloat16"}`,
      `{"regex": "..."}`, `{"array": {"values": [...], "dtype": "float32"}}`, `{"complex": [0.0, 1.0]}`, `{"random_key": ...}`,
      `{"PartitionSpec": [...]}`. A function of gradtx that is an argument itself is `{"function": "tree.norm"}`.

    `from_config` makes an equal composition of it.

    Args:
      value: a transformation or a schedule.
      known: functions of one's own by the names that they have in the data, such as a schedule or what `factory` has marked;
        give the same to `from_config`.

    Raises:
      TypeError: something in it cannot be data, such as a lambda; the error says where it is, and what to write instead.
    """
    made: Any = supported(cast("Transformation", value)) if is_transformation(value) else value
    if not isinstance(made, Value) or made.recipe is None:
        raise TypeError(f"to_config takes what a function of gradtx has made, got {_described(value)}")
    return _Writer(Names(known)).written(made, "")


class _Writer:
    def __init__(self, names: Names):
        self._names = names

    def written(self, value: Any, path: str) -> Any:
        """The data of a value at a path."""
        if isinstance(value, Value) and value.recipe is not None:
            return self._call(value.recipe, path)
        if (name := self._names.name_of(value)) is not None:
            return {FUNCTION: name}
        word = next((word for word, each in WORDS.items() if each.means(value)), None)
        if word is not None:
            return {word: WORDS[word].write(value, lambda inner: self.written(inner, below(path, word)))}
        if type(value) in (bool, int, float, str):
            return value
        if type(value) is list:
            return [self.written(item, f"{path}[{k}]") for k, item in enumerate(value)]
        if type(value) is dict and is_plain_dict(value):
            return {key: self.written(item, below(path, key)) for key, item in value.items()}
        if (
            hasattr(value, "_fields")
            and not is_transformation(value)
            and (name := self._names.name_of(type(value))) is not None
        ):
            return {name: self._fields(value, below(path, name))}
        raise TypeError(f"{path} is {_described(value)}")

    def _call(self, recipe: Recipe, path: str) -> dict[str, Any]:
        if isinstance(recipe.factory, InjectedFactory):
            function = self.written(recipe.factory, f"{below(path, CALL)}.function")
            return {CALL: {"function": function, "arguments": self._arguments(recipe, f"{below(path, CALL)}.arguments")}}
        name = self._names.name_of(recipe.factory)
        if name is None:
            raise TypeError(
                f"{path or 'to_config'}: {recipe.name} is not a function of gradtx; "
                f"give it a name, known={{{recipe.name!r}: {recipe.name}}}, here and to from_config."
            )
        return {name: self._arguments(recipe, below(path, name))}

    def _arguments(self, recipe: Recipe, path: str) -> Any:
        """The arguments of a call: by name, or the list of those of a function that takes any number."""
        parameters = recipe.signature.parameters
        nameless = [p for p in parameters.values() if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if len(parameters) == 1 and nameless and nameless[0].kind is inspect.Parameter.VAR_POSITIONAL:
            return [self._argument(item, nameless[0], f"{path}[{k}]") for k, item in enumerate(recipe.args)]
        if nameless:
            raise TypeError(f"{path} has the argument {nameless[0]}, which a config cannot name; give it one by name.")
        return {
            name: self._argument(value, parameters[name], below(path, name))
            for name, value in recipe.arguments.items()
            if not _is_default(value, parameters[name].default)
        }

    def _fields(self, value: Any, path: str) -> dict[str, Any]:
        """Those of a plain tuple with names, such as `MuonDimensionNumbers`."""
        parameters = inspect.signature(type(value)).parameters
        return {name: self._argument(getattr(value, name), p, below(path, name)) for name, p in parameters.items()}

    def _argument(self, value: Any, parameter: inspect.Parameter, path: str) -> Any:
        if type(value) in (tuple, list) and takes_tuples(parameter.annotation):
            items = [self.written(item, f"{path}[{k}]") for k, item in enumerate(value)]
            return items if type(value) is tuple else {"list": items}
        return self.written(value, path)


def _is_default(value: Any, default: Any) -> bool:
    """Whether an argument can be left out; `repr` tells 0.0 from -0.0."""
    if isinstance(value, Value):
        return value == default
    return value is default or (isinstance(value, SIMPLE) and type(value) is type(default) and repr(value) == repr(default))


def _described(value: Any) -> str:
    """What cannot be data, and what to write instead."""
    if isinstance(value, Tracer):
        return "a traced array, which has no value; call to_config outside of jit."
    if isinstance(value, jax.Array | np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}; a config holds at most {LARGEST} numbers in one."
    if is_transformation(value):
        return "a transformation that no factory has made; mark the function that makes it with gradtx.factory."
    if callable(value):
        name = getattr(value, "__name__", type(value).__name__)
        word = name if name.isidentifier() else "name"
        return (
            f"the function {name}, which is not data; write what gradtx makes, such as a schedule or matching('**/bias'), "
            f"or give it a name, known={{{word!r}: {name}}}, here and to from_config."
        )
    return f"{value!r}, a {type(value).__name__}, which is not data; write it with numbers, strings, lists, tuples and dicts."
