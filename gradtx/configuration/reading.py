"""`from_config`: a composition of plain data."""

import inspect
import itertools
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gradtx.configuration.names import CALL, FUNCTION, RESERVED, Names
from gradtx.configuration.paths import below
from gradtx.configuration.tuples import takes_tuples
from gradtx.configuration.words import WORDS, as_number
from gradtx.values import Value
from gradtx.wrappers.inject_hyperparams import InjectedFactory


def from_config(data: Mapping[str, Any], *, known: Mapping[str, Any] = types.MappingProxyType({})) -> Any:
    """Return the composition that plain data describe: what `to_config` has returned, or what a person has written.

        from_config({"chain": [{"clip_by_global_norm": 1.0}, {"adamw": {"learning_rate": 3e-4, "weight_decay": 0.1}}]})

        chain:                          # the same in YAML, with yaml.safe_load
          - clip_by_global_norm: 1.0
          - adamw:
              learning_rate:
                warmup_cosine_decay_schedule: {init_value: 0, peak_value: 3e-4, warmup_steps: 100, decay_steps: 1000}
              weight_decay: 0.1

    A dict of one key is a call of the function that the key names; `to_config` describes the form. By hand, arguments may also
    be a list, in the order of the function, or a single one that is not a dict, as that of clip_by_global_norm above; a call
    that is the only argument of another needs no list either: `{"adjustable": {"adamw": 3e-4}}`. A string such as "3e-4" is a
    number, as YAML's usual readers make strings of these.

    Functions are those of gradtx that make transformations, schedules and masks, those of `gradtx.recipes` and `gradtx.interop`
    with a dot (`recipes.transformer`, `interop.torch.adamw`), and what is in `known`. No others can be named, and nothing is
    imported or evaluated, so that data of others run no code of theirs.

    Args:
      data: a dict of one key.
      known: functions of one's own by name.

    Raises:
      TypeError: a function cannot be called with its arguments, or something is neither a dict, a list, a string, a number, a
        bool nor None.
      ValueError: there is no function of a name, or one refuses an argument, or the data contain themselves.

      Each error begins with the place in the data: "chain[1].adamw.learning_rate: ...".
    """
    made = _Reader(Names(known)).read(data, "")
    if not isinstance(made, Value):
        raise TypeError(f"from_config: a config is a dict of one key, such as {{'adam': 0.001}}; got {data!r}.")
    return made


class _Reader:
    def __init__(self, names: Names):
        self._names = names
        self._entered: list[Any] = []

    def read(self, data: Any, path: str) -> Any:
        """The value that data at a path describe."""
        if data is None or isinstance(data, bool | int | float):
            return data
        if isinstance(data, str):
            return as_number(data)
        with self._entering(data, path):
            if isinstance(data, list | tuple):
                return [self.read(item, f"{path}[{k}]") for k, item in enumerate(data)]
            if isinstance(data, Mapping):
                return self._read_dict(data, path)
            raise TypeError(f"a config holds dicts, lists, strings, numbers and bools, got {data!r}.")

    @contextmanager
    def _entering(self, data: Any, path: str) -> Iterator[None]:
        with _at(path):
            if any(data is outer for outer in self._entered):
                raise ValueError("the data contain themselves.")
            self._entered.append(data)
            yield
            self._entered.pop()

    def _read_dict(self, data: Mapping[Any, Any], path: str) -> Any:
        if len(data) != 1:
            return {key: self.read(item, below(path, key)) for key, item in data.items()}
        [(name, inner)] = data.items()
        if not isinstance(name, str):
            return {name: self.read(inner, below(path, name))}
        here = below(path, name)
        if name in WORDS:
            with _at(here):
                return WORDS[name].read(inner, lambda data: self.read(data, here))
        if name == FUNCTION:
            return self._function(inner)
        if name == CALL:
            return self._injected(inner, here)
        return self._call(self._factory(name), inner, here)

    def _function(self, name: Any) -> Any:
        found = self._names.find(name) if isinstance(name, str) else None
        if found is None:
            raise ValueError(f"no function is called {name!r}; give those of your own in known={{...}}.")
        return found

    def _factory(self, name: str) -> Any:
        found = self._names.find_callable(name)
        if found is None and self._names.find(name) is not None:
            argument = {FUNCTION: name}
            raise ValueError(f"{name!r} makes no transformation, schedule or mask; as an argument, write {argument}.")
        if found is None:
            raise ValueError(f"no factory is called {name!r}; {self._names.hint(name)}")
        return found

    def _injected(self, data: Any, path: str) -> Any:
        """What a factory makes that a call of `inject_hyperparams` has made."""
        if not isinstance(data, Mapping) or data.keys() != {"function", "arguments"}:
            raise TypeError(f"a call of a call is {{'function': ..., 'arguments': ...}}, got {data!r}.")
        function = self.read(data["function"], f"{path}.function")
        if not isinstance(function, InjectedFactory):
            raise TypeError(f"its function is a call of inject_hyperparams, got {function!r}.")
        return self._call(function, data["arguments"], f"{path}.arguments")

    def _call(self, function: Any, data: Any, path: str) -> Any:
        args, kwargs = self._arguments(inspect.signature(function).parameters, data, path)
        with _at(path):
            return function(*args, **kwargs)

    def _arguments(self, parameters: Mapping[str, Any], data: Any, path: str) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call, by position and by name."""
        if data is None:
            return [], {}
        annotations = {name: parameter.annotation for name, parameter in parameters.items()}
        if isinstance(data, Mapping) and not self._is_call(data, parameters):
            named = {str(name): item for name, item in data.items()}
            return [], {name: self._argument(item, annotations.get(name), below(path, name)) for name, item in named.items()}
        if not isinstance(data, list | tuple):
            return [self._argument(data, next(iter(annotations.values()), None), path)], {}
        several = [p.annotation for p in parameters.values() if p.kind is p.VAR_POSITIONAL] or [None]
        in_order = zip(data, itertools.chain(annotations.values(), itertools.repeat(several[0])), strict=False)
        return [self._argument(item, annotation, f"{path}[{k}]") for k, (item, annotation) in enumerate(in_order)], {}

    def _is_call(self, data: Mapping[Any, Any], parameters: Mapping[str, Any]) -> bool:
        """Whether a dict is a call that is the only argument, instead of arguments by name."""
        if len(data) != 1 or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return False
        [name] = data
        return name not in parameters and (name in RESERVED or self._names.find_callable(str(name)) is not None)

    def _argument(self, data: Any, annotation: Any, path: str) -> Any:
        value = self.read(data, path)
        return tuple(value) if isinstance(data, list | tuple) and takes_tuples(annotation) else value


@contextmanager
def _at(path: str) -> Iterator[None]:
    """Let errors begin with their place in the data, those that do not yet."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "placed"):
            raise
        said = str(error.args[0] if error.args else error).removeprefix(f"{path.rpartition('.')[2]}: ")
        kind = TypeError if isinstance(error, TypeError) else ValueError
        placed = kind(f"{path or 'from_config'}: {said}")
        vars(placed)["placed"] = True
        raise placed from error
