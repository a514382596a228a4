"""What writing a file promises: whole or as it was, through no planted link, one winner."""

import errno
import os
import re
import socket
import stat
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from malaria_nb.files import fresh_folder, whole_file, writing

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such thing")
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def put(path, text):
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def names(folder="."):
    return sorted(os.listdir(folder))


# ---- one file, several writers


def test_of_two_writers_the_first_to_end_wins_whole_and_the_other_is_told():
    with ExitStack() as slow:
        mine = slow.enter_context(whole_file("s.csv"))
        mine.write_text("half of mine")
        put("s.csv", "theirs, whole")
        mine.write_text("mine, whole")
        with pytest.raises(OSError, match="s.csv.*another program.*again"):
            slow.close()
    assert Path("s.csv").read_text() == "theirs, whole" and names() == ["s.csv"]


def test_a_writer_that_is_stopped_costs_the_other_nothing():
    with whole_file("s.csv") as part:
        part.write_text("whole")
        with pytest.raises(KeyboardInterrupt), whole_file("s.csv") as other:
            other.write_text("ha")
            raise KeyboardInterrupt
    assert Path("s.csv").read_text() == "whole" and names() == ["s.csv"]


def test_two_writers_of_the_same_content_are_no_quarrel():
    put("cache.npy", "before")
    with whole_file("cache.npy") as part:
        part.write_text("computed")
        put("cache.npy", "computed")
    assert Path("cache.npy").read_text() == "computed"


def test_a_file_that_was_changed_in_place_is_not_lost():
    put("s.csv", "before")
    with pytest.raises(OSError, match="another program"), whole_file("s.csv") as part:
        part.write_text("mine")
        with open("s.csv", "a") as f:
            f.write(", and a note by hand")
    assert Path("s.csv").read_text() == "before, and a note by hand"


def test_of_many_processes_one_wins_and_the_others_are_told():
    code = """
import sys, time
from malaria_nb.files import whole_file
with whole_file("s.csv") as part:
    part.write_text(sys.argv[1] * 100_000)
    print("ready", flush=True)
    sys.stdin.readline()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writers = {
        letter: subprocess.Popen([sys.executable, "-c", code, letter], text=True, **pipes)
        for letter in "abc"
    }
    for w in writers.values():
        assert w.stdout.readline() == "ready\n"
    for w in writers.values():
        w.stdin.write("\n")
        w.stdin.flush()
    said = {letter: w.communicate(timeout=60)[1] for letter, w in writers.items()}
    won = [letter for letter, w in writers.items() if w.returncode == 0]
    assert len(won) == 1 and Path("s.csv").read_text() == won[0] * 100_000, said
    assert all("another program" in said[letter] for letter in writers if letter not in won)
    assert names() == ["s.csv"]


# ---- links


def test_a_planted_part_file_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "w").mkdir()
    for name in (".s.part.csv", ".s.csv.part", "s.csv.part", "s.part"):
        (tmp_path / "w" / name).symlink_to(victim)
    put(tmp_path / "w" / "s.csv", "scores")
    assert victim.read_text() == "precious" and not (tmp_path / "w" / "s.csv").is_symlink()


@posix
def test_a_part_lies_where_no_other_user_can_reach_it():
    seen = []
    for _ in range(2):
        with whole_file("s.npz") as part:
            assert not os.path.lexists(part) and part.suffix == ".npz"
            assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700
            seen.append(part)
            np.savez(part, np.arange(3))
    assert seen[0] != seen[1] and np.load("s.npz")["arr_0"].tolist() == [0, 1, 2]


def test_a_link_is_written_through_and_stays():
    Path("real").mkdir()
    put("real/s.csv", "before")
    Path("link.csv").symlink_to("real/s.csv")
    Path("far.csv").symlink_to("link.csv")
    put("far.csv", "after")
    assert Path("real/s.csv").read_text() == "after"
    assert os.readlink("far.csv") == "link.csv" and os.readlink("link.csv") == "real/s.csv"
    assert names("real") == ["s.csv"]


def test_a_link_that_leads_nowhere_yet_makes_its_file():
    Path("real").mkdir()
    Path("link.csv").symlink_to("real/new.csv")
    put("link.csv", "new")
    assert Path("real/new.csv").read_text() == "new" and Path("link.csv").is_symlink()


def test_a_link_to_itself_is_refused_and_stays():
    Path("loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        put("loop", "x")
    assert os.readlink("loop") == "loop"


# ---- pipes and devices


def read_from_a_pipe():
    "Make a pipe and a thread that waits for all it says."
    os.mkfifo("pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_text()), daemon=True)
    reader.start()
    return got, reader


@posix
def test_a_pipe_gets_it_as_a_stream():
    got, reader = read_from_a_pipe()
    put("pipe", "row\n" * 100_000)
    reader.join(30)
    assert got == ["row\n" * 100_000] and stat.S_ISFIFO(os.stat("pipe").st_mode)


@posix
def test_the_reader_of_a_pipe_hears_the_end_and_no_half():
    got, reader = read_from_a_pipe()
    with pytest.raises(RuntimeError), whole_file("pipe") as part:
        part.write_text("half")
        raise RuntimeError
    reader.join(30)
    assert got == [""]


@posix
def test_a_terminal_gets_it_as_a_stream():
    master, slave = os.openpty()
    try:
        put(os.ttyname(slave), "scores")
        assert os.read(master, 100) == b"scores"
    finally:
        os.close(master)
        os.close(slave)


@posix
def test_a_device_stays_a_device():
    try:
        os.mknod("null", stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
        Path("null").write_text("")
    except OSError:
        pytest.skip("devices can't be made here")
    put("null", "scores")
    assert stat.S_ISCHR(os.stat("null").st_mode)


@posix
@pytest.mark.parametrize("target", ["/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("into", ["file", "pipe"])
def test_ones_own_output_gets_it_between_what_is_printed(target, into, tmp_path):
    if not os.path.exists(target):
        pytest.skip(f"no {target} here")
    Path("out").symlink_to(target)
    code = """
