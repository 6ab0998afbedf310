"""`swapd load` and `swapd unload`, against a server that says what a daemon does."""

import pytest

from swapd.terminal.commands import main

A = '{"id":"a","state":"ready","pid":7,"load_s":2.5}'
B = '{"id":"b","state":"stopped","pid":null,"load_s":null}'


def exit_code(*argv: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.real
def test_a_load_comes_back_when_the_model_is_ready(server, capsys):
    """A script goes on with a request."""
    server.says("POST /api/models/load/x/a%20b?wait=1", '{"model":"a","state":"ready"}')
    assert exit_code("load", "x/a b") == 0
    assert capsys.readouterr() == ("a is ready\n", "")
    assert len(server.asked) == 1


@pytest.mark.real
def test_a_load_that_is_refused_has_its_cause(server, capsys):
    """With what the model wrote last, as harmless as everything; `--json` has it as it is."""
    no = (
        b'{"src":"swapd","error":{"message":"cannot load a: exited with 1",'
        b'"cause":{"last_lines":["\\u001b[31mno CUDA"]}}}'
    )
    server.says("POST /api/models/load/a?wait=1", no, 502)
    assert exit_code("load", "a") == 1
    complaint = "swapd: cannot load a: exited with 1\nswapd:   \\x1b[31mno CUDA\n"
    assert capsys.readouterr() == ("", complaint)

    assert exit_code("load", "--json", "a") == 1
    assert capsys.readouterr() == (no.decode() + "\n", complaint)


@pytest.mark.real
def test_progress_is_for_eyes(server, capsys, monkeypatch):
    """The learned load time is asked for only where a bar is seen; stdout stays a script's."""
    server.says("GET /api/models/b", B)
    server.says("POST /api/models/load/b?wait=1", '{"model":"b","state":"ready"}')
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert exit_code("load", "b") == 0
    out, err = capsys.readouterr()
    assert out == "b is ready\n"
    assert err.endswith("\r\x1b[K")
    assert server.told == ["GET /api/models/b", "POST /api/models/load/b?wait=1"]


@pytest.mark.real
def test_an_unload_says_what_is_gone(server, capsys):
    """An alias stands for a model, and its process was what took the memory."""
    server.says("GET /api/models/alias", A)
    server.says("POST /api/models/unload/alias", "OK", kind="text/plain")
    assert exit_code("unload", "alias") == 0
    assert capsys.readouterr() == ("a is gone (process 7)\n", "")

    server.says("GET /api/models/b", B)
    server.says("POST /api/models/unload/b", "OK", kind="text/plain")
    assert exit_code("unload", "b") == 0
    assert capsys.readouterr() == ("b was not loaded\n", "")


@pytest.mark.real
def test_without_a_name_all_are_unloaded(server, capsys):
    """And only those that were there are said to be gone."""
    server.says("GET /api/models", f'{{"models":[{A},{B}]}}')
    server.says("POST /api/models/unload", '{"msg":"ok"}\n')
    assert exit_code("unload") == 0
    assert capsys.readouterr() == ("a is gone (process 7)\n", "")

    server.says("GET /api/models", f'{{"models":[{B}]}}')
    assert exit_code("unload") == 0
    assert capsys.readouterr() == ("no model was loaded\n", "")

    assert exit_code("unload", "--json") == 0
    assert capsys.readouterr() == ('{"msg":"ok"}\n', "")


@pytest.mark.real
def test_a_model_that_will_not_die_is_not_said_to_be_gone(server, capsys):
    """It still has the memory."""
    server.says("GET /api/models/a", A)
    no = '{"src":"swapd","error":{"message":"a will not die"}}'
    server.says("POST /api/models/unload/a", no, 503)
    assert exit_code("unload", "a") == 1
    assert capsys.readouterr() == ("", "swapd: a will not die\n")
