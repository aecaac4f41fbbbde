"""Shared fixtures: four CPU devices, and the folders of real photographs that some tests need."""

import os
from pathlib import Path

# Before jax is imported: several devices to shard over, and more threads than
# cores, without which collectives over CPU devices can deadlock.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
os.environ.setdefault("PJRT_NPROC", "16")

import pytest


def folder_from_environment(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: it names the folder with the real data of this test")
    folder = Path(value)
    assert folder.is_dir(), f"{variable}={value} is not a folder"
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder that holds live1/, classic5/ and bsds500/{train,test,val}/."""
    return folder_from_environment("CASJAX_DATA")


@pytest.fixture(scope="session")
def arcnn_weights_dir() -> Path:
    """The folder that holds the released AR-CNN weights, arcnn_q{10,20,40}.mat."""
    return folder_from_environment("CASJAX_ARCNN_WEIGHTS")
