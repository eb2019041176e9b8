"""Put updates and parameters together."""

from gradtx import tree
from gradtx.core import Params, Updates


@tree.lift
def _apply_updates(u, p):
    return u, p + u


def apply_updates(params: Params, updates: Updates) -> Params:
    """Return `params + updates`, each leaf in the dtype of the parameter, added in float32 or wider.

    Where an update is a hole, the parameter stays as it is.
    """
    return _apply_updates(updates, params)[1]
