"""The parts of the benchmark that run in this process, as cases to time."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from casjax import jpeg, metrics
from casjax.benchmark import networks
from casjax.benchmark.timing import Case
from casjax.datasets import open_source
from casjax.evaluation import evaluator
from casjax.networks import inference
from casjax.restoration.loading import BUCKET

PAPERS_BATCH = 20  # cut-outs per step
EVALUATION_TILE = 1024  # pixels, as in configs/base.py


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What to measure, as chosen on the command line.

    Attributes:
      models: names of networks.
      dtypes: to compute in.
      compare: whether to compare with PyTorch.
      quick: whether to use only small pictures and batches.
      max_megapixels: larger pictures are skipped.
      batches: batch sizes for networks and training; () for the most informative ones here.
    """

    models: Sequence[str]
    dtypes: Sequence[str]
    compare: bool
    quick: bool
    max_megapixels: float
    batches: Sequence[int] = ()


def inference_cases(settings: Settings) -> Iterator[Case]:
    """Yield networks on pictures: in batches on the device, and tiled from the host."""
    whole = (64, 96) if settings.quick else (512, 768)
    usual = (1,) if settings.quick else (1, 2, 4) if on_cpu() else (1, 8, 32)
    tiled = () if settings.quick else ((1224, 1632), (3000, 4000))
    for name in settings.models:
        for dtype in settings.dtypes:
            model, variables = networks.make_network(name, dtype)
            for batch in settings.batches or usual:
                yield _whole(settings, name, dtype, model, variables, (batch, *whole, 1))
            for size in tiled:
                if np.prod(size) <= settings.max_megapixels * 1e6:
                    yield _tiled(name, dtype, model, variables, (1, *size, 1))


def _whole(
    settings: Settings, name: str, dtype: str, model: Any, variables: Any, shape: tuple[int, ...]
) -> Case:
    restore = inference.restore_batch(model)
    degraded = networks.pictures(*shape)
    on_device = jax.device_put(degraded)
    rivals = {}
    if settings.compare and shape[0] == 1:
        from casjax.benchmark import torch_networks

        rivals = torch_networks.inference_calls(name, dtype, shape, compiled=not settings.quick)
    return Case(
        name="inference",
        detail=f"batch {shape[0]}",
        model=name,
        dtype=dtype,
        shape=shape,
        unit="Mpixel/s",
        amount=degraded.size / 1e6,
        call=lambda: restore(variables, on_device).block_until_ready(),
        flops=networks.forward_flops(name, shape),
        rivals=rivals,
    )


def _tiled(name: str, dtype: str, model: Any, variables: Any, shape: tuple[int, ...]) -> Case:
    tile = networks.tile(model, variables)
    restorer = inference.make_restorer(model, variables, tile=tile, bucket=BUCKET)
    degraded = networks.pictures(*shape)
    return Case(
        name="inference",
        detail=f"tiles of {tile}",
        model=name,
        dtype=dtype,
        shape=shape,
        unit="Mpixel/s",
        amount=degraded.size / 1e6,
        call=lambda: restorer(degraded),
        flops=networks.forward_flops(name, shape),
    )


def training_cases(settings: Settings) -> Iterator[Case]:
    """Yield training steps on a batch on the device, and with batches fed from the host."""
    paper = 2 if settings.quick else PAPERS_BATCH
    usual = (paper,) if settings.quick else (8, paper) if on_cpu() else (paper, 64, 256)
    # On an accelerator Python runs ahead of the device, as in real training.
    steps = 1 if on_cpu() else 20
    for name in settings.models:
        for dtype in settings.dtypes:
            for batch in settings.batches or usual:
                training = networks.Training(name, dtype, batch_size=batch)
                shape = networks.cutouts(batch)
                case = Case(
                    name="train_step",
                    detail=f"batch {batch}",
                    model=name,
                    dtype=dtype,
                    shape=shape,
                    unit="cut-outs/s",
                    amount=batch * steps,
                    call=partial(training.run, training.resident_batch, steps),
                    flops=networks.training_flops(name, shape) * steps,
                )
                if settings.compare:
                    from casjax.benchmark import torch_networks

                    rivals = torch_networks.training_calls(
                        name, dtype, shape, steps=steps, compiled=not settings.quick
                    )
                    case = dataclasses.replace(case, rivals=rivals)
                yield case
                if batch == paper:
                    fed = partial(training.run, training.next_batch, steps)
                    yield dataclasses.replace(
                        case, detail=f"batch {batch}, fed from the host", call=fed, rivals={}
                    )


