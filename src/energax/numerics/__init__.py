"""Ground floor: arithmetic without opinions."""

from .logspace import (
    HEAVY_TAIL as HEAVY_TAIL,
    LogMean as LogMean,
    effective_sample_size as effective_sample_size,
    log_mean_exp as log_mean_exp,
    log_mean_exp_error as log_mean_exp_error,
    tail_index as tail_index,
)
from .microbatch import mean_in_chunks as mean_in_chunks
from .random import (
    categorical as categorical,
    chain_keys as chain_keys,
    invert as invert,
    plain_key as plain_key,
    standard_normal as standard_normal,
    step_key as step_key,
    uniform as uniform,
    uniforms as uniforms,
)
from .resampling import (
    multinomial as multinomial,
    offspring as offspring,
    residual as residual,
    stratified as stratified,
    systematic as systematic,
)
from .schedules import geometric as geometric, linear as linear, power as power, sigmoid as sigmoid
from .tree import (
    add_scaled as add_scaled,
    all_finite as all_finite,
    dot as dot,
    global_norm as global_norm,
    normal_like as normal_like,
    per_leaf as per_leaf,
    scaled as scaled,
    squared_norm as squared_norm,
    where as where,
    where_rows as where_rows,
)
