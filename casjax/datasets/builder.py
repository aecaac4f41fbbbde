"""The common part of the TFDS builders of the published sets."""

import importlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from casjax.datasets.checksums import published_files


def read_prepared(dataset: str, splits: Sequence[str]) -> dict[str, bytes]:
    """Download and prepare a published set if necessary, and read the images of splits.

    Args:
      dataset: name of the set and of its package here.
      splits: names of splits.

    Returns:
      The bytes of the image files, by name.
    """
    module = importlib.import_module(f"casjax.datasets.{dataset}.{dataset}_dataset_builder")
    builder = module.Builder(file_format="array_record")
    if not Path(builder.data_dir).exists():
        _require_server(dataset)
    # Only the files' own URLs are used, not TFDS's public bucket.
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    as_stored = {"image": tfds.decode.SkipDecoding()}
    examples = builder.as_data_source(splits, decoders=as_stored)
    return {
        example["file_name"].decode(): example["image"] for split in examples for example in split
    }


def _require_server(dataset: str) -> None:
    """Request a file of a set once: TFDS retries for minutes before it gives up.

    Raises:
      ConnectionError: there is no answer.
    """
    url = published_files(dataset)[0].url
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()
    except urllib.error.HTTPError:
        return  # an answer; TFDS will report what is wrong with the files, if anything
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(
            f"{dataset} cannot be downloaded from {urllib.parse.urlsplit(url).netloc} ({reason}): "
            f"set CASJAX_DATA to a folder with its images in {dataset}/, or go online"
        ) from error


class PublishedImages(tfds.core.GeneratorBasedBuilder):
    """A builder of clean images with their file names; the files' bytes are kept unchanged."""

    def images_info(self, description: str, homepage: str, citation: str) -> tfds.core.DatasetInfo:
        """Describe a set of images; a subclass's `_info` returns it."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(), "file_name": tfds.features.Text()}
            ),
            homepage=homepage,
            citation=citation,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        files = published_files(self.name)
        paths = dl_manager.download({file.name: file.url for file in files})
        images: dict[str, dict[str, Path]] = {}
        for file in files:
            images.setdefault(file.split, {})[file.name] = Path(paths[file.name])
        return {split: self._generate_examples(images[split]) for split in images}

    def _generate_examples(self, paths: Mapping[str, Path]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, path in paths.items():
            yield name, {"image": path.read_bytes(), "file_name": name}
