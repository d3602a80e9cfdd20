"""Waivers: owner, reason and expiry, all of them; over on their day; told when nothing needs them."""

import datetime

import pytest

from policies.docs import FILE as PAGE
from policies.docs import page
from policies.rules import RULES
from policies.waivers import FILE, Ledger, Waiver, WaiverError, load

NAMES = [rule.name for rule in RULES]
TODAY = datetime.date(2027, 1, 31)
GOOD = {
    "rule": '"queue-encrypted"',
    "resource": '"queue"',
    "stack": '"staging"',
    "owner": '"somebody@example.com"',
    "reason": '"until the key is there"',
    "expires": "2027-01-31",
}


def written(tmp_path, *tables):
    path = tmp_path / "waivers.toml"
    path.write_text("\n".join("[[waiver]]\n" + "\n".join(f"{k} = {v}" for k, v in table.items()) for table in tables))
    return path


def test_the_repositorys_own_waivers_can_be_read_and_none_is_over():
    assert not [w for w in load(FILE, NAMES) if w.expired(datetime.datetime.now(tz=datetime.UTC).date())]


def test_a_whole_waiver_is_read(tmp_path):
    (waiver,) = load(written(tmp_path, GOOD), NAMES)
    expected = ("queue-encrypted", "queue", "staging", "somebody@example.com", "until the key is there", TODAY)
    assert waiver == Waiver(*expected)


@pytest.mark.parametrize("name", GOOD)
def test_a_waiver_that_lacks_a_field_is_refused_by_its_name(tmp_path, name):
    table = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(WaiverError, match=f"waiver 1: {name} is missing"):
        load(written(tmp_path, table), NAMES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expires": '"2027-01-31"'}, "expires is not 2027-01-31, without quotes"),
        ({"expires": "2027-01-31T00:00:00Z"}, "expires is not"),
        ({"owner": '""'}, "owner is missing"),
        ({"owner": "7"}, "owner is not a text"),
        ({"rule": '"no-such-rule"'}, "there is no rule 'no-such-rule'"),
        ({"until": "2027-01-31"}, "'until' is no field of a waiver"),
    ],
)
def test_a_waiver_that_says_something_else_is_refused(tmp_path, change, says):
    with pytest.raises(WaiverError, match=says):
        load(written(tmp_path, {**GOOD, **change}), NAMES)


def test_two_waivers_for_the_same_thing_are_refused(tmp_path):
    with pytest.raises(WaiverError, match="is there twice"):
        load(written(tmp_path, GOOD, {**GOOD, "reason": '"another"'}), NAMES)


@pytest.mark.parametrize(
    ("text", "says"), [("[[waiver", "cannot be read"), ("[waivers]", "'waivers' is nothing known")]
)
def test_a_file_that_is_none_is_refused(tmp_path, text, says):
    path = tmp_path / "waivers.toml"
    path.write_text(text)
    with pytest.raises(WaiverError, match=says):
        load(path, NAMES)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(WaiverError, match="cannot be read"):
        load(tmp_path / "waivers.toml", NAMES)


def test_a_waiver_holds_on_its_last_day_for_its_own_rule_resource_and_stack_and_not_the_day_after(tmp_path):
    waivers = load(written(tmp_path, GOOD), NAMES)
    ledger = Ledger(waivers, TODAY)
    others = [("queue-receives", "queue", "staging"), ("queue-encrypted", "other", "staging")]
    assert not any(ledger.waives(*each) for each in (*others, ("queue-encrypted", "queue", "prod")))
    assert ledger.verdict("staging").unused == waivers
    assert ledger.waives("queue-encrypted", "queue", "staging")
    assert ledger.verdict("staging") == ledger.verdict("prod")
    late = Ledger(waivers, TODAY + datetime.timedelta(days=1))
    assert not late.waives("queue-encrypted", "queue", "staging")
    assert late.verdict("staging").expired == waivers
    assert not late.verdict("prod").expired


def test_the_page_is_what_the_rules_say():
    assert PAGE.read_text() == page(), "write it anew: python -m policies.docs"
