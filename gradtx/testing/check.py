"""Check one transformation against all laws."""

from collections.abc import Collection, Iterable

from gradtx import hints
from gradtx.core import Params, Transformation
from gradtx.testing import arguments, buffers, dtypes, layouts, numbers, scaling, structure, tracing  # noqa: F401  (fill LAWS)
from gradtx.testing.laws import LAWS, ExtraArgs, Law


def check_transformation(
    tx: Transformation,
    params: Params,
    *,
    extra_args: ExtraArgs = None,
    laws: Iterable[Law] | None = None,
    excused: Collection[str] = (),
) -> None:
    """Check that a transformation keeps the laws, and report all that it breaks.

    Args:
      tx: a transformation, of gradtx or not.
      params: a small tree of parameters that it can work on, such as `sample_params()`.
      extra_args: extra arguments that `update` requires, by name, or a function of the parameters that makes them.
      laws: the laws to check; by default all of `LAWS`.
      excused: names of laws that it need not keep, such as "nan_is_never_hidden" for one that is made to remove NaN.

    Raises:
      ValueError: there is no law of a name in `excused`.
      ExceptionGroup: of one `AssertionError` for each law broken.
    """
    for name in excused:
        if name not in LAWS:
            hint = hints.nearest(name, LAWS, otherwise="gradtx.testing.LAWS has all.")
            raise ValueError(f"check_transformation: there is no law {name!r}; {hint}")
    broken = []
    for law in LAWS.values() if laws is None else laws:
        if law.__name__ in excused:
            continue
        try:
            law(tx, params, extra_args)
        except AssertionError as error:
            broken.append(error)
    if broken:
        raise ExceptionGroup(f"{tx!r} breaks {len(broken)} {'law' if len(broken) == 1 else 'laws'}", broken)
