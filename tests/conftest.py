"""Shared fixtures: four CPU devices, a browser, and folders of real photographs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before jax is imported: several devices to shard over, and more threads than
# cores, without which collectives over CPU devices can deadlock.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("PJRT_NPROC", "16")

import pytest

CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --window-size=1200,900"
)


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    """Chromium without a window, driven by Selenium."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in [*CHROMIUM_FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()
