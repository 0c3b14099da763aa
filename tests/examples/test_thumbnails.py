"""docs/examples/thumbnails.py, run by a worker."""

from PIL import Image

from tests import factories
from tests.worker.processes import wait_for_status, worker_process

HANDLERS = "docs.examples.thumbnails"


def thumbnails_job(sql, alice, parameters: str):
    return factories.make_job(sql, alice, job_type="pictures.thumbnails", parameters=parameters)


def test_every_readable_picture_gets_a_thumbnail(dsn, sql, alice, tmp_path):
    folder = tmp_path / "summer"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (800, 400), (number * 80, 90, 90)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("nor this")
    job_id = thumbnails_job(sql, alice, '{"folder": "summer", "pixels": 64}')

    with worker_process(dsn, tmp_path, JOBHUB_HANDLERS=HANDLERS, PICTURES_DIR=str(tmp_path)):
        row = wait_for_status(sql, job_id, "completed", seconds=30)
        again = wait_for_status(sql, thumbnails_job(sql, alice, '{"folder": "summer", "pixels": 64}'), "completed", seconds=30)

    assert row.result == {"pictures": 4, "made": 3, "unreadable": ["broken.jpg"]}
    assert again.result == {"pictures": 4, "made": 0, "unreadable": ["broken.jpg"]}
    sizes = []
    for path in (folder / "thumbnails").iterdir():
        with Image.open(path) as thumbnail:
            sizes.append(thumbnail.size)
    assert sizes == [(64, 32)] * 3


def test_a_folder_that_is_not_there_is_said_in_words(dsn, sql, alice, tmp_path):
    job_id = thumbnails_job(sql, alice, '{"folder": "winter"}')
    outside = thumbnails_job(sql, alice, '{"folder": "../etc"}')

    with worker_process(dsn, tmp_path, JOBHUB_HANDLERS=HANDLERS, PICTURES_DIR=str(tmp_path)):
        row = wait_for_status(sql, job_id, "failed", seconds=30)
        refused = wait_for_status(sql, outside, "failed", seconds=30)

    assert (row.error_code, row.error_message) == ("no_such_folder", "There is no folder winter.")
    assert refused.error_code == "invalid_parameters"
