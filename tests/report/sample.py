"""Two fictional audits in the JSON of `Audit.to_dict`: a digits CNN that was run, a transformer that was not."""

from __future__ import annotations

from typing import Any

VERSIONS = {"python": "3.11.7", "onnx": "1.23.2", "onnxruntime": "1.31.1", "numpy": "2.3.0"}


def metrics(total: int, utilization: float, redundancy: float, gini: float, top90: float) -> dict[str, Any]:
    return {
        "total": total, "sum": 17.25, "entropy": 6.5, "normalized_entropy": 1 - redundancy,
        "effective": total * utilization, "utilization": utilization, "redundancy": redundancy, "gini": gini,
        "sparsity": {"0.01": 0.313, "0.001": 0.041}, "relative_sparsity": {"0.01": 0.172, "0.001": 0.021},
        "coverage": {"0.5": top90 / 4.1, "0.8": top90 / 1.4, "0.9": top90},
    }  # fmt: skip


def layer(
    name: str, kind: str, shape: list[int], macs: Any, activation: str | None, dead: int | None,
    ours: tuple[float, float, float, float], bands: tuple[str, str, str], criterion: str = "activation",
    untrained: tuple[float, float, float, float] | None = (0.741, 0.032, 0.421, 0.553),
) -> dict[str, Any]:  # fmt: skip
    total = 1
    for size in shape:
        total *= size
    neurons = shape[0] if kind == "convolution" else shape[-1]
    counts = [total * share // 100 for share in (31, 22, 14, 10, 7, 5, 4, 3, 2, 1, 1)]
    return {
        "name": name, "kind": kind, "op": "Conv" if kind == "convolution" else "Gemm", "nodes": [f"node_{name}"],
        "uses": 1, "weight": f"{name}.weight", "weight_shape": shape,
        "neuron_axis": 0 if kind == "convolution" else 1, "neurons": neurons, "weights": total, "macs": macs,
        "activation": activation, "dead_neurons": dead,
        "mean_activation": None if dead is None else {"min": 0.0, "mean": 0.41, "max": 2.7, "standard_error": 0.011},
        "non_finite": 0,
        "criteria": {
            criterion: {
                "metrics": metrics(total, *ours),
                "baseline": None if untrained is None else metrics(total, *untrained),
                "bands": {"utilization": bands[0], "gini": bands[1], "redundancy": bands[2]},
                "between_neurons": 2.9, "within_neurons": 3.6,
                "histogram": {"edges": [0.1 * i for i in range(12)], "counts": counts},
                "neuron_importance": [1.5, 1.2, 0.7, 0.2],
            }
        },
    }  # fmt: skip


def _operator(op: str, count: int, macs: Any, flops: Any, moved: Any, verdict: str, reason: str | None) -> dict[str, Any]:
    return {
        "op": op, "count": count, "macs": macs, "flops": flops, "int_ops": 0, "bytes": moved,
        "verdict": verdict, "reason": reason,
    }  # fmt: skip


def _module(path: str, nodes: int, macs: Any, flops: Any, moved: Any) -> dict[str, Any]:
    depth = path.count(".") + 1 if path else 0
    return {"path": path, "depth": depth, "nodes": nodes, "macs": macs, "flops": flops, "bytes": moved}


def _node(name: str, op: str, module: str, macs: Any, flops: Any, moved: Any, out: list[Any]) -> dict[str, Any]:
    return {
        "name": name, "op": op, "module": module, "macs": macs, "flops": flops, "int_ops": 0, "bytes": moved,
        "verdict": "counted", "reason": None, "outputs": [out],
    }  # fmt: skip


def _box(id_: str, label: str, detail: str, kind: str, macs: int = 0, redundancy: float | None = None) -> dict[str, Any]:
    return {
        "id": id_, "label": label, "detail": detail, "count": 1, "macs": macs, "share": macs / 301_632,
        "redundancy": redundancy, "kind": kind,
    }  # fmt: skip


def _digits_graph() -> dict[str, Any]:
    boxes = [
        _box("b0", "x", "input", "input"),
        _box("b1", "conv1", "Conv 16×1×3×3", "convolution", 9_216, 0.05),
        _box("b2", "relu1", "Relu", "activation"),
        _box("b3", "conv2", "Conv 32×16×3×3", "convolution", 294_912 - 16_640, 0.21),
        _box("b4", "relu2", "Relu", "activation"),
        _box("b5", "pool", "MaxPool", "other"),
        _box("b6", "flatten", "Reshape", "other"),
        _box("b7", "fc1", "Gemm 512×32", "dense", 16_384, 0.64),
        _box("b8", "relu3", "Relu", "activation"),
        _box("b9", "fc2", "Gemm 32×10", "dense", 320, 0.09),
        _box("b10", "logits", "output", "output"),
    ]
    shapes = ["1 × 8 × 8", "16 × 8 × 8", "16 × 8 × 8", "32 × 8 × 8", "32 × 8 × 8", "32 × 4 × 4", "512", "32", "32", "10"]
    edges = [
        {"from": f"b{i}", "to": f"b{i + 1}", "label": f"batch × {shape}"} for i, shape in enumerate(shapes)
    ]
    return {"boxes": boxes, "edges": edges, "folded": 0, "left_out": 0}


def _digits_network() -> dict[str, Any]:
    def column(name: str, size: int, left_out: int, dead: tuple[int, ...] = ()) -> dict[str, Any]:
        neurons = [{"index": i, "value": 0.1 * i, "dead": i in dead} for i in range(size)]
        return {"name": name, "neurons": neurons, "left_out": left_out}

    edges = [
        {"layer": 0, "from": i, "to": j, "weight": ((7 * i + 3 * j) % 19 - 9) / 20} for i in range(12) for j in range(12)
    ] + [{"layer": 1, "from": i, "to": j, "weight": ((5 * i + 11 * j) % 23 - 11) / 30} for i in range(12) for j in range(10)]  # fmt: skip
    return {
        "layers": [column("input", 12, 500), column("fc1", 12, 20, (3, 8)), column("fc2", 10, 0)],
        "edges": edges,
        "left_out": 16_440,
        "threshold": 0.1,
    }


def _finding(
    rule: str, severity: str, where: str, evidence: str, action: str, params: int | None, flops: Any, confidence: str
) -> dict[str, Any]:
    return {
        "rule": rule, "severity": severity, "where": where, "evidence": evidence, "action": action,
        "saving": {"params": params, "flops": flops}, "confidence": confidence,
    }  # fmt: skip


def digits() -> dict[str, Any]:
    """Return the audit of a small CNN on 8×8 digits, recorded over 360 images."""
    conv2 = 294_912 - 16_640
    layers = [
        layer("conv1", "convolution", [16, 1, 3, 3], 9_216, "Relu", 1, (0.706, 0.071, 0.447, 0.561), ("efficient", "ordinary", "ordinary")),
        layer("conv2", "convolution", [32, 16, 3, 3], conv2, "Relu", 0, (0.512, 0.079, 0.571, 0.448), ("ordinary", "ordinary", "ordinary")),
        layer("fc1", "dense", [512, 32], 16_384, "Relu", 2, (0.221, 0.156, 0.742, 0.237), ("redundant", "concentrated", "ordinary"), untrained=(0.683, 0.039, 0.472, 0.511)),
        layer("fc2", "dense", [32, 10], 320, None, 0, (0.688, 0.065, 0.466, 0.534), ("ordinary", "ordinary", "ordinary"), untrained=None),
    ]  # fmt: skip
    macs, flops = 9_216 + conv2 + 16_384 + 320, 614_922
    return {
        "schema_version": 1,
        "tool": {"name": "wua_onnx", "version": "0.1.0", "versions": VERSIONS},
        "model": {
            "name": "digits", "file": "digits.onnx", "file_bytes": 88_117, "ir_version": 10, "opsets": {"": 20},
            "producer": "pytorch 2.13.0", "nodes": 9, "checker": None,
            "inputs": [{"name": "x", "dtype": "FLOAT", "shape": ["batch", 1, 8, 8]}],
            "outputs": [{"name": "logits", "dtype": "FLOAT", "shape": ["batch", 10]}],
        },
        "settings": {
            "criterion": ["activation"], "activation": "post", "device": "cpu", "dims": {"batch": 1}, "batch_axis": 0,
            "data": True,
        },
        "cost": {
            "macs": macs, "int_macs": 0, "flops": flops, "int_ops": 0,
            "kinds": {"mul": macs, "add": 306_762, "div": 0, "compare": 3_968, "special": 0},
            "params": 21_570, "weight_bytes": 86_280, "activation_bytes": 22_952, "peak_activation_bytes": 16_384,
            "bytes_moved": 131_200, "bound": "exact", "samples_per_run": 1, "symbols": [], "unsupported": {},
            "by_operator": [
                _operator("Conv", 2, 9_216 + conv2, 578_048, 52_000, "counted", None),
                _operator("Gemm", 2, 16_704, 33_450, 69_000, "counted", None),
                _operator("Relu", 3, 0, 3_104, 24_832, "counted", None),
                _operator("MaxPool", 1, 0, 1_536, 10_240, "counted", None),
                _operator("Reshape", 1, 0, 0, 0, "free", "a view of the same storage"),
            ],
            "by_module": [
                _module("", 9, macs, flops, 131_200),
                _module("conv1", 1, 9_216, 19_456, 4_900),
                _module("conv2", 1, conv2, 558_592, 47_100),
                _module("fc1", 1, 16_384, 32_800, 67_800),
                _module("fc2", 1, 320, 650, 1_200),
            ],
            "by_node": [
                _node("node_conv1", "Conv", "conv1", 9_216, 19_456, 4_900, [1, 16, 8, 8]),
                _node("node_conv2", "Conv", "conv2", conv2, 558_592, 47_100, [1, 32, 8, 8]),
                _node("node_fc1", "Gemm", "fc1", 16_384, 32_800, 67_800, [1, 32]),
                _node("node_fc2", "Gemm", "fc2", 320, 650, 1_200, [1, 10]),
            ],
            "constant": ["node_Shape_3"], "unused": [],
        },
        "recording": {
            "samples": 360, "batches": 6, "batch_size": 64, "device": "cpu", "seconds": 0.12, "error": None,
        },
        "totals": {
            "weights": 21_456, "effective_weights": 6_303.4, "utilization": 0.2938, "compression_potential": 0.7062,
            "average_redundancy": 0.0928, "baseline_utilization": 0.698,
        },
        "coverage": {
            "parameters": 21_570, "analysed": 21_456,
            "declined": [{"name": "fc1.bias", "elements": 32, "reason": "a bias"},
                         {"name": "conv2.bias", "elements": 32, "reason": "a bias"}],
        },
        "layers": layers,
        "findings": [
            _finding("layer-redundancy", "high", "fc1", "utilization 22.1 % (untrained: 68.3 %), gini 0.742",
                     "prune or shrink the layer, then train again", 7_571, 15_142, "not verified"),
            _finding("dead-neurons", "medium", "fc1", "2 of 32 neurons are 0 for all 360 samples", "remove them",
                     1_044, 2_048, "measured"),
            _finding("model-utilization", "low", "model", "utilization 29.4 % (untrained: 69.8 %)",
                     "look at the layers with the lowest utilization first", None, None, "measured"),
        ],
        "diagrams": {"graph": _digits_graph(), "network": _digits_network()},
    }  # fmt: skip


def _times(text: str) -> dict[str, Any]:
    return {"text": text, "terms": []}


def transformer() -> dict[str, Any]:
    """Return the static audit of a transformer: symbolic dimensions, unknown operators, integers beyond 2^53."""
    layers = []
    for block in range(3):
        for name, shape, util in (("attn.qkv", [384, 1152], 0.601), ("mlp.up", [384, 1536], 0.412), ("mlp.down", [1536, 384], 0.287)):
            macs = _times(f"{shape[0] * shape[1]}*batch*seq")
            bands = ("redundant" if util < 0.3 else "ordinary", "ordinary", "ordinary")
            layers.append(layer(f"blocks.{block}.{name}", "dense", shape, macs, "Gelu" if name == "mlp.up" else None, None, (util, 0.11, 0.55, 0.48), bands, "magnitude", (0.753, 0.021, 0.414, 0.571)))  # fmt: skip
    layers[4]["non_finite"], layers[4]["uses"] = 3, 2
    boxes = [
        _box("b0", "tokens", "input", "input"),
        _box("b1", "embed", "Gather 50257×384", "other"),
        {**_box("b2", "blocks.0 … blocks.11", "block of 37 nodes", "dense"), "count": 12, "share": None, "macs": None},
        _box("b3", "head", "MatMul 384×50257", "dense"),
        _box("b4", "logits", "output", "output"),
    ]
    edges = [{"from": f"b{i}", "to": f"b{i + 1}", "label": "batch × seq × 384"} for i in range(4)]
    total = "21233664*batch*seq + 9216*batch*seq**2"
    return {
        "schema_version": 1,
        "tool": {"name": "wua_onnx", "version": "0.1.0", "versions": VERSIONS},
        "model": {
            "name": "tiny-gpt", "file": None, "file_bytes": None, "ir_version": 10, "opsets": {"": 21, "com.acme": 1},
            "producer": "pytorch 2.13.0", "nodes": 452,
            "checker": "No Op registered for FlashThing with domain_version of 1",
            "inputs": [{"name": "tokens", "dtype": "INT64", "shape": ["batch", "seq"]}],
            "outputs": [{"name": "logits", "dtype": "FLOAT", "shape": ["batch", "seq", 50_257]}],
        },
        "settings": {
            "criterion": ["magnitude"], "activation": "post", "device": "cpu", "dims": {}, "batch_axis": 0, "data": False,
        },
        "cost": {
            "macs": _times(total), "int_macs": 0, "flops": _times("42467328*batch*seq + 18432*batch*seq**2 + 5391*batch*seq"),
            "int_ops": "18014398509481985",
            "kinds": {"mul": _times(total), "add": _times(total), "div": _times("12*batch*seq"), "compare": 0, "special": None},
            "params": 40_611_072, "weight_bytes": 162_444_288, "activation_bytes": _times("94208*batch*seq"),
            "peak_activation_bytes": None, "bytes_moved": None, "bound": "lower", "samples_per_run": None,
            "symbols": ["batch", "seq"], "unsupported": {"com.acme::FlashThing": 12, "com.acme::Rope": 1},
            "by_operator": [
                _operator("MatMul", 49, _times(total), _times("2*" + total), None, "counted", None),
                _operator("TopK", 1, 0, _times("50257*batch*ceiling(log(50257))"), None, "estimate", "n·⌈log₂ n⌉ comparisons"),
                _operator("com.acme::FlashThing", 12, None, None, None, "unknown", "no rule for this operator"),
                _operator("Reshape", 48, 0, 0, 0, "free", "a view of the same storage"),
            ],
            "by_module": [_module("blocks", 444, _times(total), None, None), _module("blocks.0", 37, None, None, None)],
            "by_node": [_node("node_MatMul_7", "MatMul", "blocks.0.mlp", _times("589824*batch*seq"), None, None, ["batch", "seq", 1536])],
            "constant": [], "unused": ["node_dropped"],
        },
        "recording": {
            "samples": 0, "batches": 0, "batch_size": None, "device": "cpu", "seconds": None,
            "error": "onnxruntime knows no operator com.acme::FlashThing",
        },
        "totals": {
            "weights": 4_866_048, "effective_weights": 2_078_000.0, "utilization": 0.427, "compression_potential": 0.573,
            "average_redundancy": 0.11, "baseline_utilization": None,
        },
        "coverage": {
            "parameters": 40_611_072, "analysed": 4_866_048,
            "declined": [{"name": "embed.weight", "elements": 19_298_688, "reason": "read by Gather only"}],
        },
        "layers": layers,
        "findings": [],
        "diagrams": {"graph": {"boxes": boxes, "edges": edges, "folded": 448, "left_out": 2}, "network": None},
    }  # fmt: skip


HOSTILE = (
    "<script>alert(1)</script>",
    '"&onload=alert(1) x="',
    "'};alert(1)//",
    "safe\u202egnp.exe\u202c",
    "nul\x00esc\x1b[31mred\nnew\tline\x7f",
    "[red]markup[/red] | pipe `tick` *star* [link](javascript:alert(1))",
    "dot\\N\\G\\l\"];evil[label=<b>x</b>",
    "{{ 7*7 }}{% raw %}",
    "lone\ud800surrogate\ufeff\u200b",
    "x" * 10_240,
)  # fmt: skip


def hostile() -> dict[str, Any]:
    """Return the digits audit with every string of the model replaced by a hostile one."""
    state = [0]

    def poison(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            fixed = key in ("criteria", "metrics", "baseline", "sparsity", "relative_sparsity", "coverage", "kinds")
            if key in ("opsets", "unsupported", "dims", "versions"):
                return {HOSTILE[i % len(HOSTILE)]: v for i, v in enumerate(value.values())} or {HOSTILE[0]: 1}
            return {k: poison(v, key if fixed and isinstance(v, int | float) else k) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(item, key) for item in value]
        if isinstance(value, str) and key not in _ENUMS:
            state[0] += 1
            return HOSTILE[state[0] % len(HOSTILE)]
        return value

    poisoned = poison(digits(), "")
    assert isinstance(poisoned, dict)
    return poisoned


_ENUMS = frozenset(
    {"severity", "kind", "verdict", "confidence", "utilization", "gini", "redundancy", "bound", "id", "from", "to"}
)  # fmt: skip
