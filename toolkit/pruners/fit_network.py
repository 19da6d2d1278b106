"""Training of a pruner's networks in PyTorch: Poisson loss, as the trees have."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.pruners.network import HIDDEN, MOST, Network

BATCH = 1024
RATE = 2e-3


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def fit_network(
    features: NDArray[np.float32], loss: NDArray[np.float64], time: NDArray[np.float64], epochs: int, seed: int
) -> Network:
    """Network that predicts the logs of the expectations of loss and time (rows,) from features (rows, columns).

    Adam (Kingma and Ba 2015) with a cosine schedule, on one thread: several add in another order, and a seed has to
    give one result on every number of cores.
    """
    generator = torch.Generator().manual_seed(seed)
    mean = features.mean(0, dtype=np.float64).astype(np.float32)
    scale = (1 / np.maximum(features.std(0, dtype=np.float64), 1e-3)).astype(np.float32)
    inputs = torch.from_numpy(np.clip((features - mean) * scale, -MOST, MOST))
    wanted = torch.from_numpy(np.stack([loss, time], 1).astype(np.float32))
    average = wanted.mean(0)
    layers = _layers(inputs.shape[1], generator)
    _train(layers, inputs, wanted / average, epochs, generator)
    with torch.no_grad():
        layers[-1].bias.add_(average.log())
    first, second, last = (_arrays(layer) for layer in layers)
    return Network(mean, scale, (first[0], second[0], last[0]), (first[1], second[1], last[1]))


def _layers(inputs: int, generator: torch.Generator) -> list[nn.Linear]:
    """Three layers, drawn as He et al. 2015 do; the last starts at 0, so that the first answer is the average."""
    layers = [nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 2)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(layers[-1].weight)
    return layers


def _train(layers: list[nn.Linear], inputs: Tensor, wanted: Tensor, epochs: int, generator: torch.Generator) -> None:
    parameters = [p for layer in layers for p in layer.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    batches = (len(inputs) + BATCH - 1) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    for _ in range(epochs):
        for at in torch.split(torch.randperm(len(inputs), generator=generator), BATCH):
            values = inputs[at]
            for layer in layers[:-1]:
                values = layer(values).relu()
            logs = layers[-1](values)
            loss = (logs.exp() - wanted[at] * logs).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()


def _arrays(layer: nn.Linear) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (inputs, outputs) and biases (outputs,)."""
    return np.ascontiguousarray(layer.weight.detach().numpy().T), layer.bias.detach().numpy().copy()
