"""How things are written."""

from datetime import UTC, datetime, timedelta

import pytest

from jobhub.web.ui import wording

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-1, "0 ms"),
        (0.004, "4 ms"),
        (0.43, "0.43 s"),
        (1.25, "1.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3599.9, "1 h"),
        (11_040, "3 h 4 min"),
        (183_600, "2 d 3 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "just now"), (4, "just now"), (59, "59 s ago"), (61, "1 min ago"), (7300, "2 h ago"), (-90, "in 1 min")]
)
def test_an_age_has_one_unit(seconds, text):
    assert wording.ago(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(("share", "text"), [(None, "–"), (0, "0 %"), (1, "100 %"), (0.9999, "99.9 %"), (0.0001, "0.1 %"), (0.5, "50.0 %")])
def test_a_share_is_all_or_nothing_only_if_it_is(share, text):
    assert wording.percent(share) == text


def test_json_is_shown_as_it_is():
    assert wording.pretty({"big": 2**63 - 1, "text": "é</script>"}) == '{\n  "big": 9223372036854775807,\n  "text": "é</script>"\n}'


def test_what_is_long_is_cut():
    assert len(wording.shown("x" * 100_000)) == wording.MAX_SHOWN_JSON + 2


@pytest.mark.parametrize(("value", "text"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs")])
def test_what_is_counted_has_its_plural(value, text):
    assert wording.counted(value, "job") == text


@pytest.mark.parametrize(("hours", "text"), [(1, "13:00:00 UTC"), (13, "2026-11-29 01:00:00 UTC")])
def test_a_time_has_its_date_on_another_day(hours, text):
    assert wording.clock(NOW + timedelta(hours=hours), NOW) == text


def test_an_object_is_written_in_words():
    assert wording.pairs({"from": "pending", "password_changed": True}) == "from: pending, password changed: true"
