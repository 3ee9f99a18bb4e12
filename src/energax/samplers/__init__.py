"""One transition of one chain a file; `chains` is the only runner."""

from .chains import (
    Draws as Draws,
    advance as advance,
    init_chains as init_chains,
    num_chains as num_chains,
    sample as sample,
    step_keys as step_keys,
)
from .mala import MALA as MALA, MALAInfo as MALAInfo, MALAState as MALAState
from .replay import ReplayBuffer as ReplayBuffer, Restarted as Restarted, finite_rows as finite_rows
from .ula import ULA as ULA, ULAInfo as ULAInfo, ULAState as ULAState
