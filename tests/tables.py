"""Tables of cases that one test checks: where a case takes a millisecond, a test of its own takes longer than the case."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any


def table(argument: str, cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As `pytest.mark.parametrize` of one argument, but in one test, which reports every case that fails."""
    cases = list(cases)

    def of(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def over_all(**fixtures: Any) -> None:
            failures = []
            for case in cases:
                try:
                    test(**{argument: case}, **fixtures)
                except Exception as error:
                    error.add_note(f"{argument} = {case!r}")
                    failures.append(error)
            if failures:
                raise ExceptionGroup(f"{len(failures)} of {len(cases)} cases fail", failures)

        signature = inspect.signature(test)
        fixtures = [parameter for name, parameter in signature.parameters.items() if name != argument]
        over_all.__signature__ = signature.replace(parameters=fixtures)  # pyright: ignore[reportAttributeAccessIssue]
        assert cases, f"{test.__name__} has no cases"
        return over_all

    return of
