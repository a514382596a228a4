"What would spoil a training: a kill, a cut file, a full disk, another folder, a NaN."

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from spoiling import flipped, folder_in_place

from malaria_nb.compact import one_cycle
from malaria_nb.fitting import _kept, _note, _same_training, load_model, save_model

TINY = """
import sys, numpy as np, keras
from malaria_nb.fitting import fit
from malaria_nb.batches import Batches
from malaria_nb.fitting import compile_model, set_seed

def batches():
    rng = np.random.default_rng(0)
    label = np.arange(640) % 2
    x = (rng.integers(0, 200, (640, 12, 12, 3)) + 10*label[:, None, None, None]).astype("uint8")
    augment = lambda x, rng: x[:, ::rng.choice([-1, 1])]
    train = Batches(x, label, np.arange(512), 16, shuffle=True, augment=augment)
    return train, Batches(x, label, np.arange(512, 640), 64)

def model(optimizer="adam", units=8, learning_rate=3e-3, **more):
    layers = keras.layers
    m = keras.Sequential([keras.Input((12, 12, 3)), layers.Rescaling(1/255), layers.Conv2D(4, 3),
                          layers.BatchNormalization(), layers.Flatten(), layers.Dropout(.3),
                          layers.Dense(units, "relu"), layers.Dense(1, "sigmoid")])
    return compile_model(m, optimizer, learning_rate, **more)
"""
CHILD = (
    TINY
    + """
for folder in sys.argv[1:]:
    set_seed(7, deterministic=True)
    m = model()
    history = fit(m, *batches(), 10, folder, patience=9, plateau=1, progress=False)
    history = history.drop(columns=["seconds", "cpu_seconds"])
    sys.stdout.write(history.to_json(double_precision=15) + repr(history.attrs))
    sys.stdout.write("".join(w.tobytes().hex() for w in m.get_weights()) + "\\n")
"""
)


def child(*folders):
    "Start a process that trains the same in each folder ('': in none), and writes a line for each."
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, folders)], stdout=pipe, stderr=pipe, text=True
    )


def epochs_in(folder):
    return max((int(p.stem[-3:]) for p in folder.glob("epoch-*.npz")), default=0)


def test_killed_training_ends_as_an_undisturbed_one(tmp_path):
    folder, seed = tmp_path / "fit", random.randrange(1000)
    chance = random.Random(seed)
    after = chance.choice([0, 2, 3, 4, 5, 6])  # 0: before or in the first epoch's files
    p = child(folder)
    while p.poll() is None and not ((folder / "lock").exists() and epochs_in(folder) >= after):
        time.sleep(0.005)
    time.sleep(chance.random() * 0.3)
    p.send_signal(signal.SIGKILL)
    p.communicate()
    before = epochs_in(folder)
    # resumed where it was killed, then undisturbed and nowhere kept
    said, error = child(folder, "").communicate(timeout=300)
    trained = said.splitlines()
    assert len(trained) == 2 and trained[0] == trained[1], (
        f"seed {seed}, resumed after epoch {before}\n{error[-2000:]}"
    )
    kept = {p.name for p in folder.iterdir()} - {"lock"}
    assert len(kept) <= 2 and all(n.startswith("epoch-") and ".part" not in n for n in kept)


@pytest.fixture(scope="module")
def tiny():
    names = {}
    exec(TINY, names)
    return type("Tiny", (), {k: staticmethod(v) for k, v in names.items() if callable(v)})


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    tiny.set_seed(7)
    m = tiny.model()
    return folder, m, tiny.fit(m, *tiny.batches(), 4, folder, patience=None, progress=False)


def copy(folder, to):
    return shutil.copytree(folder, to / "copy")


