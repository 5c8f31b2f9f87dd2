"""What training costs (convention 13): forward, the backward of each operator, the optimizer; samples and epochs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Unpack

from wua_onnx.cost.energy import Constants, Energy, energy
from wua_onnx.cost.value import Cost
from wua_onnx.errors import DataError, ShapeError

if TYPE_CHECKING:
    from wua_onnx.cost.report import CostReport

# Operations for one trainable element and one step; rate r and gradient g.
OPTIMIZERS: dict[str, Cost] = {
    "sgd": Cost(mul=1, add=1),  # p −= r·g
    "momentum": Cost(mul=2, add=2),  # v = a·v + g; p −= r·v
    # Kingma and Ba, https://arxiv.org/abs/1412.6980, Algorithm 1, the bias corrections inside the rate of the step:
    # m = b₁·m + (1 − b₁)·g; v = b₂·v + (1 − b₂)·g·g; p −= r·m / (√v + ε)
    "adam": Cost(mul=6, add=4, div=1, special=1),
}
# Values an optimizer reads and writes for one element and step: g, p and its moments read, p and its moments written.
_TOUCHED = {"sgd": 3, "momentum": 5, "adam": 7}
_BYTES = 4  # of a trained value and its moments, in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """Floating-point operations of a training.

    Attributes:
        forward, backward: of all samples and epochs.
        optimizer: of all steps; 0 where no optimizer is named.
        trainable: the elements it changes.
        samples, epochs: how many.
        steps: how often the optimizer runs; None where no optimizer is named.
        bytes_moved: an estimate: backward moves twice the bytes of forward, for it reads what forward read and the
            gradients of the outputs, and writes those of the inputs; the optimizer moves float32.
        convention: how the backward part was come by, in words.
    """

    forward: int
    backward: int
    optimizer: int = 0
    trainable: int = 0
    samples: int
    epochs: int
    steps: int | None = None
    bytes_moved: int = 0
    convention: str

    @property
    def flops(self) -> int:
        """Forward, backward and optimizer together."""
        return self.forward + self.backward + self.optimizer

    def energy(self, **constants: Unpack[Constants]) -> Energy:
        """Return an estimate of the energy and the carbon of this training.

        Args:
            constants: those of `wua_onnx.cost.energy.energy`, instead of its defaults; or `watts` and `seconds`, as
                they were measured.

        Raises:
            DataError: a constant is negative or no number, or only one of `watts` and `seconds` is given.
            TypeError: there is no such constant.
        """
        return energy(self.flops, self.bytes_moved, **constants)


def training_of(
    report: CostReport,
    *,
    samples: int,
    epochs: int,
    factor: float | None,
    optimizer: str | None,
    batch_size: int | None,
) -> TrainingCost:
    """Return what a training of the counted model costs; see `CostReport.training`."""
    report = report.per_sample()
    if report.symbols:
        raise ShapeError(f"training: expected every dimension bound, got free ones: {', '.join(report.symbols)}")
    _check(samples=samples, epochs=epochs, factor=factor, batch_size=batch_size)
    times = Fraction(samples * epochs, report.samples_per_run or 1)
    forward = _whole(report.cost)
    if factor is None:
        back, convention = _whole(report.backward), "counted per operator"
    else:
        back, convention = round(forward * Fraction(factor)), f"{factor:g} × forward"
    moved = report.moved
    assert isinstance(moved, int)
    steps = None if optimizer is None else _steps(report, samples, epochs, optimizer, batch_size)
    touched = 0 if optimizer is None else _TOUCHED[optimizer] * _BYTES
    updates = (steps or 0) * report.trainable
    return TrainingCost(
        forward=round(forward * times),
        backward=round(back * times),
        optimizer=0 if optimizer is None else updates * _whole(OPTIMIZERS[optimizer]),
        trainable=report.trainable,
        samples=samples,
        epochs=epochs,
        steps=steps,
        bytes_moved=round(3 * moved * times) + updates * touched,
        convention=convention,
    )


def _whole(cost: Cost) -> int:
    flops = cost.flops
    assert isinstance(flops, int)
    return flops


def _steps(report: CostReport, samples: int, epochs: int, optimizer: str, batch_size: int | None) -> int:
    """Return how often the optimizer runs: once a batch, the last one of an epoch perhaps smaller."""
    if optimizer not in OPTIMIZERS:
        raise DataError(f"training: optimizer: expected one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    size = batch_size if batch_size is not None else report.samples_per_run
    if batch_size is None and (size or 1) == 1:
        raise DataError("training: batch_size: expected the samples of a step, since an optimizer is named, got none")
    return epochs * -(-samples // (size or 1))


def _check(*, samples: int, epochs: int, factor: float | None, batch_size: int | None) -> None:
    for name, value, least in (("samples", samples, 0), ("epochs", epochs, 0), ("batch_size", batch_size, 1)):
        if value is not None and value < least:
            raise DataError(f"training: {name}: expected at least {least}, got {value}")
    if factor is not None and not 0 <= factor < float("inf"):
        raise DataError(f"training: factor: expected a number >= 0, got {factor}")
