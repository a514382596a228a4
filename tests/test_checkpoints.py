"""Weights and models from outside: what they hold stays in them, and in the memory there is."""

import io
import os
import zipfile

import h5py
import numpy as np
import pytest

from malaria_nb.predict import MODEL, CompactModel
from malaria_nb.weights import load_weights

keras = pytest.importorskip("keras")
NAME, KERNEL = "block1_conv1", (3, 3, 3, 4)


def network():
    layer = keras.layers.Conv2D(KERNEL[-1], 3, name=NAME)
    return keras.Sequential([keras.Input((8, 8, 3)), layer])


@pytest.fixture
def file(tmp_path):
    "A weights file as Keras's own VGG-19 has it, and another that holds a secret."
    with h5py.File(tmp_path / "secret.h5", "w") as f:
        f["kernel"] = np.ones(KERNEL, "float32")
    (tmp_path / "secret.bin").write_bytes(np.ones(KERNEL, "float32").tobytes())
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as f:
        f.attrs["layer_names"] = [NAME.encode()]
        group = f.create_group(NAME)
        group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        group["kernel:0"] = np.full(KERNEL, 2, "float32")
        group["bias:0"] = np.zeros(KERNEL[-1], "float32")
    return path


def test_a_good_file_is_read(file):
    model = network()
    load_weights(model, file)
    assert (model.get_weights()[0] == 2).all()


def changed(kind, group, folder):
    "Put something else in the place of a layer's kernel."
    del group["kernel:0"]
    if kind == "external link":
        group["kernel:0"] = h5py.ExternalLink(str(folder / "secret.h5"), "kernel")
    elif kind == "external storage":
        place = [(str(folder / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
        group.create_dataset("kernel:0", KERNEL, "float32", external=place)
    elif kind == "virtual":
        layout = h5py.VirtualLayout(KERNEL, "float32")
        layout[:] = h5py.VirtualSource(folder / "secret.h5", "kernel", KERNEL)
        group.create_virtual_dataset("kernel:0", layout)
    elif kind == "huge":
        group.create_dataset("kernel:0", (1 << 40,), "float32", chunks=(1 << 16,))
    elif kind == "bomb":
        group.create_dataset("kernel:0", (1 << 30,), "float32", chunks=(1 << 20,))
    elif kind == "objects":
        group.create_dataset("kernel:0", KERNEL, h5py.string_dtype())
    elif kind == "another shape":
        group["kernel:0"] = np.ones((3, 3, 3, 5), "float32")
    elif kind == "group":
        group.create_group("kernel:0")
    elif kind == "loop":
        group["kernel:0"] = h5py.SoftLink(f"/{NAME}/kernel:0")


@pytest.mark.parametrize(
    "kind",
    [
        *("external link", "external storage", "virtual", "huge", "bomb", "objects"),
        *("another shape", "group", "loop", "gone"),
    ],
)
def test_a_weights_file_that_leads_elsewhere_or_holds_other_things_is_refused(kind, file):
    with h5py.File(file, "a") as f:
        changed(kind, f[NAME], file.parent)
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match="weights.h5 does not hold VGG-19's"):
        load_weights(model, file)
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))


@pytest.mark.parametrize("kept", [0, 8, 0.3, 0.9])
def test_a_weights_file_that_is_cut_short_is_refused(kept, file):
    data = file.read_bytes()
    file.write_bytes(data[: int(kept if kept >= 1 else kept * len(data))])
    with pytest.raises(ValueError, match="weights.h5 does not hold VGG-19's"):
        load_weights(network(), file)


@pytest.mark.parametrize("kind", ["npz with pickles", "zip", "text", "keras"])
def test_a_weights_file_of_another_kind_is_refused(kind, file):
    data = io.BytesIO()
    if kind == "npz with pickles":
        np.savez(data, a=np.array([{"a": 1}], dtype=object))
    elif kind == "zip":
        with zipfile.ZipFile(data, "w") as z:
            z.writestr("config.json", "{}")
    elif kind == "text":
        data.write(b"weights")
    else:
        network().save(file.with_suffix(".keras"))
        data.write(file.with_suffix(".keras").read_bytes())
    file.write_bytes(data.getvalue())
    with pytest.raises(ValueError, match="weights.h5 does not hold VGG-19's"):
        load_weights(network(), file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_a_pipe_holds_no_weights(tmp_path):
    os.mkfifo(tmp_path / "weights.h5")
    with pytest.raises(FileNotFoundError):
        load_weights(network(), tmp_path / "weights.h5")


# ---- models for LiteRT


@pytest.mark.parametrize("data", [b"", b"junk", MODEL.read_bytes()[:100], MODEL.read_bytes()[:-9]])
def test_a_file_that_is_no_compact_model_is_refused_by_name(tmp_path, data):
    (tmp_path / "my.tflite").write_bytes(data)
    with pytest.raises(ValueError, match="my.tflite is no whole LiteRT model.*export it again"):
        CompactModel(tmp_path / "my.tflite", None)


def test_a_damaged_model_is_an_error_in_words(tmp_path):
    rng, good = np.random.default_rng(0), MODEL.read_bytes()
    for _ in range(60):
        data = bytearray(good)
        for at in rng.integers(0, 400, 3):
            data[at] = rng.integers(256)
        (tmp_path / "my.tflite").write_bytes(data)
        try:
            CompactModel(tmp_path / "my.tflite", None)
        except ValueError as e:
            assert "my.tflite" in str(e)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "my.tflite")
    with pytest.raises(OSError, match="not a file"):
        CompactModel(tmp_path / "my.tflite", None)
