"""Losses: functions of predictions and targets, one number for each example.

What all of them keep to:

- They compute in float32 at least, and return the dtype to which predictions and targets promote. (A loss of float16 above
  65504 is inf, with the right gradient; for a loss of float32, cast the predictions.)
- Predictions are floats. Targets have their shape, or, where it says so, one that broadcasts to it; predictions never grow.
- What is masked by `where` may be NaN: neither the loss nor its gradient sees it. Of nothing, a loss is 0.
- Logits may be as large as floats are, and probabilities 0: gradients and second derivatives are finite.
- A loss that is at least 0 by its definition is so in floating point, too, for equal and nearly equal arguments.
"""

from gradtx.losses.binary import hinge_loss as hinge_loss
from gradtx.losses.binary import perceptron_loss as perceptron_loss
from gradtx.losses.binary import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from gradtx.losses.binary import sigmoid_focal_loss as sigmoid_focal_loss
from gradtx.losses.binary import sparsemax_loss as sparsemax_loss
from gradtx.losses.classification import poly_loss_cross_entropy as poly_loss_cross_entropy
from gradtx.losses.classification import safe_softmax_cross_entropy as safe_softmax_cross_entropy
from gradtx.losses.classification import smooth_labels as smooth_labels
from gradtx.losses.classification import softmax_cross_entropy as softmax_cross_entropy
from gradtx.losses.classification import softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels
from gradtx.losses.contrastive import ntxent as ntxent
from gradtx.losses.contrastive import triplet_margin_loss as triplet_margin_loss
from gradtx.losses.ctc import ctc_loss as ctc_loss
from gradtx.losses.ctc import ctc_loss_with_forward_probs as ctc_loss_with_forward_probs
from gradtx.losses.divergence import convex_kl_divergence as convex_kl_divergence
from gradtx.losses.divergence import generalized_kl_divergence as generalized_kl_divergence
from gradtx.losses.divergence import kl_divergence as kl_divergence
from gradtx.losses.divergence import kl_divergence_with_log_targets as kl_divergence_with_log_targets
from gradtx.losses.fenchel_young import make_fenchel_young_loss as make_fenchel_young_loss
from gradtx.losses.margin import multiclass_hinge_loss as multiclass_hinge_loss
from gradtx.losses.margin import multiclass_perceptron_loss as multiclass_perceptron_loss
from gradtx.losses.margin import multiclass_sparsemax_loss as multiclass_sparsemax_loss
from gradtx.losses.ranking import ranking_softmax_loss as ranking_softmax_loss
from gradtx.losses.regression import huber_loss as huber_loss
from gradtx.losses.regression import l2_loss as l2_loss
from gradtx.losses.regression import log_cosh as log_cosh
from gradtx.losses.regression import squared_error as squared_error
from gradtx.losses.segmentation import binary_dice_loss as binary_dice_loss
from gradtx.losses.segmentation import dice_loss as dice_loss
from gradtx.losses.segmentation import multiclass_generalized_dice_loss as multiclass_generalized_dice_loss
from gradtx.losses.similarity import cosine_distance as cosine_distance
from gradtx.losses.similarity import cosine_similarity as cosine_similarity
