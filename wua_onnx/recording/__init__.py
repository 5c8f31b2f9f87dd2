"""Recording: what the neurons do on data, a few numbers per neuron, never whole activations.

Reductions placed in the graph by `instrument` return, for every neuron, its mean absolute activation over each
sample's positions; `Recorder` adds them up across batches in float64.
"""

from wua_onnx.recording.instrument import Instrumented, instrument
from wua_onnx.recording.recorder import Recorder
from wua_onnx.recording.result import Recording
from wua_onnx.recording.statistics import NeuronStatistics

__all__ = ["Instrumented", "NeuronStatistics", "Recorder", "Recording", "instrument"]
