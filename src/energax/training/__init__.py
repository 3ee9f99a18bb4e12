"""Pure training: whose turn it is, one guarded step, and the state that a run is."""

from .damping import DampingState as DampingState, brake as brake, damping as damping
from .ema import averaged as averaged
from .guard import Culprit as Culprit
from .players import split as split, whole as whole
from .prepare import Dequantise as Dequantise, keep as keep
from .state import TrainState as TrainState
from .trainer import (
    Phase as Phase,
    Trainer as Trainer,
    explain as explain,
    run_steps as run_steps,
    scan_steps as scan_steps,
)
