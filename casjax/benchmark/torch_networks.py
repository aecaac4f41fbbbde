"""The same networks in PyTorch, with the same parameters, as its users would run them.

Channels last, in inference mode; bfloat16 by autocast; compiled if a compiler is available.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from casjax.benchmark import networks
from casjax.benchmark.timing import Call

# Relative to the largest magnitude of an output; float32 is TF32 by default on GPUs, in both.
TOLERANCE = {"cpu": 1e-4, "cuda": 1e-2}

Rivals = dict[str, Call]


def inference_calls(name: str, dtype: str, shape: tuple[int, ...], *, compiled: bool) -> Rivals:
    """Make calls that restore uint8 pictures of a shape [n, h, w, 1] on the device.

    There are none for a network that is not implemented here.

    Raises:
      ValueError: the outputs are not those of the JAX network.
    """
    if name not in NETWORKS:
        return {}
    network = make_network(name)
    degraded = _on_device(networks.pictures(*shape))

    def call(network: nn.Module) -> None:
        with torch.inference_mode(), _computing_in(dtype):
            finest = network(degraded.float() / 255)[0]
            (finest.float() * 255).clamp(0, 255).round().to(torch.uint8)
        _wait()

    return _plain_and_compiled(network, call, compiled=compiled)


def training_calls(
    name: str, dtype: str, shape: tuple[int, ...], *, steps: int, compiled: bool
) -> Rivals:
    """Make calls that take steps of Adam on the multi-scale loss, without the degradation.

    There are none for a network that is not implemented here.

    Raises:
      ValueError: the outputs are not those of the JAX network.
    """
    if name not in NETWORKS:
        return {}
    network = make_network(name)
    optimizers: dict[nn.Module, torch.optim.Optimizer] = {}
    clean = _on_device(networks.pictures(*shape)).float() / 255

    def call(network: nn.Module) -> None:
        if network not in optimizers:
            optimizers[network] = torch.optim.Adam(network.parameters(), lr=1e-4)
        for _ in range(steps):
            optimizers[network].zero_grad()
            with _computing_in(dtype):
                outputs = network(clean)
            loss = sum(
                F.mse_loss(output.float(), F.avg_pool2d(clean, 2**i)) / len(outputs)
                for i, output in enumerate(outputs)
            )
            loss.backward()
            optimizers[network].step()
        _wait()

    return _plain_and_compiled(network, call, compiled=compiled)


def make_network(name: str) -> nn.Module:
    """Make a network with the variables of `networks.make_network`, on the device.

    Raises:
      ValueError: its outputs are not those of the JAX network.
    """
    model, variables = networks.make_network(name, "float32")
    params = jax.device_get(variables["params"])
    network = NETWORKS[name](params).to(_device(), memory_format=torch.channels_last)
    degraded = networks.pictures(1, 64, 64, 1)
    expected = jax.jit(model.apply)(variables, degraded / np.float32(255))
    with torch.inference_mode():
        found = network(_on_device(degraded).float() / 255)
    for ours, theirs in zip(expected, found, strict=True):
        ours, theirs = np.asarray(ours), theirs.cpu().permute(0, 2, 3, 1).numpy()
        error = np.abs(ours - theirs).max() / np.abs(ours).max()
        if not error < TOLERANCE[_device()]:
            raise ValueError(f"PyTorch's {name} differs from ours by {error:.1g} of the maximum")
    return network


class CASCNN(nn.Module):
    """CAS-CNN with one slope per layer, zero padding, PReLU after all layers."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Take the parameters of `models.cascnn.CASCNN`."""
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                name: nn.Sequential(
                    _full_convolution(values) if name.endswith("_up") else _convolution(values),
                    _prelu(values),
                )
                for name, values in params.items()
            }
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map [n, 1, h, w] to four images, finest first."""
        layers = self.layers
        a = layers["A2"](layers["A1"](x))
        b = layers["B2"](layers["B1"](F.avg_pool2d(a, 2)))
        c = layers["C2"](layers["C1"](F.avg_pool2d(b, 2)))
        joined = layers["D2"](layers["D1"](F.avg_pool2d(c, 2)))
        images = [layers["D_out"](joined)]
        for below, scale, block in (("D", "C", c), ("C", "B", b), ("B", "A", a)):
            image = F.interpolate(images[0], scale_factor=2.0, mode="nearest")
            joined = torch.cat([block, layers[f"{below}_up"](joined), image], 1)
            images.insert(0, layers[f"{scale}_out"](joined))
        return tuple(images)


class Chain(nn.Module):
    """The networks of one resolution: every layer pads its input by repeating the edge."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Take the parameters of `models.arcnn.ARCNN`, or of a network of `models.svoboda`."""
        super().__init__()
        self.layers = nn.ModuleList(
            _convolution(params[f"conv{i}"], padding_mode="replicate")
            for i in range(1, len(params) + 1)
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map [n, 1, h, w] to the same shape."""
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return (last(x),)


class L4(Chain):
    """A chain that outputs an increment to its input."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map [n, 1, h, w] to the same shape."""
        return (x + super().forward(x)[0],)


class L8(Chain):
    """Like L4, with two layers of 1x1 that also take the first layer's result."""

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map [n, 1, h, w] to the same shape."""
        *hidden, last = self.layers
        features = first = F.relu(hidden[0](x))
        for layer in hidden[1:]:
            if layer.kernel_size == (1, 1):
                features = torch.cat([first, features], 1)
            features = F.relu(layer(features))
        return (x + last(features),)


NETWORKS: Mapping[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "arcnn": Chain,
    "cascnn": CASCNN,
    "l4": L4,
    "l8": L8,
}


def _convolution(values: Mapping[str, Any], padding_mode: str = "zeros") -> nn.Conv2d:
    kernel = torch.tensor(values["kernel"]).permute(3, 2, 0, 1)
    channels_out, channels_in, size, _ = kernel.shape
    layer = nn.Conv2d(channels_in, channels_out, size, padding=size // 2, padding_mode=padding_mode)
    return _with(layer, kernel, values["bias"])


def _full_convolution(values: Mapping[str, Any]) -> nn.ConvTranspose2d:
    kernel = torch.tensor(values["kernel"]).flip(0, 1).permute(2, 3, 0, 1)
    channels_in, channels_out, size, _ = kernel.shape
    layer = nn.ConvTranspose2d(channels_in, channels_out, size, stride=2, padding=1)
    return _with(layer, kernel, values["bias"])


def _with(layer: Any, kernel: Tensor, bias: np.ndarray) -> Any:
    layer.weight.data.copy_(kernel)
    layer.bias.data.copy_(torch.tensor(bias))
    return layer


def _prelu(values: Mapping[str, Any]) -> nn.PReLU:
    return nn.PReLU(init=float(values["slope"]))


def _plain_and_compiled(
    network: nn.Module, call: Callable[[nn.Module], None], *, compiled: bool
) -> Rivals:
    rivals: Rivals = {"torch": partial(call, network)}
    if compiled:
        faster = torch.compile(network)
        try:
            call(faster)
        except Exception as error:  # whatever is missing: a compiler, a kernel
            reason = " ".join(str(error).split())[:200]
            logging.warning("torch.compile does not work here: %s", reason)
        else:
            rivals["torch.compile"] = partial(call, faster)
    return rivals


def _computing_in(dtype: str) -> contextlib.AbstractContextManager[Any]:
    if dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(_device(), dtype=torch.bfloat16)


def _device() -> str:
    if jax.default_backend() == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise ValueError("this PyTorch sees no GPU, but JAX does: install PyTorch with GPU support")
    return "cuda"


def _on_device(pictures: np.ndarray) -> Tensor:
    return torch.tensor(pictures).permute(0, 3, 1, 2).to(_device())


def _wait() -> None:
    if _device() == "cuda":
        torch.cuda.synchronize()
