"""The program of docs/tutorial.md, cell by cell. It leaves its files in the working directory.

Run it as it is (`python docs/tutorial.py`), or as cells in an editor that knows `# %%`. `docs/weave.py` runs it to
fill the page with what it printed.
"""

# %% setup
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

import wua_onnx as wua

torch.set_num_threads(1)  # sums in one order: the same numbers each time
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "wua"})  # small, and the same file each time
Path("images").mkdir(exist_ok=True)

# %% problem
Array = NDArray[np.float64]


def problem(samples: int, seed: int) -> tuple[Array, Array]:
    """Return points of the unit square, shape (samples, 2), and 1 where x0 + x1 > 1, else 0."""
    X = np.random.default_rng(seed).random((samples, 2))
    return X, (X.sum(axis=1) > 1).astype(np.float64)


X_train, y_train = problem(1_000, seed=1)
X_test, y_test = problem(10_000, seed=2)


# %% network
class Network(torch.nn.Module):
    """A 2-`hidden`-1 network, untrained."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(2, hidden)
        self.output = torch.nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probability that x0 + x1 > 1, shape (samples, 1), for x of shape (samples, 2)."""
        return torch.sigmoid(self.output(torch.relu(self.hidden(x))))


# %% training
STEPS = 200


def train(hidden: int, seed: int = 0) -> Network:
    """Return a trained 2-`hidden`-1 network."""
    torch.manual_seed(seed)
    net = Network(hidden).double()  # in float64, so that the rounding of another processor does not show
    X, y = torch.tensor(X_train), torch.tensor(y_train)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy(net(X)[:, 0], y)
        loss.backward()  # type: ignore[no-untyped-call] # PyTorch leaves it untyped
        optimizer.step()
    return net.float()


def accuracy(net: torch.nn.Module) -> float:
    """Return the share of the test points that `net` puts on the right side."""
    with torch.no_grad():
        guess = net(torch.tensor(X_test, dtype=torch.float32))[:, 0].numpy() > 0.5
    return float(np.mean(guess == (y_test == 1)))


# %% train
big, small = train(10), train(7)
for name, net in (("2-10-1", big), ("2-7-1", small)):
    print(f"{name:6}  accuracy {100 * accuracy(net):.2f} %")

# %% convert
X = X_test.astype(np.float32)
wua.convert(big, "2-10-1.onnx", X)
wua.convert(small, "2-7-1.onnx", X)

# %% cost
for hidden in (10, 7):
    report = wua.cost(f"2-{hidden}-1.onnx")
    print(f"2-{hidden}-1: {report.flops} FLOPs, {report.at(batch=1).flops} a sample; by hand: {8 * hidden + 5}")

# %% training cost
wua.print_flops_report("2-10-1.onnx", STEPS, X_train.astype(np.float32))

# %% analyze
audit = wua.analyze("2-10-1.onnx", X)
audit.show()

# %% neurons
layer = audit.layers["hidden"]
mean = layer.mean_activation
assert mean is not None  # it is None where nothing was recorded
share = layer.neuron_importance / layer.neuron_importance.sum()
print("neuron  w from x0  w from x1  mean |a|  importance")
for j in range(len(layer.neurons)):
    w0, w1 = layer.weight[:, j]
    print(f"{j:6}  {w0:9.3f}  {w1:9.3f}  {mean[j]:8.5f}  {100 * share[j]:8.1f} %")

# %% samples
for samples in (100, 1_000, 10_000):
    dead = wua.analyze("2-10-1.onnx", X[:samples]).layers["hidden"].dead_neurons
    print(f"{samples:6,} samples: dead neurons {dead}")

# %% metrics
importance, weights, name = wua.compute_weight_importance("2-10-1.onnx", X)[0]
summary, normalized = wua.generate_report(importance, weights)
wua.print_report(summary)

# %% by hand
p = normalized[normalized > 0]
H = -np.sum(p * np.log(p))
print(f"H = {H:.4f} nats, e^H = {np.exp(H):.2f}, e^H / N = {100 * np.exp(H) / normalized.size:.1f} %")

# %% histogram
figure = Figure(figsize=(6.4, 5.2), layout="constrained")
for file, ax in zip(("2-10-1.onnx", "2-7-1.onnx"), figure.subplots(2, sharex=True), strict=True):
    importance, weights, name = wua.compute_weight_importance(file, X)[0]
    summary, normalized = wua.generate_report(importance, weights)
    wua.plot_importance_histogram(normalized, summary["entropy"], ax=ax)
    ax.set_title(f"{file}, {name}\n{ax.get_title()}", fontsize="medium")
figure.savefig("images/importance.svg", metadata={"Date": None})

# %% baseline
gauss = np.abs(np.random.default_rng(0).standard_normal(1_000_000))
print(f"a million Gaussian weights: utilization {100 * wua.generate_report(gauss, gauss)[0]['utilization']:.1f} %")
for name, layer in audit.layers.items():
    assert layer.metrics.baseline is not None  # it is None for layers without weights
    trained, untrained = layer.metrics.utilization, layer.metrics.baseline.utilization
    print(f"{name}: trained {100 * trained:.1f} %, untrained {100 * untrained:.1f} %")

# %% diagram
wua.show("2-10-1.onnx", X, path="images/2-10-1.svg")
wua.show("2-7-1.onnx", X, path="images/2-7-1.svg")

# %% compare
comparison = wua.compare("2-10-1.onnx", "2-7-1.onnx", X)
comparison.show()

# %% remove
dead = audit.layers["hidden"].dead_neurons or ()
alive = [j for j in range(10) if j not in dead]
pruned = Network(len(alive))
with torch.no_grad():
    pruned.hidden.weight.copy_(big.hidden.weight[alive])
    pruned.hidden.bias.copy_(big.hidden.bias[alive])
    pruned.output.weight.copy_(big.output.weight[:, alive])
    pruned.output.bias.copy_(big.output.bias)
    difference = (pruned(torch.tensor(X)) - big(torch.tensor(X))).abs().max().item()
print(f"2-{len(alive)}-1: accuracy {100 * accuracy(pruned):.2f} %")
print(f"the outputs differ by less than 0.000001 from those of 2-10-1: {difference < 1e-6}")
for net in (big, pruned):
    report = wua.cost(net, X)
    print(f"{report.params} parameters, {report.flops} FLOPs a sample")


# %% verify
def hidden_layer(net: Network) -> tuple[int, float]:
    """Return how many hidden neurons are dead, and the utilization of the hidden layer, without any audit."""
    with torch.no_grad():
        a = torch.relu(net.hidden(torch.tensor(X))).numpy()
        w = net.hidden.weight.numpy().T
    summary, _ = wua.generate_report(np.abs(w) * a.mean(axis=0), w)
    return int((a.max(axis=0) == 0).sum()), summary["utilization"]


results: dict[tuple[int, int], tuple[float, int, float]] = {}
print("accuracy in % (dead neurons, utilization of the hidden layer in %)")
print("seed   " + "".join(f"{seed:>16}" for seed in range(5)))
for hidden in (10, 7, 3, 2, 1):
    row = ""
    for seed in range(5):
        net = train(hidden, seed)
        right, (idle, used) = accuracy(net), hidden_layer(net)
        results[hidden, seed] = right, idle, used
        row += f"{100 * right:.2f} ({idle}, {100 * used:.0f})".rjust(16)
    print(f"2-{hidden}-1".ljust(7) + row)

# %% page
audit.to_html("audit.html")
audit.to_json("audit.json")
again = wua.Audit.from_json("audit.json")
print(again, again.to_html() == audit.to_html())
