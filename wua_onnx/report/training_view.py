"""The training part of a report: forward, backward and optimizer, energy and carbon with every constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.columns import Cell, Column
from wua_onnx.report.method import Fact
from wua_onnx.report.rows import NOTHING
from wua_onnx.report.training import CONSTANTS, si
from wua_onnx.report.verdict import bound_of

Json = Mapping[str, Any]

FACTOR = 2  # the rule of thumb: backward costs twice forward
FORMULA = (
    "A training costs samples × epochs × (forward + backward), and with an optimizer "
    "steps × trainable parameters × its operations."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRow:
    """Operations of one part of a training."""

    name: str
    flops: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRow:
    """An estimate of the energy of one sample."""

    name: str
    joules: str
    kwh: str
    carbon: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingView:
    """The section: `per` says what the figures are of; without numbers there is no energy, and a reason."""

    per: str
    formula: str
    work: tuple[WorkRow, ...]
    energy: tuple[EnergyRow, ...]
    no_energy: str
    constants: tuple[Fact, ...]


def training_view(audit: Json) -> TrainingView | None:
    """Return the section of an audit; None where its JSON was written without estimates."""
    cost, found = audit["cost"], audit.get("estimates")
    if found is None:
        return None
    energies = found["energy"] or {}
    used = {name for part in energies.values() for name in part["constants"]}
    free = ", ".join(visible(symbol, 30) for symbol in cost["symbols"])
    return TrainingView(
        per=visible(found["per"]),
        formula=FORMULA,
        work=tuple(_work(cost, found)),
        energy=tuple(_energy_row(_ENERGIES[name], part) for name, part in energies.items() if name in _ENERGIES),
        no_energy="" if energies else f"No energy is estimated while dimensions are free: {free or n.NOT_KNOWN}",
        constants=tuple(_constant(name, part) for name, part in found["constants"].items() if name in used),
    )


_ENERGIES = {"inference": "inference", "training": "forward and backward"}


def _work(cost: Json, found: Json) -> list[WorkRow]:
    """Return forward and backward, the factor between them, and one step of each optimizer."""
    sign, forward, backward = bound_of(cost).sign, found["forward"], found["backward"]
    share = n.ratio(backward, forward)
    compared = f"counted per operator: {share:.3g} × forward" if share is not None else "counted per operator"
    rows = [
        WorkRow(name="forward", flops=_flops(forward, sign), note=f"of one {visible(found['per'])}"),
        WorkRow(name="backward", flops=_flops(backward, sign), note=f"{compared} (rule of thumb: {FACTOR} ×)"),
    ]
    trainable = n.number(cost.get("trainable"))
    if trainable is not None:
        counts = f"{n.amount(trainable)} trainable parameters"
        for name, each in found["optimizers"].items():
            note = f"{n.count(each)} FLOPs × {counts}"
            rows.append(
                WorkRow(
                    name=f"one step of {_OPTIMIZERS.get(name, visible(name))}",
                    flops=_flops(int(trainable * each), ""),
                    note=note,
                )
            )
    return rows


_OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}


def _flops(value: n.Number, sign: str) -> str:
    text = n.short(value, "FLOPs")
    return text if text == n.NOT_KNOWN else sign + text


def _energy_row(name: str, part: Json) -> EnergyRow:
    return EnergyRow(
        name=name, joules=si(part["joules"], "J"), kwh=f"{part['kwh']:.3g}", carbon=si(part["grams_co2"], "g")
    )


def _constant(name: str, part: Json) -> Fact:
    unit, scale = CONSTANTS.get(name, (visible(name), 1))
    return Fact(label=f"{part['value'] * scale:.4g} {unit}", value=visible(part["source"], 200))


def _text(title: str, name: str, *, right: bool = True) -> Column:
    return Column(title=title, cell=lambda row: Cell(text=getattr(row, name) or NOTHING), right=right)


WORK = (_text("part", "name", right=False), _text("FLOPs", "flops"), _text("how", "note", right=False))
ENERGY = (
    _text("estimate", "name", right=False), _text("energy", "joules"), _text("kWh", "kwh"), _text("CO₂", "carbon"),
)  # fmt: skip
