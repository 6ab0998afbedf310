"""Trees that know where their values stood."""

from swapd.config.nodes import TOP, Child, Kind, Node, line_behind, spot_of, written_out


def scalar(text: str) -> Node:
    """Make a scalar."""
    return Node(Kind.SCALAR, text)


SHARED = Node(Kind.LIST, children={0: Child(scalar("abc"), (9, 9), (9, 9))})
TREE = Node(
    Kind.MAPPING,
    children={
        "own": Child(SHARED, (2, 1), (2, 1)),
        "alias": Child(SHARED, (3, 1), (3, 1), alias=True),
        "merged": Child(SHARED, (4, 1), (4, 1), merged=True),
    },
)


def test_a_shared_block_is_copied_for_each_use() -> None:
    """Macros are filled in differently for each model."""
    tree = written_out(TREE)

    assert tree == {"own": ["abc"], "alias": ["abc"], "merged": ["abc"]}
    assert isinstance(tree, dict)
    assert tree["own"] is not tree["alias"]


def test_a_tree_knows_what_it_comes_to() -> None:
    """These are the numbers that bound a file with aliases."""
    keys = len("own") + len("alias") + len("merged")

    assert (SHARED.weight, SHARED.height) == (1 + 1 + len("abc"), 2)
    assert (TREE.weight, TREE.height) == (1 + keys + 3 * SHARED.weight, 3)


def test_a_borrowed_value_is_blamed_on_its_borrower() -> None:
    """The shared block may be right everywhere else."""
    assert spot_of(TREE, ("own", 0)) == (2, (9, 9))
    assert spot_of(TREE, ("alias", 0)) == (1, (3, 1))
    assert spot_of(TREE, ("merged", 0)) == (0, TOP)
    assert spot_of(TREE, ("absent", "too")) == (0, TOP)
    assert spot_of(TREE, (), key="own") == (1, (2, 1))
    assert spot_of(TREE, (), key="merged") == (0, TOP)


def test_where_a_borrowed_value_was_written_is_known() -> None:
    """Whoever is to mend it must find it."""
    assert line_behind(TREE, ("own", 0)) is None
    assert line_behind(TREE, ("alias", 0)) == 9
    assert line_behind(TREE, ("merged", 0)) == 9
    assert line_behind(TREE, (), key="merged") == 4
    assert line_behind(TREE, ("absent", "too")) is None
