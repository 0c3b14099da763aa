"""Thumbnails of a folder of pictures: work for a process of its own, which a cancel or a time limit can kill.

Needs Pillow, and PICTURES_DIR: users name folders below it and can't reach anything else.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
from PIL import Image, UnidentifiedImageError

import jobhub

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class Thumbnails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    folder: Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="Below the pictures directory")]
    pixels: Annotated[int, msgspec.Meta(ge=16, le=2048, description="The longer side")] = 256

    def __post_init__(self) -> None:
        if Path(self.folder).is_absolute() or ".." in Path(self.folder).parts:
            raise jobhub.InvalidParameter("folder", "must be a path below the pictures directory, without ..")


@jobhub.job_type("pictures.thumbnails", timeout_seconds=1800, memory_limit_mb=2048)
def thumbnails(ctx: jobhub.ProcessJobContext, params: Thumbnails) -> dict[str, Any]:
    """Make a thumbnail of every picture in a folder."""
    folder = Path(os.environ["PICTURES_DIR"]) / params.folder
    if not folder.is_dir():
        raise jobhub.JobFailed(f"There is no folder {params.folder}.", code="no_such_folder", retryable=False)
    target = folder / "thumbnails"
    target.mkdir(exist_ok=True)
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    made, unreadable = 0, []
    for number, picture in enumerate(pictures, start=1):
        try:
            made += _make(picture, target / f"{picture.name}.webp", params.pixels)
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
            unreadable.append(picture.name)
        ctx.progress(100 * number / len(pictures), f"{number} of {len(pictures)}")
    return {"pictures": len(pictures), "made": made, "unreadable": unreadable}


def _make(picture: Path, thumbnail: Path, pixels: int) -> bool:
    """Make it, unless an earlier attempt has; whether it did. It appears whole or not at all: the process may be killed at any time."""
    if thumbnail.exists() and thumbnail.stat().st_mtime >= picture.stat().st_mtime:
        return False
    unfinished = thumbnail.with_suffix(".part")
    with Image.open(picture) as image:
        image.thumbnail((pixels, pixels))
        image.save(unfinished, "WEBP")
    unfinished.replace(thumbnail)
    return True
