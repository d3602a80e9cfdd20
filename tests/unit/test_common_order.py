"""The order of a book's pictures after one was processed."""

from hypothesis import assume, given
from hypothesis import strategies as st

from handlers.common.order import reordered

orders = st.lists(st.integers(1, 30), unique=True, max_size=12)
images = st.integers(1, 40)


@given(orders, images, images)
def test_the_processed_picture_comes_first_and_nothing_is_lost_or_doubled(order, processed, original):
    new = reordered(order, processed, original)
    assert new[0] == processed
    assert sorted(new) == sorted({*order, processed})


@given(orders.filter(bool), images, st.data())
def test_the_original_goes_last(order, processed, data):
    original = data.draw(st.sampled_from(order))
    assume(original != processed)
    new = reordered(order, processed, original)
    assert new[-1] == original


@given(orders, images, images)
def test_the_others_keep_their_order(order, processed, original):
    def others(pictures):
        return [picture for picture in pictures if picture not in {processed, original}]

    assert others(reordered(order, processed, original)) == others(order)


@given(orders, images, images)
def test_doing_it_twice_changes_nothing(order, processed, original):
    once = reordered(order, processed, original)
    assert reordered(once, processed, original) == once


@given(orders, images, images)
def test_an_original_that_was_deleted_does_not_come_back(order, processed, original):
    if original not in order and original != processed:
        assert original not in reordered(order, processed, original)
