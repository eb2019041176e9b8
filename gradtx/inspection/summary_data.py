"""What a summary holds, as data."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

ShapeClass: TypeAlias = Literal["parameter", "scalar", "factored", "history", "other"]
"""What a part of the state looks like: its parameter, a number, its parameter without an axis or with one more."""


@dataclasses.dataclass(frozen=True)
class Component:
    """A transformation in a composition.

    Attributes:
      name: the factory, such as "adamw"; for one of another library, what is known of it.
      label: its name in the composition, if it has one.
      arguments: its hyperparameters, and what else it was given that is not the default.
      parts: what it is made of; nothing if that is not known.
    """

    name: str
    label: str | None
    arguments: Mapping[str, Any]
    parts: tuple["Component", ...]


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are treated alike.

    Attributes:
      label: the labels and names that lead to them, joined by slashes; empty if nothing tells parameters apart.
      transformations: the names of what they pass through; wrappers and chains are left out.
      weight_decay: each weight decay that they get, a number or a schedule.
      paths: the path of each, such as "layers/0/attention/bias".
      parameters: how many numbers they are.
      bytes: what these take.
    """

    label: str
    transformations: tuple[str, ...]
    weight_decay: tuple[Any, ...]
    paths: tuple[str, ...]
    parameters: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Entry:
    """A field of the state, as far as its arrays are of one kind.

    Attributes:
      label: the labels and names that lead to its transformation, joined by slashes.
      state: the type of the state, such as "ScaleByAdamState".
      field: such as "mu".
      like: what the arrays look like; see `ShapeClass`.
      dtype: of the arrays, or "8 bit" and "4 bit" of those that are quantized.
      arrays: how many there are; codes and their scales are one.
      bytes: what they take.
      bytes_on_host: what of it rests in the memory of the host, from where each update fetches it.
      bytes_per_device: what belongs to a device, there or on its host.
      sharding: how they are sharded, if that is known and the same for all.
    """

    label: str
    state: str
    field: str
    like: ShapeClass
    dtype: str
    arrays: int
    bytes: int
    bytes_on_host: int
    bytes_per_device: int
    sharding: str

    @property
    def name(self) -> str:
        """The label, if there is one, and the field of the state."""
        field = f"{self.state}.{self.field}"
        return f"{self.label}: {field}" if self.label else field


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """An optimizer on given parameters. It prints as a text, and notebooks show it as tables.

    Attributes:
      composition: the transformation and what it is made of.
      groups: the parameters, by what they get.
      entries: the state, field by field.
      parameters: how many numbers the parameters are.
      parameter_arrays: how many arrays.
      parameter_bytes: what these take.
      parameter_bytes_per_device: what a device keeps of them.
      temporary_bytes: what an update holds for a while beside the gradients, about: float32 updates of 16-bit parameters, and
        of quantized arrays those that are decoded at a time.
      temporary_bytes_per_device: what a device holds of it.
      warnings: what is wrong, or hardly meant, one sentence each.
    """

    composition: Component
    groups: tuple[ParameterGroup, ...]
    entries: tuple[Entry, ...]
    parameters: int
    parameter_arrays: int
    parameter_bytes: int
    parameter_bytes_per_device: int
    temporary_bytes: int
    temporary_bytes_per_device: int
    warnings: tuple[str, ...]

    @property
    def state_arrays(self) -> int:
        """How many arrays the state has."""
        return sum(entry.arrays for entry in self.entries)

    @property
    def state_bytes(self) -> int:
        """What the state takes."""
        return sum(entry.bytes for entry in self.entries)

    @property
    def state_bytes_on_host(self) -> int:
        """What of it rests in the memory of the host, from where each update fetches it."""
        return sum(entry.bytes_on_host for entry in self.entries)

    @property
    def state_bytes_per_device(self) -> int:
        """What of the state belongs to a device, there or on its host."""
        return sum(entry.bytes_per_device for entry in self.entries)

    @property
    def state_bytes_per_parameter(self) -> float:
        """Bytes of state for each number among the parameters; 0 if there is none."""
        return self.state_bytes / self.parameters if self.parameters else 0.0

    @property
    def peak_bytes(self) -> int:
        """What there is during an update: parameters, gradients of their dtypes, state (none on the host) and temporaries."""
        return 2 * self.parameter_bytes + self.state_bytes + self.temporary_bytes

    @property
    def peak_bytes_per_device(self) -> int:
        """What a device holds of it."""
        return 2 * self.parameter_bytes_per_device + self.state_bytes_per_device + self.temporary_bytes_per_device

    @property
    def is_sharded(self) -> bool:
        """Whether a device keeps less than all."""
        whole = self.parameter_bytes + self.state_bytes
        return self.parameter_bytes_per_device + self.state_bytes_per_device < whole

    def __repr__(self) -> str:
        from gradtx.inspection.summary_text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from gradtx.inspection.summary_text import as_html

        return as_html(self)
