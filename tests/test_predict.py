"""The compact model and `malaria-nb predict`: right scores, nothing heavy, no file lost."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from malaria_nb import cli, predict
from malaria_nb.cli import main
from malaria_nb.pictures import read_picture
from malaria_nb.predict import (
    MODEL,
    CompactModel,
    black_outside,
    draw_evidence,
    find_pictures,
    on_black,
    predict_files,
)

RNG = np.random.default_rng(0)
RUN = [
    sys.executable,
    "-c",
    "import sys; from malaria_nb.cli import main; sys.exit(main())",
    "predict",
]


def cell(side=60, height=None, dark=True):  # a pink disc on black, perhaps with a dark spot, RGB
    height = height or side
    picture = np.zeros((height, side, 3), np.uint8)
    cv2.ellipse(
        picture,
        (side // 2, height // 2),
        (max(side // 2 - 2, 0), max(height // 2 - 2, 0)),
        0,
        0,
        360,
        (205, 150, 165),
        -1,
    )
    if dark:
        cv2.circle(picture, (side * 2 // 3, height // 2), max(side // 10, 1), (110, 50, 130), -1)
    return picture


def save(path, picture):  # RGB
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(
        str(path), np.ascontiguousarray(picture[..., ::-1] if picture.ndim == 3 else picture)
    )
    return path


def rows(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model():
    return CompactModel()


@pytest.fixture
def folder(tmp_path):  # three good pictures, in two folders, and two bad ones
    for name in ("b/2.png", "b/10.png", "a.jpg"):
        save(tmp_path / "in" / name, cell(dark="2" in name))
    (tmp_path / "in" / "cut.png").write_bytes((tmp_path / "in" / "b" / "2.png").read_bytes()[:-30])
    (tmp_path / "in" / "letter.png").write_text("no picture")
    return tmp_path / "in"


# ---- the model


def interpreter(images):  # the whole of LiteRT's own way, one image at a time
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_path=str(MODEL))
    net.allocate_tensors()
    (given,), found = (
        net.get_input_details(),
        {len(d["shape"]): d["index"] for d in net.get_output_details()},
    )
    scores, maps = [], []
    for x in images:
        net.set_tensor(
            given["index"],
            cv2.resize(x, tuple(given["shape"][2:0:-1]), interpolation=cv2.INTER_AREA)[None].astype(
                np.float32
            ),
        )
        net.invoke()
        scores.append(net.get_tensor(found[2])[0, 0])
        maps.append(net.get_tensor(found[4])[0, ..., 0])
    return np.array(scores), np.array(maps)


@pytest.mark.parametrize("n", [1, 64, 65])
def test_scores_are_the_interpreters_own_whatever_the_batch(n, model):
    images = [cell(*RNG.integers(20, 90, 2), dark=i % 2) for i in range(n)]
    score, evidence = model.evidence(images)
    wanted, maps = interpreter(images)
    assert (
        score.shape == (n,)
        and evidence.shape == (n, *model.map_shape)
        and np.ptp(wanted) > 0
        or n == 1
    )
    np.testing.assert_allclose(score, wanted, atol=0.02)  # its own score has 8 bits
    np.testing.assert_allclose(evidence, maps, atol=1e-4)


def test_logit_is_the_mean_of_the_evidence(model):
    score, evidence = model.evidence([cell(), cell(dark=False), cell(30)])
    np.testing.assert_allclose(1 / (1 + np.exp(-evidence.mean((1, 2)))), score, atol=1e-6)


def test_more_threads_give_the_same(model):
    images = RNG.integers(0, 256, (70, 40, 40, 3), np.uint8)
    for a, b in zip(model.evidence(images), CompactModel(threads=2).evidence(images)):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_colours_are_read_as_rgb(model, tmp_path):
    score, evidence = model.evidence([cell()])
    (found,) = predict_files([save(tmp_path / "a.png", cell())], model)
    np.testing.assert_array_equal(found.evidence, evidence[0])
    assert not np.array_equal(evidence, model.evidence([cell()[..., ::-1]])[1]), (
        "the test must see a swap of channels"
    )


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((9, 9, 3)),
        np.zeros((9, 9), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((0, 9, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_told(image, model):
    with pytest.raises(ValueError, match="give RGB uint8"):
        model.evidence([image])


@pytest.mark.parametrize("at", [0, 0.5, -1])
def test_a_changed_byte_is_refused(at, tmp_path):
    data = bytearray(MODEL.read_bytes())
    data[int(at * len(data)) if at > 0 else at] ^= 1
    (tmp_path / "m.tflite").write_bytes(data)
    with pytest.raises(ValueError, match="reinstall malaria_nb"):
        CompactModel(tmp_path / "m.tflite")


def test_a_missing_model_and_a_missing_interpreter_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="reinstall malaria_nb"):
        CompactModel(tmp_path / "m.tflite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        CompactModel()


HEAVY = (
    *("tensorflow", "keras", "pandas", "matplotlib", "sklearn", "scipy", "IPython", "requests"),
)


def test_start_is_light_and_quiet(tmp_path):
    save(tmp_path / "a.png", cell())
    code = f"""
