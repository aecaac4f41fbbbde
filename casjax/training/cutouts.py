"""The file of cut-outs for training: cut once from the sources' images, and memory-mapped."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from casjax.datasets import ImageSource, decoded_images, open_source
from casjax.files import readable_name, remove_abandoned, replacing

FILE_FORMAT = 2


def load_cutouts(
    path: str | Path,
    source_names: Sequence[str],
    *,
    count: int,
    size: int,
    seed: int,
    images_dir: str,
    channels: int = 1,
) -> np.memmap:
    """Open the file of cut-outs at `path`, building it first if there is none.

    Every cut-out position of every image is equally likely, so a large
    photograph gives more cut-outs than a small one: with equal shares per image
    the cut-outs of small images would overlap and count many times over. Each
    cut-out is drawn independently, so any prefix of the file is also a fair
    sample. Of sources with more than `count` images, `count` random ones are read.

    A description beside the file (`path` + ".json") records what it was made from,
    and the file is reused only for the same, down to the bytes of the images. If a
    source can no longer be opened, its name in the description is trusted, with a
    warning. Building in several processes at once is safe but wasteful: they write
    the same bytes.

    Args:
      path: the `.npy` file; `cutouts_file_name` makes a good name.
      source_names: image sources for `casjax.datasets.open_source`.
      count: number of cut-outs.
      size: height and width of a cut-out in pixels.
      seed: of the choice of cut-outs, and of synthetic sources.
      images_dir: local folder of the published data sets; "" to download them.
      channels: 1 for luma, 3 for RGB.

    Returns:
      Read-only uint8 [count, size, size] luma or [count, size, size, 3] RGB, mapped from the file.

    Raises:
      ValueError: the file was made from something else or is damaged, or no
        image is large enough.
      FileNotFoundError: a source that is needed does not exist.
    """
    path = Path(path)
    description_path = _description_path(path)
    wanted: dict[str, Any] = {"format": FILE_FORMAT, "count": count, "size": size, "seed": seed}
    if channels > 1:
        wanted["channels"] = channels
    open_named = functools.partial(open_source, images_dir=images_dir, seed=seed, channels=channels)
    if path.exists():
        stored = _read_description(path, description_path)
        wanted["sources"] = [_identity(name, open_named, stored) for name in source_names]
        _require_equal(path, stored, wanted)
    else:
        sources = [open_named(name) for name in source_names]
        wanted["sources"] = [source.description for source in sources]
        _build(path, description_path, wanted, sources)
    return _map_cutouts(path, _shape(wanted))


def require_sources(
    path: Path, source_names: Sequence[str], *, seed: int, images_dir: str, channels: int = 1
) -> None:
    """Open the sources that `load_cutouts` will build a file from, if it has to.

    Raises:
      ValueError: a source does not exist.
      FileNotFoundError: its files are missing.
    """
    if not path.exists():
        for name in source_names:
            open_source(name, images_dir=images_dir, seed=seed, channels=channels)


def images_of(path: Path) -> list[dict[str, Any]]:
    """Describe the images that a file of cut-outs was made from, source by source.

    Raises:
      ValueError: there is no description of the file.
    """
    return _read_description(path, _description_path(path))["sources"]


def cutouts_file_name(
    source_names: Sequence[str], *, count: int, size: int, seed: int, channels: int = 1
) -> str:
    """Return a readable name for a file of cut-outs, made unique by the hash of the sources."""
    sources = "+".join(source_names)
    digest = hashlib.sha256(sources.encode()).hexdigest()[:8]
    kind = "-rgb" if channels == 3 else ""
    return f"{readable_name(sources)[:60]}-{digest}-{count}x{size}px{kind}-seed{seed}.npy"


def _description_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _shape(description: dict[str, Any]) -> tuple[int, ...]:
    channels = [description["channels"]] if "channels" in description else []
    return (description["count"], description["size"], description["size"], *channels)


def _read_description(path: Path, description_path: Path) -> dict[str, Any]:
    try:
        return json.loads(description_path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        raise ValueError(
            f"{path} has no readable description {description_path.name} beside it: "
            "delete the file to build it again, or choose another path"
        ) from None


def _identity(
    name: str, open_source: Callable[[str], ImageSource], stored: dict[str, Any]
) -> dict[str, Any]:
    """Describe the images of a source, by the stored description if the source is gone."""
    try:
        return open_source(name).description
    except (FileNotFoundError, ModuleNotFoundError) as error:
        for description in stored.get("sources", []):
            if description["name"] == name:
                logging.warning("Reusing the cut-outs of %s without a check: %s", name, error)
                return description
        raise


def _require_equal(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    differences = [
        f"with {key} {stored.get(key)} instead of {value}"
        for key, value in wanted.items()
        if key != "sources" and stored.get(key) != value
    ]
    differences += [
        f"from other images of {images['name']}"
        for images in wanted["sources"]
        if images not in stored.get("sources", [])
    ]
    if differences:
        raise ValueError(
            f"{path} was made {', '.join(differences)}: "
            "delete it to build it again, or choose another path"
        )


def _build(
    path: Path, description_path: Path, description: dict[str, Any], sources: list[ImageSource]
) -> None:
    """Write the cut-outs and their description under their names only when both are complete.

    The description gets its name first, so cut-outs that exist are complete and described.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"{path.parent}: a file, expected a folder for cut-outs: config.data.cutouts_dir"
        ) from error
    remove_abandoned(path.parent)
    with replacing(path) as unfinished, replacing(description_path) as unfinished_description:
        cutouts = np.lib.format.open_memmap(
            unfinished,
            mode="w+",
            dtype=np.uint8,
            shape=_shape(description),
        )
        _reserve(unfinished)
        _fill(cutouts, sources, description["seed"])
        cutouts.flush()
        del cutouts  # some systems cannot rename a mapped file
        text = json.dumps(description, indent=1) + "\n"
        unfinished_description.write_text(text, encoding="utf-8")


