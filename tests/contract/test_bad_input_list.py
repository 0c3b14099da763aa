"""Every case of the catalogue of bad input is tested somewhere, or has no way into jobhub.

A case whose id stands in a table is found there. The others are told here: the test that holds it, or why there is none.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CATALOGUE = re.findall(
    r"\d\d",
    "01 03 04 05 07 08 12 13 14 15 16 17 20 22 25 26 28 29 30 32 33 34 35 36 37 38 39 40 41 43 44 46 47 48 49 50 51 52 53 57 58 60 61 62 63"
    " 64 65 67 68 69 70 71 72 74 75 76 77 78 80 81 83 84",
)
TABLES = ("web/test_bad_input.py", "web/test_odd_input.py", "acceptance/test_raw_http.py")
ELSEWHERE = {
    "20": "web/test_requests.py::test_parameters_may_have_128_kib_and_not_a_byte_more",
    "33": "web/test_requests.py::test_anything_else_is_a_415",
    "34": "web/test_requests.py::test_anything_else_is_a_415",
    "36": "web/test_requests.py::test_a_body_without_a_length_is_cut_at_the_same_size",
    "38": "web/test_requests.py::test_a_body_where_none_belongs_is_ignored",
    "43": "web/test_methods.py::test_every_route_refuses_other_methods_and_says_which_it_has",
    "44": "web/test_methods.py::test_head_opens_nothing_that_get_does_not",
    "57": "web/test_idempotency.py::test_what_is_no_key_is_refused",
    "58": "web/test_idempotency.py::test_another_body_under_the_same_key_is_refused",
    "60": "web/test_jobs.py::test_a_verb_of_users_is_a_200_where_it_is_allowed_and_a_409_elsewhere",
    "61": "web/test_jobs.py::test_of_two_retries_at_once_one_is_refused",
    "63": "web/ui/test_forms.py::test_a_form_without_it_is_refused",
    "65": "web/test_admin.py::test_a_clean_up_while_another_runs_is_refused_and_works_afterwards",
    "70": "handlers/test_address_guard.py::test_a_url_that_spells_out_a_private_host_is_refused_and_names_the_switch",
    "76": "web/test_waiting.py::test_a_job_that_is_deleted_meanwhile_is_a_404",
    "77": "web/test_limits.py::test_one_too_many_is_a_429_that_says_which_limit_and_when_to_come_back",
    "80": "web/ui/test_job_page.py::test_a_large_result_is_shown_in_part_and_downloaded_whole",
    "83": "worker/test_texts.py::test_a_text_loses_only_what_postgresql_can_not_hold",
    "84": "store/test_reporting.py::test_a_report_can_not_write",
}
NO_SURFACE = {
    "68": "there is no bulk submit",
}


@pytest.mark.parametrize("number", CATALOGUE)
def test_a_case_is_tested_or_has_no_way_in(number):
    in_tables = any(re.search(rf"B-{number}\b", (TESTS / name).read_text()) for name in TABLES)

    assert in_tables or number in ELSEWHERE or number in NO_SURFACE


@pytest.mark.parametrize("number", ELSEWHERE)
def test_the_test_that_is_named_is_there(number):
    file, name = ELSEWHERE[number].split("::")

    assert f"def {name}(" in (TESTS / file).read_text()
