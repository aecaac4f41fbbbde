"""What training is fed with: a file of cut-outs, and batches that are a pure function of the step.

The images of the sources are cut up once, into a memory-mapped file; from then
on training reads only that file. Nothing here keeps a position: the state of
the feeding is the step, so a resumed run sees the batches it would have seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

if TYPE_CHECKING:
    from casjax.datasets import ImageSource

FILE_FORMAT = 1


def load_cutouts(
    path: str | Path,
    source_names: Sequence[str],
    *,
    count: int,
    size: int,
    seed: int,
    images_dir: str,
) -> np.memmap:
    """Open the file of cut-outs at `path`, building it first if there is none.

    Every cut-out position of every image is equally likely, so a large
    photograph gives more cut-outs than a small one: with equal shares per image
    the cut-outs of small images would overlap and count many times over. Each
    cut-out is drawn independently, so any prefix of the file is a fair sample
    too. Of sources with more than `count` images, `count` random ones are read.

    A description beside the file (`path` + ".json") says what made it, and the
    file is reused only for the same. Where a source cannot be opened any more,
    its name in the description is trusted, with a warning. Building in several
    processes at once is safe but wasteful: they write the same bytes.

    Args:
      path: the `.npy` file; `cutouts_file_name` gives it a good name.
      source_names: image sources, as `casjax.datasets.open_source` takes them.
      count: number of cut-outs.
      size: height and width of a cut-out in pixels.
      seed: of the choice of cut-outs, and of synthetic sources.
      images_dir: local folder of the published data sets; "" to download them.

    Returns:
      Read-only uint8 [count, size, size] luma, mapped from the file.

    Raises:
      ValueError: the file was made from something else or is damaged, or no
        image is large enough.
      FileNotFoundError: a source that is needed does not exist.
    """
    path = Path(path)
    description_path = path.with_name(path.name + ".json")
    wanted: dict[str, Any] = {"format": FILE_FORMAT, "count": count, "size": size, "seed": seed}
    open_source = functools.partial(_open_source, images_dir=images_dir, seed=seed)
    if path.exists():
        stored = _read_description(path, description_path)
        wanted["sources"] = [_identity(name, open_source, stored) for name in source_names]
        _require_equal(path, stored, wanted)
    else:
        sources = [open_source(name) for name in source_names]
        wanted["sources"] = [source.description for source in sources]
        _build(path, description_path, wanted, sources)
    return _map_cutouts(path, (count, size, size))


def cutouts_file_name(source_names: Sequence[str], *, count: int, size: int, seed: int) -> str:
    """A name for people to tell files of cut-outs by; the hash of the sources makes it unique."""
    sources = "+".join(source_names)
    digest = hashlib.sha256(sources.encode()).hexdigest()[:8]
    return f"{readable_name(sources)[:60]}-{digest}-{count}x{size}px-seed{seed}.npy"


def readable_name(source_name: str) -> str:
    """A source's name without what does not belong into a file's name."""
    return re.sub(r"[^\w+-]+", "-", source_name).strip("-")


def _open_source(name: str, *, images_dir: str, seed: int) -> ImageSource:
    from casjax import datasets  # not at the top: batches alone need no image library

    return datasets.open_source(name, images_dir=images_dir, seed=seed)


def _read_description(path: Path, description_path: Path) -> dict[str, Any]:
    try:
        return json.loads(description_path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        raise ValueError(
            f"{path} has no readable description {description_path.name} beside it: "
            "delete the file to build it anew, or choose another path"
        ) from None


def _identity(
    name: str, open_source: Callable[[str], ImageSource], stored: dict[str, Any]
) -> dict[str, Any]:
    """Describe the images of a source, by the stored description where the source is gone."""
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
        f"{key} {stored.get(key)} instead of {value}"
        for key, value in wanted.items()
        if stored.get(key) != value
    ]
    if differences:
        raise ValueError(
            f"{path} was made with {', '.join(differences)}: "
            "delete it to build it anew, or choose another path"
        )


def _build(
    path: Path, description_path: Path, description: dict[str, Any], sources: list[ImageSource]
) -> None:
    """Write the cut-outs and their description under their names only when both are whole.

    The description gets its name first: cut-outs that are found are complete and described.
    """
    with _workshop(path) as unfinished:
        cutouts = np.lib.format.open_memmap(
            unfinished / "cutouts",
            mode="w+",
            dtype=np.uint8,
            shape=(description["count"], description["size"], description["size"]),
        )
        _fill(cutouts, sources, description["seed"])
        cutouts.flush()
        (unfinished / "description").write_text(json.dumps(description, indent=1) + "\n")
        (unfinished / "description").replace(description_path)
        (unfinished / "cutouts").replace(path)


@contextlib.contextmanager
def _workshop(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` to build it in, removed afterwards together with those of the dead.

    Who builds holds a lock in the folder, which the system takes away from a process that dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}-"
    for left in path.parent.iterdir():
        if left.name.startswith(prefix):
            with contextlib.suppress(OSError), (left / "lock").open("r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while someone builds
                shutil.rmtree(left)
                logging.info("Removed %s, left behind by a build that was killed", left)
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=prefix) as folder,
        Path(folder, "unlocked").open("w+b") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(folder, "unlocked").rename(Path(folder, "lock"))
        yield Path(folder)


def _fill(cutouts: np.memmap, sources: list[ImageSource], seed: int) -> None:
    """Draw every cut-out from all positions in the images, reading each image once.

    Neither the sizes of the images nor which of them can be read is known
    beforehand. So each image, when its turn comes, takes over every cut-out with
    the probability of its share of the positions seen so far (weighted reservoir
    sampling, Chao 1982): in the end all positions have been equally likely.
    """
    from tqdm import tqdm

    from casjax import datasets

    count, size, _ = cutouts.shape
    generator = np.random.default_rng(seed)
    images = [(source, index) for source in sources for index in range(len(source))]
    chosen = np.sort(generator.permutation(len(images))[:count])
    progress = tqdm((images[i] for i in chosen), "cutting up", len(chosen), unit=" images")
    positions_seen = too_small = 0
    for name, luma in datasets.readable_images(progress):
        rows, columns = (side - size + 1 for side in luma.shape)
        if min(rows, columns) < 1:
            logging.warning("Skipping %s: %dx%d is smaller than a cut-out", name, *luma.shape)
            too_small += 1
            continue
        positions_seen += rows * columns
        takes = generator.binomial(count, rows * columns / positions_seen)
        taken = generator.choice(count, takes, replace=False)
        corners = generator.integers((rows, columns), size=(takes, 2))
        for k, (top, left) in zip(taken, corners, strict=True):
            cutouts[k] = luma[top : top + size, left : left + size]
    if too_small:
        logging.warning("Skipped %d of %d images: too small", too_small, len(chosen))
    if not positions_seen:
        raise ValueError(
            f"none of the {len(chosen)} images can be read and is at least {size}x{size} pixels: "
            "choose other sources or a smaller cut-out"
        )


def _map_cutouts(path: Path, shape: tuple[int, int, int]) -> np.memmap:
    try:
        cutouts = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it to build it anew") from error
    if cutouts.shape != shape or cutouts.dtype != np.uint8:
        raise ValueError(
            f"{path} holds {cutouts.dtype} {cutouts.shape}, not uint8 {shape} as described: "
            "delete it to build it anew"
        )
    return cutouts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batches:
    """Batches of clean cut-outs as a pure function of (seed, stream, step).

    The cut-outs come in a new random order each epoch, and batches run across
    the borders of epochs: nothing is left out. Together the processes see the
    same global batch, however many they are.

    Attributes:
      cutouts: uint8 [n, size, size] luma.
      batch_size: cut-outs in the global batch, over all processes.
      seed: of the order, the turns and the qualities.
      stream: a number for each phase of a training, so that phases differ.
      augment: whether cut-outs are flipped and turned.
      codec: what degrades them, one of `casjax.images.codecs.CODECS`.
      qualities: lowest and highest quality of the codec, both included.
      process_index: which share of the global batch to give.
      process_count: number of shares.

    Raises:
      ValueError: the batch does not divide by the processes, or the qualities
        are no range within 1..100.
    """

    cutouts: np.ndarray
    batch_size: int
    seed: int
    stream: int
    augment: bool
    codec: str
    qualities: tuple[int, int]
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.process_count:
            raise ValueError(
                f"batch_size {self.batch_size} does not divide by {self.process_count} processes"
            )
        lowest, highest = self.qualities
        if not 1 <= lowest <= highest <= 100:
            raise ValueError(f"qualities {self.qualities} are not (lowest, highest) within 1..100")

    def at(self, step: int, *, count: int) -> dict[str, np.ndarray]:
        """Give this process's share of the batch at a step, counted from the phase's start.

        Args:
          step: 0, 1, ...
          count: only the first `count` cut-outs are used.

        Returns:
          `clean` uint8 [b, size, size, 1]; `turn` uint8 [b] in 0..7 for `augment`,
          0 where there is no augmentation; `quality` int32 [b]. JPEG is left to the device;
          with another codec `degraded` is there too, like `clean`, which is turned already.

        Raises:
          ValueError: there are fewer than `count` cut-outs, or the codec is unknown or missing.
        """
        if not 1 <= count <= len(self.cutouts):
            raise ValueError(f"asked for {count} cut-outs of a file of {len(self.cutouts)}")
        share = self.batch_size // self.process_count
        mine = slice(self.process_index * share, (self.process_index + 1) * share)
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)[mine]
        chosen = [
            _epoch_order(self.seed, self.stream, epoch, count)[offset]
            for epoch, offset in zip(*divmod(positions, count), strict=True)
        ]
        # The whole global batch is drawn, so that it is the same for any number of processes.
        generator = np.random.default_rng((self.seed, self.stream, step, 1))
        turn = generator.integers(8, size=self.batch_size, dtype=np.uint8)
        quality = generator.integers(
            *self.qualities, size=self.batch_size, dtype=np.int32, endpoint=True
        )
        batch = {
            "clean": self.cutouts[chosen][..., np.newaxis],
            "turn": turn[mine] * np.uint8(self.augment),
            "quality": quality[mine],
        }
        return batch if self.codec == "jpeg" else _degraded(batch, self.codec)


def _degraded(batch: dict[str, np.ndarray], codec: str) -> dict[str, np.ndarray]:
    """Turn a batch and degrade it, by a codec that there is for the host only."""
    from casjax.images.codecs import compress  # not at the top: JPEG needs no image library

    clean = np.asarray(augment(jnp.asarray(batch["clean"]), jnp.asarray(batch["turn"])))
    pictures = zip(clean[..., 0], batch["quality"], strict=True)
    degraded = np.stack([compress(luma, q, codec=codec)[0] for luma, q in pictures])
    turn = np.zeros_like(batch["turn"])
    return batch | {"clean": clean, "degraded": degraded[..., np.newaxis], "turn": turn}


@functools.lru_cache(maxsize=2)  # the epoch running, and the next when a batch crosses the border
def _epoch_order(seed: int, stream: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, stream, epoch, 0)).permutation(count)


def augment(clean: jax.Array, turn: jax.Array) -> jax.Array:
    """Flip and turn each cut-out: the eight symmetries of the square.

    Args:
      clean: [b, size, size, 1] of any dtype.
      turn: integers [b] in 0..7. Bit 0 transposes, then bit 1 flips top and
        bottom, then bit 2 flips left and right; 0 changes nothing.

    Returns:
      The cut-outs, in the shape and dtype of `clean`.
    """

    def where(bit: int, changed: jax.Array, unchanged: jax.Array) -> jax.Array:
        return jnp.where((turn & bit).astype(bool)[:, None, None, None], changed, unchanged)

    clean = where(1, jnp.swapaxes(clean, 1, 2), clean)
    clean = where(2, clean[:, ::-1], clean)
    return where(4, clean[:, :, ::-1], clean)
