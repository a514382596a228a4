"""What would spoil the memory of files: a change that it doesn't see, damage to its own notes."""

import hashlib
import os
import threading

import numpy as np
import pytest

from malaria_nb import digests
from malaria_nb.digests import (
    discard,
    file_digests,
    is_sealed,
    read_sealed,
    remembered,
    write_sealed,
)

FILES = ["a", "b", "sub/c"]


@pytest.fixture
def top(tmp_path):
    top = tmp_path / "files"
    (top / "sub").mkdir(parents=True)
    for file in FILES:
        (top / file).write_bytes(file.encode() * 10)
    return top


@pytest.fixture
def look(tmp_path):
    "Look files up in one folder of notes; returns what was found, and what had to be read."

    def looked(top, files=FILES, notes=tmp_path / "notes"):
        asked = []

        def read(file):
            asked.append(file)
            return len((top / file).read_bytes()), (top / file).read_bytes()[0]

        return remembered(top, files, read, ("i8", 2), notes, "sums").tolist(), sorted(asked)

    return looked


def right(top, files=FILES):
    return [[len(data), data[0]] for data in ((top / file).read_bytes() for file in files)]


def test_what_was_read_is_not_read_again(top, look):
    assert look(top) == (right(top), FILES)
    assert look(top) == (right(top), [])
    assert look(top, FILES[::-1]) == (right(top, FILES[::-1]), [])
    assert look(top, FILES[1:2]) == (right(top, FILES[1:2]), [])
    (top / "d").write_bytes(b"d")
    assert look(top, ["d"]) == ([[1, ord("d")]], ["d"])
    assert look(top, [*FILES, "d"])[1] == []  # one that was asked for alone displaces none
    assert look(top, notes=None)[1] == FILES


def in_place(file):
    file.write_bytes(b"z" + file.read_bytes()[1:])


def renamed(file):
    part = file.with_name("part")
    part.write_bytes(b"z" + file.read_bytes()[1:])
    os.replace(part, file)


def swapped(file):
    "Let two files that are both older change their names."
    os.rename(file, file.with_name("x"))
    os.rename(file.with_name("b"), file)
    os.rename(file.with_name("x"), file.with_name("b"))


@pytest.mark.parametrize("same_date", [False, True])
@pytest.mark.parametrize("change", [in_place, renamed, swapped])
def test_a_change_is_noticed(top, look, change, same_date):
    for file in FILES:
        os.utime(top / file, ns=(10**18, 10**18 + 1))
    look(top)
    change(top / "a")
    if same_date:
        os.utime(top / "a", ns=(10**18, 10**18 + 1))
    found, read = look(top)
    assert found == right(top) and "a" in read and "sub/c" not in read


def test_a_link_that_points_elsewhere_is_noticed(top, look):
    (top / "one").write_bytes(b"1")
    (top / "two").write_bytes(b"2")
    (top / "link").symlink_to("one")
    look(top, ["link"])
    (top / "link").unlink()
    (top / "link").symlink_to("two")
    assert look(top, ["link"]) == ([[1, ord("2")]], ["link"])


def test_another_folder_of_the_same_names_is_another_one(top, look, tmp_path):
    look(top)
    top.rename(tmp_path / "moved")
    (top / "sub").mkdir(parents=True)
    for file in FILES:
        (top / file).write_bytes(b"y" * 10 * len(file))
    assert look(top) == (right(top), FILES)
    assert look(tmp_path / "moved")[0] == right(tmp_path / "moved")


@pytest.mark.parametrize("ctime", [10**18, 2 * 10**18])  # a whole second; the future
def test_what_a_coarse_clock_cannot_tell_apart_is_read_each_time(top, look, monkeypatch, ctime):
    stamps = digests._stamps

    def coarse(root, files):
        found = stamps(root, files)
        found[:, 1:3] = ctime
        return found

    monkeypatch.setattr(digests, "_stamps", coarse)
    monkeypatch.setattr(digests.time, "time_ns", lambda: 10**18 + 10**9)
    assert look(top)[1] == look(top)[1] == FILES
    monkeypatch.setattr(digests.time, "time_ns", lambda: 3 * 10**18)
    assert (look(top)[1], look(top)[1]) == (FILES, [])


def test_a_damaged_note_is_named_and_made_again(top, look, tmp_path):
    look(top)
    (note,) = (tmp_path / "notes").iterdir()
    whole = note.read_bytes()
    flipped = [whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :] for i in range(0, len(whole), 37)]
    for spoilt in (b"", whole[:-1], whole + b"x", b"text" * 50, *flipped):
        note.write_bytes(spoilt)
        with pytest.warns(RuntimeWarning, match=f"{note.name} is damaged: making it again"):
            assert look(top) == (right(top), FILES)
        assert note.read_bytes() == whole
    write_sealed(note, np.zeros(3, [("file", "S5"), ("stamp", "<i8", 4), ("value", "u1", 32)]))
    assert look(top) == (right(top), FILES)  # of another version
    note.unlink()
    assert look(top) == (right(top), FILES)


def test_notes_that_cannot_be_written_cost_time_only(top, look, tmp_path):
    (tmp_path / "in the way").write_text("")
    assert look(top, notes=tmp_path / "in the way")[0] == right(top)


def test_names_of_any_bytes(tmp_path, look):
    names = ["C1 ä.png", "日本.png"]
    if os.name == "posix":
        names.append(os.fsdecode(b"\xff.png"))
    for name in names:
        (tmp_path / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    assert look(tmp_path, names)[0] == right(tmp_path, names) and look(tmp_path, names)[1] == []


def test_digests_are_sha256(top, tmp_path):
    found = file_digests(top, FILES, tmp_path / "notes")
    assert [row.tobytes() for row in found] == [
        hashlib.sha256((top / file).read_bytes()).digest() for file in FILES
    ]
    assert file_digests(top, []).shape == (0, 32)
    with pytest.raises(FileNotFoundError, match="gone"):
        file_digests(top, ["gone"], tmp_path / "notes")


def test_every_changed_byte_breaks_a_seal(tmp_path):
    file = tmp_path / "x.npy"
    write_sealed(file, np.arange(5))
    whole = file.read_bytes()
    assert is_sealed(file) and (read_sealed(file) == np.arange(5)).all()
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        assert not is_sealed(file) and read_sealed(file) is None
    for spoilt in (b"", whole[:-1], whole[:31], whole[1:], whole + b"x"):
        file.write_bytes(spoilt)
        assert not is_sealed(file) and read_sealed(file) is None
    for absent in (tmp_path, tmp_path / "nowhere"):
        assert not is_sealed(absent) and read_sealed(absent) is None


def test_what_stands_in_the_way_goes_and_nothing_else(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    for name in ("link", "full", "absent"):
        discard(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["precious"] and (precious / "file").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_a_pipe_in_the_place_of_a_sealed_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "note.npy")
    done = threading.Thread(
        target=digests.write_sealed, args=(tmp_path / "note.npy", np.arange(3)), daemon=True
    )
    done.start()
    done.join(10)
    assert not done.is_alive() and digests.read_sealed(tmp_path / "note.npy").tolist() == [0, 1, 2]
