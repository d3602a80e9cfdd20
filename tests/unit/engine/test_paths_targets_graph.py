"""Property paths, --target patterns, differences, orders: the engine's pure parts."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.engine import paths, urns
from local.engine.diffing import Diff, PropertyDiff, apply_replace_on_changes, compare_inputs
from local.engine.errors import EngineError
from local.engine.graph import deletion_waves, dependents, sort_keys, sort_states
from local.engine.registration import seconds
from local.engine.state import ResourceState
from local.engine.targets import UrnTargets
from local.engine.values import Secret

# --- paths: the cases of Pulumi's sdk/go/common/resource/properties_path.go ------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("root", ("root",)),
        ("root.nested", ("root", "nested")),
        ('root["nested"]', ("root", "nested")),
        ("root.array[0].nested", ("root", "array", 0, "nested")),
        ('["root key with \\"escaped\\" quotes"].nested', ('root key with "escaped" quotes', "nested")),
        ("root.array[*].field", ("root", "array", "*", "field")),
        ("*", ("*",)),
    ],
)
def test_a_path_is_read(text, path):
    assert paths.parse(text) == path


@pytest.mark.parametrize("text", [".root", "root.", "root[0", 'root["x', 'root["x"', "root[x]"])
def test_a_malformed_path_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|missing|invalid"):
        paths.parse(text)


@pytest.mark.parametrize(
    ("outer", "inner", "contained"),
    [
        ("a", "a", True),
        ("a", "a.b[1]", True),
        ("a.b", "a", False),
        ("a[*].c", "a[3].c", True),
        ("a[1]", "a[2]", False),
        ("*", "anything.at", True),
        ("a", "ab", False),
    ],
)
def test_a_path_contains_what_lies_under_it(outer, inner, contained):
    assert paths.contains(paths.parse(outer), paths.parse(inner)) is contained


@pytest.mark.parametrize(
    ("path", "old", "new", "possible", "result"),
    [
        ("a", {"a": 1}, {"a": 2}, True, {"a": 1}),
        ("a", {}, {"a": 2, "b": 3}, True, {"b": 3}),
        ("a", {"a": 1}, {}, True, {"a": 1}),
        ("a.b", {"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, True, {"a": {"b": 1, "c": 3}}),
        ("a.b", {"a": {"b": 1}}, {}, False, {}),
        ("a.b", {}, {"a": {"b": 2}}, True, {"a": {}}),
        ("a[0]", {"a": [1, 2]}, {"a": [9, 9]}, True, {"a": [1, 9]}),
        ("a[1]", {"a": [1, 2]}, {"a": [9]}, False, {"a": [9]}),
        ("a[5]", {"a": [1]}, {"a": [9]}, True, {"a": [9]}),
        ("a[-1]", {"a": [1]}, {"a": [9]}, False, {"a": [9]}),
        ("*", {"a": 1, "b": 2}, {"b": 3, "c": 4}, True, {"a": 1, "b": 2}),
        ("a[*].n", {"a": [{"n": 1}, {"n": 2}]}, {"a": [{"n": 8}, {"n": 9}]}, True, {"a": [{"n": 1}, {"n": 2}]}),
        ("a[*]", {"a": [1, 2]}, {"a": [9]}, False, {"a": [1]}),
        ("a.b", {"a": Secret({"b": 1})}, {"a": {"b": 2}}, True, {"a": {"b": Secret(1)}}),
        ("a.b", {"a": Secret({"b": 1})}, {"a": Secret({"b": 2})}, True, {"a": Secret({"b": 1})}),
    ],
)
def test_a_reset_puts_the_old_value_back(path, old, new, possible, result):
    assert paths.reset(paths.parse(path), old, new) is possible
    assert new == result


NAMES = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(st.integers(0, 3), lambda t: st.lists(t, max_size=3) | st.dictionaries(NAMES, t, max_size=3))
STEPS = st.lists(NAMES | st.integers(0, 2) | st.just("*"), min_size=1, max_size=3)


@given(st.dictionaries(NAMES, TREES), st.dictionaries(NAMES, TREES), STEPS)
def test_a_reset_never_changes_the_old_side_and_is_settled_after_once(old, new, path):
    before = copy.deepcopy(old)
    if paths.reset(tuple(path), old, new):
        once = copy.deepcopy(new)
        paths.reset(tuple(path), old, new)
        assert new == once
    assert old == before


# --- differences ------------------------------------------------------------------------------------------------------


def test_inputs_are_compared_path_by_path():
    diff = compare_inputs(
        {"a": {"x": 1, "k.y": 1}, "l": [1, 2], "s": Secret(1)}, {"a": {"x": 2}, "l": [1], "s": 1, "n": 1}
    )
    assert {path: part.kind for path, part in (diff.detailed or {}).items()} == {
        "a.x": "update",
        'a["k.y"]': "delete",
        "l[1]": "delete",
        "n": "add",
    }
    assert diff.changed_keys == ("a", "l", "n")


@given(st.dictionaries(NAMES, TREES))
def test_equal_inputs_have_no_difference(props):
    assert compare_inputs(props, copy.deepcopy(props)).changes == "none"


@given(st.dictionaries(NAMES, TREES), st.dictionaries(NAMES, TREES))
def test_a_difference_seen_backwards_is_the_inverse(old, new):
    forwards = compare_inputs(old, new).inverted().detailed
    assert forwards == compare_inputs(new, old).detailed


def test_replace_on_changes_turns_a_difference_under_its_path_into_a_replacement():
    diff = Diff("some", changed_keys=("a", "b"), detailed={"a.x": PropertyDiff("update"), "b": PropertyDiff("add")})
    replaced = apply_replace_on_changes(diff, ["a"], unhealthy=False)
    assert replaced.replaces
    assert replaced.replace_keys == ("a",)
    assert {path: part.kind for path, part in (replaced.detailed or {}).items()} == {
        "a.x": "update-replace",
        "b": "add",
    }
    assert not apply_replace_on_changes(diff, ["c"], unhealthy=False).replaces
    assert apply_replace_on_changes(Diff("none"), ["*"], unhealthy=True).replaces


# --- targets ----------------------------------------------------------------------------------------------------------

URN = "urn:pulumi:dev::shop::a:b:C$d:e/f:G::name.1"


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (URN, True),
        ("**", True),
        ("*", False),
        ("**::name.1", True),
        ("**::nameX1", False),
        ("urn:pulumi:*::*::a:b:C$d:e/f:G::*", True),
        ("urn:pulumi:*::*::*::name.1", False),
        ("urn:pulumi:dev::shop::**$d:e/*:G::name.1", True),
        (URN[:-1], False),
        (URN.replace("$", "*"), True),
    ],
)
def test_a_star_stays_within_a_part_and_two_stars_do_not(pattern, matches):
    assert (URN in UrnTargets([pattern])) is matches


def test_no_pattern_is_everything():
    assert URN in UrnTargets()
    assert not UrnTargets()
    grown = UrnTargets()
    grown.add("x")
    assert "y" in grown


@given(st.text(alphabet="ab.$:+*[", max_size=12), st.text(alphabet="ab.$:+[", max_size=12))
def test_only_stars_are_special(pattern, urn):
    if "*" not in pattern:
        assert (urn in UrnTargets([pattern])) is (urn == pattern)
    else:
        assert urn in UrnTargets([f"{urn}*", pattern])


# --- URNs -------------------------------------------------------------------------------------------------------------


def test_a_urn_carries_the_types_of_its_parents_but_not_the_stack():
    root = urns.make("dev", "shop", "", urns.ROOT_STACK_TYPE, "shop-dev")
    box = urns.make("dev", "shop", root, "x:y:Box", "box")
    inner = urns.make("dev", "shop", box, "a:b:C", "in::ner")
    assert inner == "urn:pulumi:dev::shop::x:y:Box$a:b:C::in::ner"
    assert (urns.type_of(inner), urns.name_of(inner)) == ("a:b:C", "in::ner")


@pytest.mark.parametrize("text", ["nonsense", "urn:pulumi:a::b::c::d", "::id"])
def test_what_is_no_provider_reference_is_refused(text):
    with pytest.raises(ValueError, match="is not a provider reference"):
        urns.split_reference(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("45s", 45), ("1m30s", 90), ("2h", 7200), ("1.5m", 90), ("250ms", 0.25)]
)
def test_durations_are_read_as_go_writes_them(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["45", "s", "1m 30s", "1d", ""])
def test_a_malformed_duration_is_refused(text):
    with pytest.raises(EngineError, match="customTimeout"):
        seconds(text)


# --- orders -----------------------------------------------------------------------------------------------------------


def state(name, *deps, parent="", custom=True, delete=False):
    def urn(n):
        return f"urn:pulumi:s::p::t:i:T::{n}"

    return ResourceState(
        "t:i:T",
        urn(name),
        custom=custom,
        id=name,
        parent=urn(parent) if parent else "",
        dependencies=[urn(dep) for dep in deps],
        delete=delete,
    )


EDGES = st.integers(1, 8).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, size), max_size=3), min_size=size, max_size=size)
)


@given(EDGES, st.randoms())
def test_states_are_sorted_after_what_they_need_whatever_order_they_came_in(edges, random):
    states = [state(f"n{i}", *{f"n{dep}" for dep in deps if dep < i}) for i, deps in enumerate(edges)]
    shuffled = list(states)
    random.shuffle(shuffled)
    ordered = sort_states(shuffled)
    assert [s.urn for s in ordered] == [s.urn for s in sort_states(states)]
    place = {s.urn: number for number, s in enumerate(ordered)}
    assert all(place[dep] < place[s.urn] for s in states for dep in s.dependencies)


@given(EDGES)
def test_deletions_go_before_what_they_need(edges):
    states = [state(f"n{i}", *{f"n{dep}" for dep in deps if dep < i}) for i, deps in enumerate(edges)]
    wave = {s.urn: number for number, group in enumerate(deletion_waves(states)) for s in group}
    assert wave.keys() == {s.urn for s in states}
    assert all(wave[dep] > wave[s.urn] for s in states for dep in s.dependencies)


def test_children_go_before_their_component_and_before_what_it_depends_on():
    waves = deletion_waves(
        [state("box", custom=False), state("inner", parent="box"), state("user", "box"), state("plain")]
    )
    assert [[s.id for s in wave] for wave in waves] == [["plain", "user"], ["inner"], ["box"]]


def test_a_cycle_made_by_hand_loses_nothing():
    assert sort_keys({"a": ["b"], "b": ["a"], "c": []}) == ["c", "a", "b"]
    assert sum(len(wave) for wave in deletion_waves([state("a", "b"), state("b", "a")])) == 2


def test_dependents_are_found_through_others_and_children_only_when_asked():
    states = [state("a"), state("b", "a"), state("c", "b"), state("d"), state("e", parent="a")]
    assert [s.id for s in dependents(states[0], states, with_children=False)] == ["b", "c"]
    assert [s.id for s in dependents(states[0], states, with_children=True)] == ["b", "c", "e"]
    assert [s.id for s in dependents(states[0], states, {states[1].urn}, with_children=False)] == []
