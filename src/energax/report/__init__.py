"""Numbers to figures to one self-contained page a run."""

from .gather import RunFolder as RunFolder
from .gather import gather as gather
from .page import write_report as write_report
from .judgement import Verdict as Verdict
from .verdict import overall as overall
from .verdict import verdicts as verdicts
