"""Trees: arithmetic, trees like another, holes, and `lift`, which carries a rule from arrays to trees."""

from gradtx.tree.holes import MaskedNode as MaskedNode
from gradtx.tree.holes import is_hole as is_hole
from gradtx.tree.lift import lift as lift
from gradtx.tree.like import check_moment_dtype as check_moment_dtype
from gradtx.tree.like import full_like as full_like
from gradtx.tree.like import moment_like as moment_like
from gradtx.tree.like import ones_like as ones_like
from gradtx.tree.like import zeros_like as zeros_like