def _reserve(path: Path) -> None:
    """Have a file's size on disk: where none is left, writing to its map would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _fill(cutouts: np.memmap, sources: list[ImageSource], seed: int) -> None:
    """Draw every cut-out from all positions in the images, reading each image once.

    Neither the sizes of the images nor which of them can be read is known
    beforehand. So each image, in turn, replaces every cut-out with a probability
    equal to its share of the positions seen so far (weighted reservoir sampling,
    Chao 1982): in the end all positions have been equally likely.
    """
    from tqdm import tqdm

    count, size = cutouts.shape[:2]
    generator = np.random.default_rng(seed)
    images = [(source, index) for source in sources for index in range(len(source))]
    chosen = np.sort(generator.permutation(len(images))[:count])
    progress = tqdm((images[i] for i in chosen), "cutting up", len(chosen), unit=" images")
    positions_seen = too_small = 0
    for source, name, image in decoded_images(progress):
        height, width = image.shape[:2]
        rows, columns = height - size + 1, width - size + 1
        if min(rows, columns) < 1:
            where = f"{source.name}: {name}"
            logging.warning("Skipping %s: %dx%d is smaller than a cut-out", where, height, width)
            too_small += 1
            continue
        positions_seen += rows * columns
        takes = generator.binomial(count, rows * columns / positions_seen)
        taken = generator.choice(count, takes, replace=False)
        corners = generator.integers((rows, columns), size=(takes, 2))
        for k, (top, left) in zip(taken, corners, strict=True):
            cutouts[k] = image[top : top + size, left : left + size]
    if too_small:
        logging.warning("Skipped %d of %d images: too small", too_small, len(chosen))
    if not positions_seen:
        raise ValueError(
            f"none of the {len(chosen)} images can be read and is at least {size}x{size} pixels: "
            "choose other sources or a smaller cut-out"
        )


def _map_cutouts(path: Path, shape: tuple[int, ...]) -> np.memmap:
    try:
        cutouts = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it to build it again") from error
    if cutouts.shape != shape or cutouts.dtype != np.uint8:
        raise ValueError(
            f"{path} holds {cutouts.dtype} {cutouts.shape}, not uint8 {shape} as described: "
            "delete it to build it again"
        )
    return cutouts