def test_finished_folder_reads_no_batch(tiny, finished):
    folder, trained, history = finished
    train, valid = tiny.batches()
    train.images = valid.images = None  # any access fails
    m = tiny.model()
    again = tiny.fit(m, train, valid, 4, folder, patience=None, progress=False)
    pd.testing.assert_frame_equal(again, history, check_exact=True)
    assert again.attrs == history.attrs
    for a, b in zip(m.get_weights(), trained.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_full_disk_leaves_the_epochs_before(tiny, finished, tmp_path, monkeypatch):
    folder = copy(finished[0], tmp_path)
    before = sorted(p.name for p in folder.iterdir())

    def full(file, *arrays, **more):
        file.write_bytes(b"PK half a file")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    with monkeypatch.context() as m:
        m.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            tiny.fit(tiny.model(), *tiny.batches(), 5, folder, patience=None, progress=False)
    assert sorted(p.name for p in folder.iterdir()) == before


@pytest.mark.parametrize(
    "change, says",
    [
        (dict(optimizer="rmsprop"), "optimizer was Adam and is RMSprop"),
        (dict(units=9), "weights was"),
        (dict(smoothing=0.1), "optimizer, schedule or loss was"),
        (dict(learning_rate=one_cycle(3e-3, 10)), "optimizer, schedule or loss was"),
    ],
)
def test_another_training_is_refused(tiny, finished, change, says):
    with pytest.raises(ValueError, match=f"another training.*{says}"):
        tiny.fit(tiny.model(**change), *tiny.batches(), 4, finished[0], plateau=None)


def test_another_schedule_with_the_same_first_rate_is_refused(tiny, tmp_path):
    for steps, epochs in ((64, 1), (96, 2)):
        m, how = tiny.model(learning_rate=one_cycle(3e-3, steps)), {"plateau": None}
        if epochs == 1:
            tiny.fit(m, *tiny.batches(), epochs, tmp_path, **how, progress=False)
            continue
        with pytest.raises(ValueError, match="another training.*schedule or loss was"):
            tiny.fit(m, *tiny.batches(), epochs, tmp_path, **how, progress=False)


def test_an_epoch_that_an_older_version_kept_is_gone_on_with():
    now = {"weights": [[3]], "loss": "ab"}
    _same_training("folder", {"weights": [[3]]}, now)
    with pytest.raises(ValueError, match="loss was None and is ab"):
        _same_training("folder", {"weights": [[3]], "loss": None}, now)


def test_a_loss_of_ones_own_is_the_same_in_another_model(tiny, tmp_path):
    import keras

    class Focal(keras.losses.Loss):
        def call(self, truth, score):
            return keras.ops.mean((truth - score) ** 2, axis=-1)

    for epochs in (1, 2):
        m = tiny.model()
        m.compile(keras.optimizers.Adam(3e-3), Focal(), metrics=["accuracy"])
        history = tiny.fit(m, *tiny.batches(), epochs, tmp_path, plateau=None, progress=False)
        assert len(history) == epochs


def test_other_cells_are_refused(tiny, finished):
    train, valid = tiny.batches()
    train.rows = train.rows[:500]
    with pytest.raises(ValueError, match="another training.*cells was"):
        tiny.fit(tiny.model(), train, valid, 4, finished[0])


def test_folder_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="choose another folder"):
        tiny.fit(tiny.model(), *tiny.batches(), 1, tmp_path / "file" / "fit")


def test_loss_that_is_not_a_number_stops_and_is_not_kept(tiny, tmp_path):
    m = tiny.model()
    m.optimizer.learning_rate = 1e30
    with pytest.raises(ValueError, match=r"epoch 1 .*nan.*learning rate below 1e\+30"):
        tiny.fit(m, *tiny.batches(), 2, tmp_path / "fit", progress=False)
    assert epochs_in(tmp_path / "fit") == 0


@pytest.mark.parametrize(
    "wrong", [dict(epochs=0), dict(epochs=1, patience=0), dict(epochs=1, plateau=0)]
)
def test_numbers_below_one(tiny, wrong):
    with pytest.raises(ValueError, match="use 1 or more"):
        tiny.fit(tiny.model(), *tiny.batches(), **wrong)


def test_saved_model(tiny, finished, tmp_path):
    _, m, _ = finished
    save_model(m, tmp_path / "new" / "m.keras")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["m.keras"]
    x = tiny.batches()[1][0][0]
    np.testing.assert_array_equal(
        load_model(tmp_path / "new" / "m.keras").predict(x, verbose=0), m.predict(x, verbose=0)
    )
    (tmp_path / "cut.keras").write_bytes((tmp_path / "new" / "m.keras").read_bytes()[:500])
    with pytest.raises(ValueError, match="isn't a whole .keras file"):
        load_model(tmp_path / "cut.keras")


def test_model_file_with_code_is_refused(tmp_path):
    import keras

    m = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: 2 * x)])
    save_model(m, tmp_path / "code.keras")
    with pytest.raises(ValueError, match="safe|unsafe"):
        load_model(tmp_path / "code.keras")