import sys
from malaria_nb.cli import main

status = main(["predict", "a.png", "--csv", "s.csv", "--explain", "out"])
print(*[m for m in {HEAVY} if m in sys.modules])
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (0, "", "")
    assert "not a medical device" in done.stdout


def test_the_module_scores_without_anything_heavy():
    code = f"""
import sys
import numpy as np
from malaria_nb.predict import CompactModel

CompactModel()([np.zeros((9, 9, 3), np.uint8)])
print(*[m for m in {HEAVY} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.stdout.strip()) == ("", "")


def test_it_goes_where_a_function_or_a_keras_model_goes(model, tmp_path):
    from malaria_nb.external import score_external

    images = [cell(dark=i % 2) for i in range(4)]
    score = model(images)
    np.testing.assert_array_equal(model.predict(images, batch_size=2, verbose=0)[:, 0], score)
    np.testing.assert_array_equal(model.predict_on_batch(images)[:, 0], score)
    assert model.input_shape == (None, 64, 64, 3)
    for i, picture in enumerate(images):
        save(tmp_path / "in" / ("yes" if i % 2 else "no") / f"{i}.png", picture)
    found = score_external(model, tmp_path / "in", {"yes": 1, "no": 0}, 0.5).predictions
    np.testing.assert_allclose(np.sort(found["score"]), np.sort(score), atol=1e-6)


# ---- pictures


def test_kinds_of_pictures(tmp_path, model):
    for suffix in predict.SUFFIXES:
        assert read_picture(save(tmp_path / f"a{suffix}", cell())).shape == (60, 60, 3)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), cell())
    grey = cv2.cvtColor(cell(), cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(
        read_picture(save(tmp_path / "grey.png", grey)), np.dstack([grey] * 3)
    )
    alpha = np.dstack(
        [np.where(cell().any(-1, keepdims=True), cell(), 255)[..., ::-1], cell().any(-1) * 255]
    ).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "alpha.png"), alpha)  # white behind a transparent ground
    np.testing.assert_array_equal(read_picture(tmp_path / "alpha.png"), cell())
    cv2.imwrite(str(tmp_path / "deep.png"), cell().astype(np.uint16) * 16)
    with pytest.raises(ValueError, match="16 bits a channel: stretch what is used"):
        read_picture(tmp_path / "deep.png")


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("a.png", b"", "no picture"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "no picture"),
        ("a/b.png", None, "no such file"),
    ],
)
def test_what_is_no_picture_is_told(name, content, says, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_picture(tmp_path / name)


def test_a_jpeg_cut_short_is_told(tmp_path):
    jpeg = save(tmp_path / "a.jpg", cell()).read_bytes()
    small = save(tmp_path / "b.jpg", cell(8)).read_bytes()
    jpeg = (
        jpeg[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + jpeg[2:]
    )  # with a preview inside, whole in itself
    (tmp_path / "a.jpg").write_bytes(jpeg + bytes(9))
    assert read_picture(tmp_path / "a.jpg").shape == (60, 60, 3)
    (tmp_path / "a.jpg").write_bytes(jpeg[: -len(jpeg) // 4])
    with pytest.raises(ValueError, match="cut short"):
        read_picture(tmp_path / "a.jpg")


def test_pictures_too_large_are_told(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match="3,600,000,000 pixels"):
        read_picture(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_a_pipe_or_a_device_named_like_a_picture_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    code = """
import sys
from malaria_nb.predict import predict_files

