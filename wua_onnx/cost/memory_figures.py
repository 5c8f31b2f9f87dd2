"""The figures of what a model keeps in memory: weights, activations, caches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from wua_onnx.cost.figures import Figure
from wua_onnx.cost.lifetimes import Lifetime
from wua_onnx.cost.peaks import alive_at_peak
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, symbols, to_sympy


@dataclass(frozen=True, kw_only=True)
class MemoryFigures:
    """What a model keeps in memory: Python integers when every dimension is bound, else SymPy expressions.

    Attributes:
        weight_bytes_by_dtype: bytes of the parameters, by ONNX's name of the element type; types below a byte are
            packed.
        shared_parameters: how many nodes read each of those that more than one does; they are counted once.
        activations, peak: bytes of all activations, and of those alive at once at most (as dimensions).
        lifetimes: the activations, with the nodes they are alive at; not in JSON.
        unsized: names of activations whose size is not known; bytes and memory leave them out.
        kv_cache: see `kv_cache_bytes_per_token` (as a dimension).
    """

    weight_bytes_by_dtype: Mapping[str, int]
    activations: Dim
    peak: Dim
    shared_parameters: Mapping[str, int] = field(default_factory=dict)
    lifetimes: tuple[Lifetime, ...] | None = field(default=(), repr=False, compare=False)
    unsized: tuple[str, ...] = ()
    kv_cache: Dim | None = None

    @property
    def weight_bytes(self) -> int:
        """Bytes of the parameters, each counted once."""
        return sum(self.weight_bytes_by_dtype.values())

    @property
    def activation_bytes(self) -> Figure:
        """Bytes of every activation, each counted once."""
        return to_sympy(self.activations)

    @property
    def peak_activation_bytes(self) -> Figure:
        """The most bytes of activations alive at once (convention 14)."""
        return to_sympy(self.peak)

    @cached_property
    def alive_at_peak(self) -> tuple[tuple[str, int], ...]:
        """The name and the bytes of every activation that is alive when the most bytes are, the largest first.

        Raises:
            ShapeError: dimensions are still free, or were when the report was written as JSON.
        """
        found = alive_at_peak(self.lifetimes or ())
        sizes = tuple((life.name, life.size) for life in found if isinstance(life.size, int))
        if self.lifetimes is None or len(sizes) < len(found) or not isinstance(self.peak, int):
            free = sorted(symbols(self.peak).union(*(symbols(life.size) for life in found)))
            raise ShapeError(f"alive_at_peak: expected every dimension bound, got free ones: {', '.join(free)}")
        return sizes

    @property
    def kv_cache_bytes_per_token(self) -> Figure | None:
        """Bytes that one token of one sequence takes in all key-value caches; None where the model keeps none."""
        return None if self.kv_cache is None else to_sympy(self.kv_cache)
