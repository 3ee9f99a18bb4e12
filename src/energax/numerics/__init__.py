"""Ground floor: arithmetic without opinions."""

from .random import (
    chain_keys as chain_keys,
    standard_normal as standard_normal,
    step_key as step_key,
    uniform as uniform,
)
from .tree import (
    add_scaled as add_scaled,
    all_finite as all_finite,
    dot as dot,
    global_norm as global_norm,
    normal_like as normal_like,
    squared_norm as squared_norm,
    where as where,
)
