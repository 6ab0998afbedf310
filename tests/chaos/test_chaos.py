"""The account of a run with faults: what counts as what, and one run of it."""

import json

import pytest

from tests.chaos import model
from tests.chaos.account import (
    Account,
    Answer,
    Anything,
    Ending,
    Exactly,
    Saying,
    judge,
    judge_left,
)
from tests.chaos.faults import KINDS, plan
from tests.chaos.run import play
from tests.chaos.shape import Shape

BODY = json.dumps({"pieces": 3, "size": 200, "stream": True, "interval": 0}).encode()
RIGHT = model.answer_to(BODY)
OTHER = model.answer_to(BODY + b" ")
FIRST = next(model.pieces(BODY))

ENVELOPE = b'{"src":"swapd","error":{"message":"no","code":"cancelled"}}'
STRANGER = b'{"error":{"message":"no","code":"cancelled"}}'
ERROR = b"\n\ndata: " + ENVELOPE + b"\n\n"

CHUNKS = [
    b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % word for word in (b"by", b" the", b"e")
]
SAID = b"".join(CHUNKS) + b"data: [DONE]\n\n"
PLAIN = b'{"choices":[{"message":{"content":"by thee"}}]}'


def answer(
    body: bytes, *, status: int | None = 200, events: bool = True, complete: bool = True
) -> Answer:
    """What a client got."""
    return Answer(status, events=events, body=body, complete=complete)


def cut(body: bytes, *, events: bool = True) -> Answer:
    """What a client got before the connection ended."""
    return answer(body, events=events, complete=False)


@pytest.mark.parametrize(
    ("got", "ending"),
    [
        (answer(RIGHT), Ending.ANSWERED),
        (answer(RIGHT, events=False), Ending.ANSWERED),
        (answer(b": waiting\n\n" + RIGHT), Ending.ANSWERED),
        (answer(OTHER), Ending.WRONG),
        (answer(RIGHT[:-1]), Ending.WRONG),
        (answer(FIRST), Ending.WRONG),
        (answer(RIGHT + b"x"), Ending.WRONG),
        (answer(FIRST + FIRST), Ending.WRONG),
        (answer(b""), Ending.WRONG),
        (answer(b"stolen", events=False), Ending.WRONG),
        (answer(RIGHT + ERROR, events=False), Ending.WRONG),
        (cut(b""), Ending.CUT),
        (cut(RIGHT[:-1]), Ending.CUT),
        (cut(RIGHT), Ending.CUT),
        (cut(b": waiting\n\n: wai"), Ending.CUT),
        (cut(FIRST, events=False), Ending.CUT),
        (cut(OTHER[:-1]), Ending.WRONG),
        (cut(OTHER[:-1], events=False), Ending.WRONG),
        (answer(FIRST + ERROR), Ending.REFUSED),
        (cut(FIRST[:-9] + ERROR), Ending.REFUSED),
        (answer(b": waiting\n\n" + ERROR), Ending.REFUSED),
        (cut(FIRST + ERROR[:12]), Ending.CUT),
        (cut(FIRST + b"x" + ERROR), Ending.WRONG),
        (answer(b"", status=None, complete=False), Ending.CUT),
        (answer(ENVELOPE, status=503, events=False), Ending.REFUSED),
        (answer(ENVELOPE[:9], status=503, events=False, complete=False), Ending.CUT),
        (answer(STRANGER, status=503, events=False), Ending.WRONG),
        (answer(b"stolen", status=503, events=False), Ending.WRONG),
        (answer(RIGHT, status=503), Ending.WRONG),
    ],
)
def test_bytes_are_wrong_unless_they_are_known_to_be_right(got, ending):
    """A judge that lets one wrong byte pass proves nothing with a thousand answers."""
    assert judge(got, Exactly(RIGHT)) is ending


@pytest.mark.parametrize(
    ("got", "events", "ending"),
    [
        (answer(SAID), True, Ending.ANSWERED),
        (answer(CHUNKS[0] + CHUNKS[1]), True, Ending.WRONG),
        (answer(CHUNKS[0] + b"data: [DONE]\n\n"), True, Ending.WRONG),
        (answer(SAID.replace(b"the", b"tha")), True, Ending.WRONG),
        (cut(CHUNKS[0] + CHUNKS[1][:20]), True, Ending.CUT),
        (cut(CHUNKS[1]), True, Ending.WRONG),
        (cut(b"data: stolen\n\n"), True, Ending.WRONG),
        (answer(CHUNKS[0] + CHUNKS[1][:20] + ERROR), True, Ending.REFUSED),
        (answer(PLAIN, events=False), False, Ending.ANSWERED),
        (answer(PLAIN.replace(b"thee", b"the"), events=False), False, Ending.WRONG),
        (answer(b"stolen", events=False), False, Ending.WRONG),
        (cut(PLAIN[:9], events=False), False, Ending.CUT),
    ],
)
def test_what_llama_cpp_says_is_compared_word_by_word(got, events, ending):
    """Its ids and times differ from one answer to the next, its words must not."""
    assert judge(got, Saying("by thee", events)) is ending


def test_who_leaves_still_looks_at_what_came():
    """Half an answer to somebody else is as wrong as a whole one."""
    assert judge_left(cut(FIRST), Exactly(RIGHT)) is Ending.LEFT
    assert judge_left(cut(OTHER[:90]), Exactly(RIGHT)) is Ending.WRONG
    assert judge_left(answer(RIGHT), Exactly(RIGHT)) is Ending.ANSWERED


def test_the_account_adds_up_only_if_every_request_has_its_ending():
    """A request that is forgotten is the one that hangs."""
    account = Account()
    first, second = account.send("one"), account.send("two")
    account.end(first, judge(answer(b"x"), Anything()))
    assert not account.adds_up
    assert "1 without an ending" in str(account)
    account.end(second, Ending.LEFT)
    assert account.adds_up
    assert str(account).startswith("2 sent = 1 answered + 0 failed (0 refused, 0 cut) + 1 left")


@pytest.mark.parametrize("ending", [Ending.HUNG, Ending.WRONG])
def test_a_bad_ending_spoils_the_account(ending):
    """One wrong answer among thousands is the one that counts."""
    account = Account()
    account.end(account.send("one"), ending, answer(b"stolen"))
    assert not account.adds_up
    assert "stolen" in account.failures[0]


def test_a_seed_chooses_the_same_faults_again():
    """A run that failed can be had once more, and long ones have every kind of fault."""
    faults = plan(7, seconds=60, models=["a", "b"])
    assert faults == plan(7, seconds=60, models=["a", "b"])
    assert faults != plan(8, seconds=60, models=["a", "b"])
    assert {fault.kind for fault in faults} == set(KINDS)
    assert all(fault.at + fault.seconds <= 60 for fault in faults)


def test_seeds_in_a_row_are_runs_of_every_shape():
    """Ten runs must not be the same run ten times."""
    shapes = [Shape.of(seed, 25) for seed in range(10)]
    assert len({(shape.serial, shape.unix) for shape in shapes}) == 4
    assert len({(shape.serial, shape.end) for shape in shapes}) == 6


@pytest.mark.real
async def test_a_short_run_adds_up(tmp_path):
    """Models are killed, ports stolen, the disk is full: nothing is lost, and nothing is left."""
    outcome = await play(Shape.of(1, 4.0, llamas=False), tmp_path)
    assert outcome.good, "\n".join([outcome.line(), *outcome.account.failures, outcome.log])
    assert outcome.account.endings[Ending.ANSWERED] > 10
