"""Energy and carbon: an estimate from operations and bytes, or from measured power and time.

No constant fits every machine, so each can be set, and each stands in `Energy.assumptions` beside the result.

The defaults charge the board power of one data-centre GPU, NVIDIA A100 SXM 40 GB, to its rated speeds (its data sheet:
400 W; 19.5 Tflop/s in float32; 624 Tops in int8; 1,555 GB/s of memory). Operations and bytes are charged apart, as
if never at the same time; a real run overlaps them, which costs less, and leaves units idle, which costs more. What
surrounds the board (host, cooling, making it) is not counted. On the other end, the arithmetic alone: Horowitz,
"Computing's energy problem (and what we can do about it)", ISSCC 2014, gives 0.9 pJ for a float32 addition and
3.7 pJ for a multiplication at 45 nm: `joules_per_flop=2.3e-12`, for a circuit without instructions or memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

from wua_onnx.errors import DataError, ShapeError

if TYPE_CHECKING:
    from wua_onnx.cost.report import CostReport

_BOARD_WATTS = 400
JOULES_PER_FLOP = _BOARD_WATTS / 19.5e12
JOULES_PER_INT_OP = _BOARD_WATTS / 624e12
JOULES_PER_BYTE = _BOARD_WATTS / 1.555e12
GRAMS_PER_KWH = (
    445.0  # world average of 2024: IEA, Electricity 2025, https://www.iea.org/reports/electricity-2025/emissions
)
JOULES_PER_KWH = 3.6e6

SOURCES: Mapping[str, tuple[float, str]] = MappingProxyType(
    {
        "joules_per_flop": (JOULES_PER_FLOP, "NVIDIA A100, 400 W at 19.5 Tflop/s in float32"),
        "joules_per_byte": (JOULES_PER_BYTE, "NVIDIA A100, 400 W at 1,555 GB/s"),
        "joules_per_int_op": (JOULES_PER_INT_OP, "NVIDIA A100, 400 W at 624 Tops in int8"),
        "grams_per_kwh": (GRAMS_PER_KWH, "world average of 2024, IEA, Electricity 2025"),
    }
)


class Constants(TypedDict, total=False):
    """The constants that `energy` takes."""

    joules_per_flop: float
    joules_per_byte: float
    joules_per_int_op: float
    grams_per_kwh: float
    watts: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy and carbon.

    Attributes:
        joules, kwh: the energy.
        grams_co2: of the electricity.
        assumptions: every constant that was used, by its name as an argument of `energy`.
        label: "estimate", or "from measured power and time".
    """

    joules: float
    kwh: float
    grams_co2: float
    assumptions: Mapping[str, float]
    label: str = "estimate"

    @property
    def sources(self) -> Mapping[str, str]:
        """Where each constant is from; "given" where it is not the default."""
        defaults = {name: SOURCES.get(name, (None, "")) for name in self.assumptions}
        return {n: source if self.assumptions[n] == value else "given" for n, (value, source) in defaults.items()}


def energy(
    flops: int = 0,
    bytes_moved: int = 0,
    int_ops: int = 0,
    *,
    joules_per_flop: float = JOULES_PER_FLOP,
    joules_per_byte: float = JOULES_PER_BYTE,
    joules_per_int_op: float = JOULES_PER_INT_OP,
    grams_per_kwh: float = GRAMS_PER_KWH,
    watts: float | None = None,
    seconds: float | None = None,
) -> Energy:
    """Return `flops·joules_per_flop + bytes_moved·joules_per_byte + int_ops·joules_per_int_op`, and its carbon.

    Args:
        flops: floating-point operations.
        bytes_moved: bytes read and written.
        int_ops: integer operations.
        joules_per_flop: J; see the module for this and the next two defaults.
        joules_per_byte: J.
        joules_per_int_op: J.
        grams_per_kwh: g CO₂ of a kilowatt-hour of electricity.
        watts: measured mean power; with `seconds` it replaces what the work would give.
        seconds: measured time.

    Raises:
        DataError: a number is negative, not finite or no number, or only one of `watts` and `seconds` is given.
    """
    if (watts is None) != (seconds is None):
        raise DataError(f"energy: expected watts and seconds together, got watts={watts} and seconds={seconds}")
    if watts is not None and seconds is not None:
        used = {"watts": watts, "seconds": seconds, "grams_per_kwh": grams_per_kwh}
        _check(used)
        return _energy(watts * seconds, used, "from measured power and time")
    used = {"joules_per_flop": joules_per_flop, "joules_per_byte": joules_per_byte}
    used |= {"joules_per_int_op": joules_per_int_op} if int_ops else {}
    used |= {"grams_per_kwh": grams_per_kwh}
    _check({**used, "flops": flops, "bytes_moved": bytes_moved, "int_ops": int_ops})
    joules = flops * joules_per_flop + bytes_moved * joules_per_byte + int_ops * joules_per_int_op
    return _energy(joules, used, "estimate")


def energy_of(report: CostReport, samples: int, constants: Constants) -> Energy:
    """Return the energy of `samples` through the model of `report`; see `CostReport.energy`.

    Raises:
        ShapeError: dimensions other than the batch are still free.
        DataError, TypeError: as `energy`.
    """
    one = report.per_sample()
    if one.symbols:
        raise ShapeError(f"energy: expected every dimension bound, got free ones: {', '.join(one.symbols)}")
    times = Fraction(samples, one.samples_per_run or 1)
    work = (one.cost.flops, one.moved, one.cost.int_ops)
    return energy(*(round(dim * times) for dim in work if isinstance(dim, int)), **constants)


def _energy(joules: float, used: Mapping[str, float], label: str) -> Energy:
    kwh = joules / JOULES_PER_KWH
    return Energy(
        joules=joules,
        kwh=kwh,
        grams_co2=kwh * used["grams_per_kwh"],
        assumptions=MappingProxyType(dict(used)),
        label=label,
    )


def _check(numbers: Mapping[str, float]) -> None:
    for name, value in numbers.items():
        if not (value >= 0 and (isinstance(value, int) or math.isfinite(value))):
            raise DataError(f"energy: {name}: expected a finite number >= 0, got {value}")