def test_last_epoch_is_kept_when_asked_for(tiny, tmp_path):
    def fit(model, keep):
        folder, batches = tmp_path / "fit", tiny.batches()
        return tiny.fit(model, *batches, 4, folder, patience=None, progress=False, keep=keep)

    def same(a, b):
        return all((x == y).all() for x, y in zip(a.get_weights(), b.get_weights()))

    tiny.set_seed(7)
    last = tiny.model()
    history = fit(last, "last")
    again, best = tiny.model(), tiny.model()
    fit(again, "last")  # a finished folder, opened
    fit(best, "best")
    assert same(again, last)
    assert same(best, last) == (history.attrs["best_epoch"] == 4)
    with pytest.raises(ValueError, match="'best' or 'last'"):
        fit(last, "first")


def test_other_labels_are_refused(tiny, finished):
    train, valid = tiny.batches()
    train.label = 1 - train.label
    with pytest.raises(ValueError, match="another training.*labels was"):
        tiny.fit(tiny.model(), train, valid, 4, finished[0])


# ---- what a disk has changed


HARM = {
    "byte": flipped,
    "cut": lambda file: file.write_bytes(file.read_bytes()[:1000]),
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("epoch"),
    "folder": folder_in_place,
    "another": lambda file: np.savez(file, np.zeros(3)),
}


def go_on(tiny, folder):
    return tiny.fit(tiny.model(), *tiny.batches(), 4, folder, patience=None, progress=False)


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_epoch_is_named_and_trained_again(tiny, finished, tmp_path, harm):  # finding M8
    folder = copy(finished[0], tmp_path)
    HARM[harm](folder / "epoch-004.npz")
    with pytest.warns(RuntimeWarning, match="epoch-004.npz is damaged.*trained again"):
        again = go_on(tiny, folder)
    assert len(again) == 4 and (folder / "epoch-004.npz").is_file()
    np.testing.assert_allclose(again["loss"], finished[2]["loss"], rtol=1e-3)


def kept_epoch(folder, *losses):
    rows = [{"val_loss": loss} for loss in losses]
    note = json.dumps({"training": {"seed": 1}, "rows": rows, "arrays": 1}).encode()
    file = folder / f"epoch-{len(losses):03d}.npz"
    np.savez(file, np.arange(3.0), note=np.frombuffer(note, np.uint8))
    return file


def test_the_epochs_before_a_damaged_one_are_kept(tmp_path):
    best, last = kept_epoch(tmp_path, 0.9, 0.5), kept_epoch(tmp_path, 0.9, 0.5, 0.7, 0.6)
    assert len(_kept(tmp_path, {"seed": 1})) == 4
    last.write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="epoch-004.npz is damaged"):
        assert _kept(tmp_path, {"seed": 1}) == [{"val_loss": 0.9}, {"val_loss": 0.5}]
    assert best.exists() and not last.exists()
    last = kept_epoch(tmp_path, 0.9, 0.5, 0.7, 0.6)
    best.write_bytes(b"")  # without which the training couldn't end with it
    with pytest.warns(RuntimeWarning, match="epoch-002.npz is damaged"):
        assert _kept(tmp_path, {"seed": 1}) == []
    with pytest.raises(ValueError, match="another training.*seed was 1 and is 2"):
        _kept(tmp_path, {"seed": 2})


def test_all_epochs_damaged_is_a_start_from_the_first(tiny, finished, tmp_path):
    folder = copy(finished[0], tmp_path)
    for file in folder.glob("epoch-*.npz"):
        flipped(file)
    with pytest.warns(RuntimeWarning, match="trained again"):
        assert len(go_on(tiny, folder)) == 4


def test_an_epoch_under_another_name_is_not_believed(tiny, finished, tmp_path):
    folder = copy(finished[0], tmp_path)
    (folder / "epoch-004.npz").rename(folder / "epoch-003.npz")
    with pytest.warns(RuntimeWarning, match="epoch-003.npz is damaged"):
        assert len(go_on(tiny, folder)) == 4


def test_every_changed_byte_of_an_epoch_is_noticed_or_harmless(tmp_path):
    file = kept_epoch(tmp_path, 1.0)
    whole, noticed = file.read_bytes(), 0
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        if _note(file) is None:
            noticed += 1
            continue
        with np.load(file) as arrays:
            assert (arrays["arr_0"] == np.arange(3.0)).all()
    assert noticed > len(whole) * 0.7


@pytest.mark.parametrize("harm", ["byte", "cut", "empty", "text"])
def test_a_damaged_model_is_named(tiny, finished, tmp_path, harm):
    save_model(finished[1], tmp_path / "m.keras")
    HARM[harm](tmp_path / "m.keras")
    with pytest.raises(ValueError, match="m.keras isn't a whole .keras file: save the model again"):
        load_model(tmp_path / "m.keras")
