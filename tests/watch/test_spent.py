"""What the time goes to: counted once, and never twice at a time."""

from swapd.watch.spent import Spent


def test_time_is_serving_swapping_or_neither():
    """A load beside a stream costs nobody anything, and so is no time lost to swapping."""
    spent = Spent()
    spent.note(10, serves=False, swaps=True)
    spent.note(13, serves=True, swaps=True)
    spent.note(20, serves=False, swaps=False)
    spent.note(50, serves=False, swaps=False)
    assert (spent.swapping, spent.serving) == (3, 7)


def test_asking_in_the_middle_counts_nothing_twice():
    """Whoever scrapes twice as often must not see twice the time."""
    often, seldom = Spent(), Spent()
    for spent, step in ((often, 1), (seldom, 5)):
        for now in range(0, 21, step):
            spent.note(now, serves=now < 10, swaps=now >= 10)
    assert (often.serving, often.swapping) == (seldom.serving, seldom.swapping) == (10, 10)
