"""What the compiler does meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring

COMPILED = "backend_compile_duration"
LOWERED = "jaxpr_to_mlir_module_duration"


@contextmanager
def compiler_events(ending: str) -> Iterator[list[str]]:
    """Gather JAX's events whose name ends like this: one for each function that is `COMPILED`, or `LOWERED`."""
    events: list[str] = []
    listening = True

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if listening and event.endswith(ending):
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        listening = False
        if hasattr(jax.monitoring, "unregister_event_duration_listener"):  # since JAX 0.8.1
            jax.monitoring.unregister_event_duration_listener(listen)