print(*[p.problem for p in predict_files(sys.argv[1:])], sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["not a file: a folder, a pipe or a device"] * 2


@pytest.mark.parametrize("side", [1, 5000])
@pytest.mark.parametrize("cut_out", [False, True])
def test_the_smallest_and_the_largest(side, cut_out, tmp_path, model):
    (found,) = predict_files(
        [save(tmp_path / "a.png", np.full((side, side, 3), (200, 150, 160), np.uint8))],
        model,
        cut_out,
    )
    assert ("black ground" if side == 1 else "larger than any cell") in found.problem
    assert found.skipped == (cut_out and side > 1)
    assert found.skipped or 0 <= found.score <= 1
    (found,) = predict_files(
        [save(tmp_path / "b.png", cell(5000) if side > 1 else np.zeros((1, 1, 3), np.uint8))],
        model,
        cut_out,
    )
    assert found.problem == ("" if side > 1 else "black all over: there is no cell in it")


def test_pictures_the_model_does_not_know(tmp_path, model):
    box = np.where(cell().any(-1, keepdims=True), cell(), np.uint8(230))
    assert on_black(cell()) and not on_black(box) and on_black(black_outside(box))
    (
        save(tmp_path / "box.png", box),
        save(tmp_path / "cell.png", cell()),
        save(tmp_path / "grey.png", cv2.cvtColor(cell(), cv2.COLOR_RGB2GRAY)),
    )

    def problems(cut_out):
        return [p.problem.split(",")[0] for p in predict_files([tmp_path], model, cut_out)]

    assert problems(False) == ["not a cell on black ground", "", "no colour"]
    assert problems(True) == ["", "", "no colour"]
    assert [p.score for p in predict_files([tmp_path / "cell.png"], model, True)] == [
        model([cell()])[0]
    ], "a cell on black must stay as it is"


# ---- files and folders


def test_folders_are_searched_in_order_and_nothing_twice(folder):
    for name in (".hidden.png", ".folder/a.png", "b/2.evidence.png", "b/notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    names = ["a.jpg", "b/10.png", "b/2.png", "cut.png", "letter.png"]
    assert [name for _, name, _ in find_pictures([folder])] == names
    assert [
        name
        for _, name, _ in find_pictures(
            [folder, folder / "b", f"{folder}/b/../b/2.png", os.path.relpath(folder)]
        )
    ] == names
    assert [name for _, name, _ in find_pictures([folder / "letter.png", folder])] == [
        "letter.png",
        *names[:-1],
    ]


def test_thousands_are_not_held_in_memory(tmp_path, model, monkeypatch):
    files = [tmp_path / f"{i}.png" for i in range(400)]
    monkeypatch.setattr(predict, "find_pictures", lambda paths: [(f, f.name, "") for f in files])
    read, lock = [], threading.Lock()

    def picture(file, cut_out):
        with lock:
            read.append(file)
        return cell(20)

    monkeypatch.setattr(predict, "cell_picture", picture)
    found = predict_files([tmp_path], model)
    next(found)
    time.sleep(0.5)  # for threads that would read on
    assert len(read) <= 4 * predict._BATCH
    assert [p.file for p in found] == files[1:]


def test_who_stops_early_stops_the_reading(tmp_path, model, monkeypatch):
    monkeypatch.setattr(
        predict,
        "find_pictures",
        lambda paths: [(tmp_path / f"{i}.png", "", "") for i in range(400)],
    )
    read = []
    monkeypatch.setattr(
        predict,
        "cell_picture",
        lambda file, cut_out: (time.sleep(0.005), read.append(file), cell(20))[-1],
    )
    found = predict_files([tmp_path], model)
    next(found)
    found.close()
    n = len(read)
    time.sleep(0.3)
    assert len(read) == n < 400


def test_one_bad_file_costs_no_other(folder, model):
    found = list(predict_files([folder, folder / "none", folder / ".." / "empty"], model))
    assert [p.skipped for p in found] == [False] * 3 + [True] * 4 and all(
        p.problem for p in found[3:]
    )
    assert all((p.evidence is None) == p.skipped for p in found)


# ---- the command


def test_status_lines_and_csv(folder, capsys):
    assert main(["predict", "in", "--csv", "s.csv", "--threshold", "0"]) == 1
    out, err = capsys.readouterr()
    assert (
        "not a medical device" in out.splitlines()[0]
        and out.splitlines()[-1] == "3 cells scored, 3 called parasitized at threshold 0; 2 skipped"
    )
    assert [line.split(":")[1].strip() for line in err.splitlines()] == [
        "in/cut.png",
        "in/letter.png",
    ]
    table = rows("s.csv")
    assert list(table[0]) == ["file", "score", "parasitized", "problem"]
    assert [Path(r["file"]).name for r in table] == [
        "a.jpg",
        "10.png",
        "2.png",
        "cut.png",
        "letter.png",
    ]
    assert [r["parasitized"] for r in table] == ["1", "1", "1", "", ""] and [
        bool(r["problem"]) for r in table
    ] == [False] * 3 + [True] * 2
    for r in table[:3]:
        assert f"{float(r['score']):.4f}" in out
    assert main(["predict", "in/b", "--threshold", "1"]) == 0


def test_threshold_is_an_alarm_from_there_on(folder, model, capsys):
    score = model([cell()])[0]
    for threshold, called in (
        (score, "parasitized"),
        (np.nextafter(score, np.float32(1)), "uninfected"),
    ):
        assert main(["predict", "in/b/2.png", "--threshold", repr(float(threshold))]) == 0
        assert f" {called} " in capsys.readouterr().out.splitlines()[1]


@pytest.mark.parametrize(
    "words, says",
    [
        ("", "PATH"),
        ("in --threshold 1.1", "from 0 to 1"),
        ("in --threshold nan", "from 0 to 1"),
        ("in --csv in", "name another"),
    ],
)
def test_wrong_command_lines(words, says, folder, capsys):
    assert main(["predict", *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line and "--help" in line


@pytest.mark.parametrize(
    "words, says", [("in/nowhere.png", "no such file"), ("empty", "without pictures")]
)
def test_nothing_to_score_is_status_1(words, says, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["predict", words]) == 1
    out, err = capsys.readouterr()
    assert says in err and "0 cells scored" in out


@pytest.mark.parametrize(
    "option, says",
    [
        ("--csv in/a.jpg/s.csv", "--csv"),
        ("--explain in/a.jpg/x", "--explain"),
        ("--csv nowhere/s.csv", "--csv"),
    ],
)
def test_where_nothing_can_be_written_it_is_told_before_scoring(option, says, folder, capsys):
    assert main(["predict", "in/b", *option.split()]) == 1
    out, err = capsys.readouterr()
    assert says in err and "Scores" not in out and len(err.splitlines()) == 1


def test_a_csv_is_whole_or_stays_as_it_was(folder, monkeypatch, capsys):
    Path("s.csv").write_text("before")

    def stopped(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(cli, "shown", stopped)
        assert main(["predict", "in", "--csv", "s.csv"]) == 130
        assert "CSV file was not written" in capsys.readouterr().err
    assert Path("s.csv").read_text() == "before" and not list(Path.cwd().glob("*.part*"))
    main(["predict", "in", "--csv", "s.csv"])
    assert len(rows("s.csv")) == 5 and not list(Path.cwd().glob("*.part*"))


def test_drawings_have_names_of_their_own(folder, capsys):
    save(folder / "b" / "2.jpg", cell())
    before = {f: f.read_bytes() for f in folder.rglob("*.*")}
    assert (
        main(["predict", "in/b", "in/b/2.png", "in/a.jpg", "--explain", "in/b"]) == 0
    )  # among the pictures themselves
    drawn = sorted(f.name for f in folder.rglob("*.evidence.png"))
    assert drawn == ["10.evidence.png", "2-2.evidence.png", "2.evidence.png", "a.evidence.png"]
    assert all(f.read_bytes() == data for f, data in before.items()) and not list(
        folder.rglob("*.part*")
    )
    capsys.readouterr()
    main(["predict", "in/b"])
    assert "3 cells scored" in capsys.readouterr().out, "a drawing is no cell"


def test_drawings_tell_for_from_against_without_colour(model):
    signs = np.array([[4.0, -4], [-4, 4]])
    drawn = draw_evidence(cell(), signs, 0.5, side=200)
    grey = cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY)[:200, 212:]
    middles = grey[50:200:100, 50:200:100]
    assert middles.tolist() == [[0, 255], [255, 0]]
    assert (grey[20:80, 50] < 20).sum() > 30 > (grey[20:80, 150] > 240).sum(), (
        "+ has a stroke upwards, - has none"
    )
    bar = drawn[215, 212:].astype(int)
    assert (
        bar[0, 2] > bar[0, 0] and bar[-1, 0] > bar[-1, 2] and len(np.unique(bar, axis=0)) > 100
    ), "the scale runs from blue to yellow"


@pytest.mark.skipif(
    sys.platform == "win32" or sys.platform == "darwin", reason="such names can't be made there"
)
def test_odd_names(tmp_path):
    names = ["new\nline.png", b"\xff.png", 'a,"b".png', "日本 é.png", "-x.png", "\x1b[31m.png"]
    (tmp_path / "in").mkdir()
    for name in names:
        save(tmp_path / "x.png", cell()).rename(
            os.fsdecode(os.fsencode(tmp_path / "in" / os.fsdecode(name)))
        )
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(
            [*RUN, "in", "--csv", "s.csv", "--explain", "out"],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            timeout=120,
        )
        assert (
            (done.returncode, done.stderr) == (0, b"")
            and len(done.stdout.splitlines()) == 2 + len(names)
            and b"\x1b" not in done.stdout
        )
    assert len(rows("s.csv")) == len(names) == len(list((tmp_path / "out").iterdir()))


def test_bad_files_make_one_line_each(folder):
    done = subprocess.run([*RUN, "in"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2, (
        "what libraries written in C say is kept away"
    )


def test_a_reader_who_leaves_is_no_error(tmp_path):
    for i in range(300):
        save(tmp_path / "in" / f"{i}.png", cell(20))
    slow = """
import sys, time
from malaria_nb import cli
shown = cli.shown

def slowly(x):
    time.sleep(0.01)
    return shown(x) * 200

cli.shown = slowly
sys.exit(cli.main())
"""
    running = subprocess.Popen(
        [sys.executable, "-c", slow, "predict", "in", "--csv", "s.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    running.stdout.readline()
    running.stdout.close()
    assert running.stderr.read() == "" and running.wait(60) == 0
    assert len(rows(tmp_path / "s.csv")) == 300, "the lines were not wanted, the file was"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_is_one_line_and_no_csv(tmp_path):
    for i in range(100):
        save(tmp_path / "in" / f"{i}.png", cell(20))
    # a job in the background ignores SIGINT, and so does its child unless it asks for it
    slow = """
import signal, sys, time
from malaria_nb import cli
signal.signal(signal.SIGINT, signal.default_int_handler)
shown = cli.shown

def slowly(x):
    print(".", flush=True)
    time.sleep(0.1)
    return shown(x)

cli.shown = slowly
sys.exit(cli.main())
"""
    running = subprocess.Popen(
        [sys.executable, "-c", slow, "predict", "in", "--csv", "s.csv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(3):
        running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert (
        running.returncode == 130
        and len(err.splitlines()) == 1
        and not list(tmp_path.glob("s.csv*"))
    )


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder"
)
def test_a_closed_folder_is_told(folder, model):
    (folder / "b").chmod(0)
    try:
        found = {p.name or p.file.name: p.problem for p in predict_files([folder], model)}
    finally:
        (folder / "b").chmod(0o755)
    assert found["b"] == "permission denied" and found["a.jpg"] == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_drawing_goes_through_no_link_and_waits_for_no_pipe(kind, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in/a.png").write_bytes(cv2.imencode(".png", cell())[1])
    victim, planted = tmp_path / "victim", tmp_path / "out/a.evidence.png"
    victim.write_text("precious")
    planted.symlink_to(victim) if kind == "link" else os.mkfifo(planted)
    command = [sys.executable, "-m", "malaria_nb.cli", "predict", "in", "--explain", "out"]
    done = subprocess.run(command, cwd=tmp_path, timeout=60, capture_output=True, text=True)
    assert done.returncode == 1 and "not drawn" in done.stderr
    assert victim.read_text() == "precious"


def test_a_cell_on_black_is_not_cut_out_again():
    cell = np.zeros((60, 60, 3), np.uint8)
    cv2.circle(cell, (30, 30), 25, (200, 120, 150), -1)
    cv2.circle(cell, (30, 30), 5, (60, 20, 90), -1)
    assert (black_outside(cell) == cell).all()