from malaria_nb.files import whole_file
print("before")
with whole_file("out") as part:
    part.write_text("scores\\n")
print("after")
"""
    if into == "file":
        with open("printed.txt", "wb") as f:
            done = subprocess.run([sys.executable, "-c", code], stdout=f, timeout=60)
        said = Path("printed.txt").read_text()
    else:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60
        )
        said = done.stdout
    assert done.returncode == 0 and said == "before\nscores\nafter\n"
    assert os.readlink("out") == target


@posix
def test_a_reader_who_leaves_a_pipe_early_is_told():
    os.mkfifo("pipe")

    def glance():
        with open("pipe", "rb") as f:
            f.read(1)

    reader = threading.Thread(target=glance, daemon=True)
    reader.start()
    with pytest.raises(OSError, match="pipe.*reader"):
        put("pipe", "row\n" * 1_000_000)


# ---- permissions


@posix
def test_permissions_stay_and_new_files_heed_the_umask():
    Path("s.csv").write_text("before")
    os.chmod("s.csv", 0o604)
    before = os.umask(0o027)
    try:
        put("s.csv", "after")
        put("new.csv", "new")
        os.umask(0o002)
        put("newer.csv", "new")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(n).st_mode) for n in ("s.csv", "new.csv", "newer.csv")]
    assert modes == [0o604, 0o640, 0o664]


@pytest.mark.skipif(not ROOT, reason="only root can give a file away")
def test_the_owner_stays_when_root_writes():
    Path("s.csv").write_text("before")
    os.chown("s.csv", 1234, 2345)
    put("s.csv", "after")
    about = os.stat("s.csv")
    assert (about.st_uid, about.st_gid) == (1234, 2345)


@pytest.mark.skipif(ROOT, reason="root may write every file")
def test_a_protected_file_is_refused_before_any_work():
    Path("s.csv").write_text("protected")
    os.chmod("s.csv", 0o444)
    began = []
    with pytest.raises(PermissionError, match="s.csv"), whole_file("s.csv"):
        began.append(1)
    assert not began and Path("s.csv").read_text() == "protected"


# ---- names and places


@pytest.mark.parametrize(
    "name",
    ["x" * 251 + ".csv", "a." + "x" * 253, "é" * 125 + ".npz", "." + "x" * 254],
    ids=["stem", "suffix", "letters", "hidden"],
)
def test_the_longest_names_work(name):
    put(name, "whole")
    assert names() == [name]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="no such names there")
def test_odd_names_work():
    odd = [os.fsdecode(b"\xff.csv"), "new\nline.csv", "a\rb.csv", "\u202egpj.csv", "-.csv", " .csv"]
    for name in odd:
        put(name, "whole")
    assert names() == sorted(odd)


@pytest.mark.parametrize(
    "path, says",
    [
        ("folder", "is a folder"),
        ("nowhere/s.csv", "no folder"),
        ("file/s.csv", "Not a directory|can't write|no folder"),
        ("x" * 256, "too long|can't write"),
        ("socket", "can't write"),
    ],
)
def test_what_cannot_be_written_is_told_before_any_work(path, says):
    Path("folder").mkdir()
    Path("file").write_text("")
    began = []
    with socket.socket(getattr(socket, "AF_UNIX", socket.AF_INET)) as s:
        if path == "socket":
            if os.name == "nt":
                pytest.skip("no such file on Windows")
            s.bind("socket")
        with pytest.raises(OSError, match=says) as e, whole_file(path) as part:
            began.append(part)
    assert not began and path[:50] in str(e.value)


@posix
def test_a_folder_that_is_closed_is_told_before_any_work():
    if not os.path.isdir("/proc/self"):
        pytest.skip("no folder here that is closed to root, too")
    began = []
    with pytest.raises(OSError, match="can't write /proc/self/s.csv"):
        with whole_file("/proc/self/s.csv"):
            began.append(1)
    assert not began


def test_a_full_disk_names_the_file_and_keeps_the_old_one():
    put("s.csv", "before")
    with pytest.raises(OSError, match="s.csv.*full.*free some space") as e:
        with whole_file("s.csv") as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
    assert e.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="MALARIA_NB_HOME"), writing("."), whole_file("s.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert Path("s.csv").read_text() == "before" and names() == ["s.csv"]


@posix
def test_a_file_past_what_the_system_allows_names_the_file():
    put("s.csv", "before")
    code = """
import resource
from malaria_nb.files import whole_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with whole_file("s.csv") as part:
    part.write_text("x" * 100_000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert re.search("s.csv.*full.*free some space", done.stderr.splitlines()[-1])
    assert Path("s.csv").read_text() == "before" and names() == ["s.csv"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_what_fails_leaves_nothing_behind(error):
    with pytest.raises(error), whole_file("s.csv") as part:
        part.write_text("half")
        part.with_name("beside").write_text("what a library leaves")
        raise error
    assert names() == []


# ---- folders


def test_a_fresh_folder_is_empty_and_follows_no_link(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    Path("link.part").symlink_to(victim)
    Path("file.part").touch()
    Path("old.part").mkdir()
    Path("old.part/left").touch()
    for name in ("link.part", "file.part", "old.part", "new.part"):
        made = fresh_folder(name)
        assert made.is_dir() and not made.is_symlink() and names(made) == []
    assert names(victim) == ["precious"]