def feeding_cases(settings: Settings) -> Iterator[Case]:
    """Yield the host's part of a training step."""
    batches, steps = networks.make_batches(PAPERS_BATCH), itertools.count()
    shape = networks.cutouts(PAPERS_BATCH)
    yield Case(
        name="feeding",
        detail=f"batch {PAPERS_BATCH}",
        dtype="uint8",
        shape=shape,
        unit="cut-outs/s",
        amount=PAPERS_BATCH,
        call=lambda: batches.at(next(steps), count=networks.EXAMPLES),
    )


def jpeg_cases(settings: Settings) -> Iterator[Case]:
    """Yield the degradation of a training batch and of a photograph."""
    degrade = jax.jit(jpeg.degrade)
    for shape in (networks.cutouts(PAPERS_BATCH), _photograph(settings)):
        clean = jax.device_put(networks.pictures(*shape))
        yield Case(
            name="jpeg",
            dtype="int32",
            shape=shape,
            unit="Mpixel/s",
            amount=clean.size / 1e6,
            call=partial(_finished, degrade, clean, networks.QUALITY),
            traffic=2 * clean.size,
        )


def metric_cases(settings: Settings) -> Iterator[Case]:
    """Yield every metric on a photograph."""
    shape = _photograph(settings)
    clean = jax.device_put(networks.pictures(*shape))
    restored = jax.device_put(255 - np.asarray(clean))
    for name, metric in metrics.METRICS.items():
        yield Case(
            name="metrics",
            detail=name,
            shape=shape,
            unit="Mpixel/s",
            amount=clean.size / 1e6,
            call=partial(_finished, metric, restored, clean),
            traffic=2 * clean.size,
        )


def evaluation_cases(settings: Settings) -> Iterator[Case]:
    """Yield the evaluation that ends all training: degrade, restore and score LIVE1.

    Raises:
      FileNotFoundError: LIVE1 is missing; it is not downloaded just for this.
    """
    folder = os.environ.get("CASJAX_DATA", "")
    prepared = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"), "live1")
    if not folder and not prepared.expanduser().is_dir():
        raise FileNotFoundError(
            "LIVE1 is missing: set CASJAX_DATA to the folder that contains live1/, or run "
            "`casjax evaluate jpeg -o FOLDER`, which downloads it"
        )
    source = open_source("live1", images_dir=folder, seed=0)
    for name in settings.models:
        for dtype in settings.dtypes:
            model, variables = networks.make_network(name, dtype)
            restorer = inference.make_restorer(model, variables, tile=EVALUATION_TILE)
            yield Case(
                name="evaluation",
                detail=f"LIVE1, {len(source)} images",
                model=name,
                dtype=dtype,
                unit="s",
                call=partial(
                    evaluator.evaluate,
                    restorer,
                    source,
                    method=name,
                    qualities=(networks.QUALITY,),
                ),
            )


def on_cpu() -> bool:
    """Return whether the default device is the CPU."""
    return jax.default_backend() == "cpu"


def _photograph(settings: Settings) -> tuple[int, int, int, int]:
    return (1, 64, 96, 1) if settings.quick else (1, 512, 768, 1)


def _finished(function: Callable[..., Any], *arguments: Any) -> Any:
    return jax.block_until_ready(function(*arguments))


IN_THIS_PROCESS: Mapping[str, Callable[[Settings], Iterator[Case]]] = {
    "inference": inference_cases,
    "train_step": training_cases,
    "feeding": feeding_cases,
    "jpeg": jpeg_cases,
    "metrics": metric_cases,
    "evaluation": evaluation_cases,
}
