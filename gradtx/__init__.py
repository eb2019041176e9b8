"""gradtx: composable gradient transformations for JAX."""

from gradtx.core import EmptyState as EmptyState
from gradtx.core import GradientTransformation as GradientTransformation
from gradtx.core import GradientTransformationExtraArgs as GradientTransformationExtraArgs
from gradtx.core import chain as chain
from gradtx.transforms.adam import ScaleByAdamState as ScaleByAdamState
from gradtx.transforms.adam import scale_by_adam as scale_by_adam
from gradtx.transforms.scale import scale as scale
from gradtx.transforms.scale import scale_by_learning_rate as scale_by_learning_rate
from gradtx.transforms.scale import scale_by_schedule as scale_by_schedule
from gradtx.update import apply_updates as apply_updates

__version__ = "0.1.0"
