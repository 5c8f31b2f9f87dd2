"""What a run shows that the graph alone does not: times, kept apart from what is counted.

A profile is measured in wall-clock time on one machine; nothing of it enters the exact count.
"""

from wua_onnx.observe.feeds import random_feeds
from wua_onnx.observe.profile import Absent, Profile, Unattributed
from wua_onnx.observe.timing import time_nodes
from wua_onnx.observe.work import OperatorTime, Timed

__all__ = ["Absent", "OperatorTime", "Profile", "Timed", "Unattributed", "random_feeds", "time_nodes"]
