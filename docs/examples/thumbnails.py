"""Thumbnails of a folder of pictures: a plain `def` handler, which runs in a process of its own.

Pictures are other people's bytes. A decoder that hangs, crashes or takes all memory harms this job alone; cancel and timeout can end it.
Needs Pillow. A second run does only what the first one left undone.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec

import jobhub

ROOT = Path(os.environ.get("PICTURES_ROOT", "pictures")).resolve()
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class Thumbnails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    folder: Annotated[str, msgspec.Meta(min_length=1, max_length=200, description="Below PICTURES_ROOT")]
    width: Annotated[int, msgspec.Meta(ge=16, le=2048)] = 320

    def __post_init__(self) -> None:
        if not (ROOT / self.folder).resolve().is_relative_to(ROOT):
            raise jobhub.InvalidParameter("folder", "must be below the root of all pictures")


@jobhub.job_type("example.thumbnails", timeout_seconds=3600, memory_limit_mb=1024)
def make_thumbnails(ctx: jobhub.ProcessJobContext, params: Thumbnails) -> dict[str, Any]:
    """Make a thumbnail of every picture in a folder."""
    folder = ROOT / params.folder
    if not folder.is_dir():
        raise jobhub.JobFailed(f"There is no folder {params.folder!r}.", code="no_such_folder", retryable=False)
    target = folder / "thumbnails"
    target.mkdir(exist_ok=True)
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    made, unreadable = 0, []
    for number, picture in enumerate(pictures, start=1):
        if ctx.cancel_requested:
            break  # there are two seconds to leave nothing half done
        thumbnail = target / f"{picture.stem}-{params.width}.jpg"
        if not thumbnail.exists():
            if _make(picture, thumbnail, params.width):
                made += 1
            else:
                unreadable.append(picture.name)
        ctx.progress(100 * number / len(pictures), f"{number} of {len(pictures)} pictures")
    return {"pictures": len(pictures), "made": made, "unreadable": unreadable}


def _make(picture: Path, thumbnail: Path, width: int) -> bool:
    """Whether it could be read. The file gets its name once it is whole."""
    from PIL import Image, UnidentifiedImageError  # API and workers import this module; only the job's own process needs Pillow

    unfinished = thumbnail.with_suffix(".part")
    try:
        with Image.open(picture) as image:
            image.thumbnail((width, image.height))
            image.convert("RGB").save(unfinished, "JPEG")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        unfinished.unlink(missing_ok=True)
        return False
    unfinished.rename(thumbnail)
    return True
