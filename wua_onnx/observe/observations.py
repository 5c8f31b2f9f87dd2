"""What one run showed of a model: how often every graph and node ran, and on which shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Shape: TypeAlias = "tuple[int, ...] | None"
Signature: TypeAlias = "tuple[tuple[Shape, ...], tuple[Shape, ...]]"


@dataclass(frozen=True, kw_only=True)
class Observations:
    """A run of a model, an input of its count.

    Nodes are numbered as `Model.all_nodes` yields them: each before the nodes of the graphs inside it.

    Attributes:
        samples: how many samples went into the run.
        graphs: how often each graph inside a node ran, by the node's number and the attribute that holds the graph:
            the trips of a Loop, the branch that an If took. Over all runs of the node.
        nodes: for each node, how often it ran on which shapes: of its inputs and of its outputs, None for one that
            is left out or is no tensor. Empty for a node that never ran or that onnxruntime does not run as it stands.
    """

    samples: int
    graphs: Mapping[tuple[int, str], int]
    nodes: tuple[Mapping[Signature, int], ...]
