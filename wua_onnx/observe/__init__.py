"""What a run shows that the graph alone does not: trips, branches and shapes that depend on data; and times.

Trips, branches and shapes are an input of the count (`observe`). A profile (`time_nodes`) is measured in wall-clock
time on one machine; nothing of it enters the exact count.
"""

from wua_onnx.observe.feeds import random_feeds
from wua_onnx.observe.observations import Observations
from wua_onnx.observe.profile import Absent, Profile, Unattributed
from wua_onnx.observe.run import observe
from wua_onnx.observe.timing import time_nodes
from wua_onnx.observe.work import OperatorTime, Timed

__all__ = [
    "Absent",
    "Observations",
    "OperatorTime",
    "Profile",
    "Timed",
    "Unattributed",
    "observe",
    "random_feeds",
    "time_nodes",
]
