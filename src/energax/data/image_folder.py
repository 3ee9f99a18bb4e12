"""A folder of pictures of one size: grey or RGB, 8 bits; each sub-folder is a class."""

import warnings
from pathlib import Path

import numpy as np

from energax.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "PPM")
MOST_PIXELS = 4096 * 4096
MOST_BYTES = 2**30


def read(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Pictures uint8 `[n, height, width, channels]`, and their sub-folders' names as labels or None.

    Files whose names begin with a dot are passed over; any other file that is no picture is refused.

    Raises:
        DataError: There is no picture, they differ in size or kind, one is damaged or too big, or a link leads out.
    """
    files, labels = _list(folder)
    height, width, channels = _size(files[0])
    total = len(files) * height * width * channels
    if total > MOST_BYTES:
        raise DataError(f"{folder} must take at most {MOST_BYTES} bytes as arrays; {len(files)} pictures take {total}.")
    x = np.empty((len(files), height, width, channels), np.uint8)
    for i, file in enumerate(files):
        if _size(file) != (height, width, channels):
            raise DataError(
                f"{file} must be {width}x{height} with {channels} channel(s) as {files[0].name} is; "
                f"got (height, width, channels) = {_size(file)}."
            )
        x[i] = _pixels(file).reshape(height, width, channels)
    return x, None if labels is None else np.array(labels)


def _list(folder: Path) -> tuple[list[Path], list[str] | None]:
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    classes = [entry for entry in entries if entry.is_dir()]
    if classes and len(classes) != len(entries):
        loose = next(entry for entry in entries if not entry.is_dir())
        raise DataError(
            f"{folder} must hold pictures or sub-folders of pictures, not both; got {loose.name} beside folders."
        )
    files: list[Path] = []
    labels: list[str] = []
    for part in classes or [folder]:
        inside = sorted(entry for entry in part.iterdir() if not entry.name.startswith("."))
        for file in inside:
            _check_file(folder, file)
        files += inside
        labels += [part.name] * len(inside)
    if len(files) < 2:
        raise DataError(f"{folder} must hold at least 2 pictures ({', '.join(ENDINGS)}); got {len(files)}.")
    return files, labels if classes else None


def _check_file(folder: Path, file: Path) -> None:
    if not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{file} must lie in {folder}; it is a link that leads out of it.")
    if not file.is_file() or file.suffix.lower() not in ENDINGS:
        raise DataError(f"{file} must be a picture ({', '.join(ENDINGS)}); got another kind of entry.")


def _size(file: Path) -> tuple[int, int, int]:
    """Height, width and channels from the header alone."""
    with _opened(file) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise DataError(f"{file} must have at most {MOST_PIXELS} pixels; its header declares {width}x{height}.")
        channels = {"1": 1, "L": 1, "RGB": 3}.get(image.mode)
        if channels is None:
            raise DataError(f"{file} must be grey or RGB of 8 bits without transparency; got mode {image.mode}.")
        if getattr(image, "n_frames", 1) != 1:
            raise DataError(f"{file} must hold one picture; got {image.n_frames}.")
        return height, width, channels


def _pixels(file: Path) -> np.ndarray:
    try:
        with _opened(file) as image:
            image.verify()  # a PNG's checksums; decoding alone does not look at them
        with _opened(file) as image:
            return np.asarray(image.convert("L") if image.mode == "1" else image)
    except Exception as problem:  # Pillow's decoders raise SyntaxError, struct.error, OSError and others
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{file} must be a whole picture; got {str(problem)[:120]}.") from None


def _opened(file: Path):
    try:
        from PIL import Image
    except ImportError:
        raise DataError("A folder of images needs Pillow: pip install pillow.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header that declares a bomb is refused by _size in our own words
            return Image.open(file, formats=FORMATS)
    except Exception as problem:  # as above: no decoder's own error may reach the user as a traceback
        raise DataError(f"{file} must be a picture; got {str(problem)[:120]}.") from None
