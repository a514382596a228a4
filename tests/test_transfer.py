"What would spoil chapter 05: weights under a false name, features that belong to other cells, a download that hangs."

import hashlib
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from malaria_nb import transfer

OFFICIAL_URL = transfer.OFFICIAL_URL


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    "No test sees the user's weights or the network."
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(transfer, "OFFICIAL_URL", "http://127.0.0.1:9/vgg19.h5")


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# Weights: found, named, or refused


def test_weights_that_cannot_be_had_are_an_error_that_says_how_to_mend_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="MALARIA_NB_WEIGHTS=random") as e:
        transfer.find_weights()
    assert transfer.OFFICIAL_URL in str(e.value) and str(tmp_path / "home" / "vgg19.h5") in str(
        e.value
    )
    assert transfer.find_weights(otherwise="random") is None
    with pytest.raises(FileNotFoundError):
        transfer.vgg19_frozen(size=32)


def test_a_missing_path_is_never_replaced_by_random_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match="no weights file"):
        transfer.find_weights(tmp_path / "absent.h5", otherwise="random")


def test_weights_in_the_courses_folder_are_named_by_their_hash(tmp_path, monkeypatch):
    path = put(tmp_path / "home" / "vgg19.h5", b"some weights")
    assert transfer.find_weights() == path
    assert transfer.weights_name("imagenet") == "weights of vgg19.h5 (not the official file)"
    monkeypatch.setattr(transfer, "COPY_SHA256", hashlib.sha256(b"some weights").hexdigest())
    assert transfer.weights_name(path) == "ImageNet weights (8-bit copy)"
    monkeypatch.setattr(transfer, "OFFICIAL_MD5", hashlib.md5(b"some weights").hexdigest())
    assert transfer.weights_name(path) == "ImageNet weights"
    assert transfer.weights_name("random") == transfer.weights_name(None) == "RANDOM weights"


def test_keras_own_file_is_taken_only_when_its_hash_is_right(tmp_path, monkeypatch):
    path = put(tmp_path / "keras" / "models" / "vgg19.h5", b"official")
    with pytest.raises(FileNotFoundError):
        transfer.find_weights()
    monkeypatch.setattr(transfer, "OFFICIAL_MD5", hashlib.md5(b"official").hexdigest())
    assert transfer.find_weights() == path


def test_the_official_file_is_the_one_that_keras_knows():
    import inspect

    from keras.src.applications import vgg19

    source = inspect.getsource(vgg19)
    assert transfer.OFFICIAL_MD5 in source and vgg19.WEIGHTS_PATH_NO_TOP == OFFICIAL_URL


@pytest.mark.parametrize("stall", ["server", "names"])
def test_a_network_that_never_answers_costs_seconds(monkeypatch, stall):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/vgg19.h5"

        def slow(*a, **k):
            time.sleep(3)
            raise socket.gaierror("no name server")

        if stall == "names":
            monkeypatch.setattr(socket, "getaddrinfo", slow)
        began = time.perf_counter()
        assert not transfer._reachable(url, seconds=0.5)
        assert time.perf_counter() - began < 2


@pytest.fixture
def served(tmp_path, monkeypatch):
    "Serve tmp_path/www on loopback in the official file's place."

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *a):
            pass

    put(tmp_path / "www" / "vgg19.h5", b"official weights")
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www"))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(
            transfer, "OFFICIAL_URL", f"http://127.0.0.1:{server.server_port}/vgg19.h5"
        )
        yield
        server.shutdown()


def test_a_download_is_kept_only_when_its_hash_is_right(served, tmp_path, monkeypatch):
    home = tmp_path / "home"
    with pytest.raises(FileNotFoundError, match="hash"):
        transfer.find_weights()
    assert not (home / "vgg19.h5").exists()
    monkeypatch.setattr(transfer, "OFFICIAL_MD5", hashlib.md5(b"official weights").hexdigest())
    assert (
        transfer.find_weights() == home / "vgg19.h5"
    )  # the wrong .part of the first try is in the way, and replaced
    assert (home / "vgg19.h5").read_bytes() == b"official weights"
    assert sorted(p.name for p in home.iterdir()) in (["vgg19.h5"], ["vgg19.h5", "vgg19.lock"])


@pytest.mark.parametrize("data", [b"not a weights file", None])
def test_a_file_that_holds_something_else_is_refused_by_name(tmp_path, data):
    path = tmp_path / "other.h5"
    if data:
        path.write_bytes(data)
    else:
        import keras

        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(
            tmp_path / "o.weights.h5"
        )
        os.replace(tmp_path / "o.weights.h5", path)
    with pytest.raises(ValueError, match="other.h5 does not hold VGG-19's 16 convolution layers"):
        transfer.vgg19_base(path, 32)


# Features: computed once, and those of these cells


class Killed(BaseException):
    pass


class Base:
    "Stands in for VGG-19: the features of an image are its first pixel's red, 512 times."

    def __init__(self, dies_after=None):
        self.seen, self.dies_after = [], dies_after

    def predict_on_batch(self, x):
        if self.dies_after is not None and len(self.seen) >= self.dies_after:
            raise Killed
        self.seen.append(len(x))
        return np.repeat(x[:, 0, 0, :1].astype("float32"), 512, axis=1)


@pytest.fixture
def images():
    images = np.zeros((200, 32, 32, 3), "uint8")
    images[:, 0, 0, 0] = np.arange(200)
    return images


def features(images, monkeypatch, base, **kw):
    monkeypatch.setattr(transfer, "vgg19_base", lambda *a: base)
    return transfer.frozen_features(images, "random", batch=8, progress=False, **kw)


def right(f):
    return f.shape == (200, 512) and (f == np.arange(200)[:, None]).all()


def test_every_image_passes_once_and_never_again(images, monkeypatch):
    base = Base()
    first = features(images, monkeypatch, base)
    assert right(first) and sum(base.seen) == 200 and not first.flags.writeable
    assert right(features(images, monkeypatch, Base(dies_after=0)))


def test_a_killed_run_goes_on_where_it_stopped(images, monkeypatch, tmp_path):
    with pytest.raises(Killed):
        features(images, monkeypatch, Base(dies_after=18))
    assert not list((tmp_path / "home").rglob("*.npy"))
    base = Base()
    assert right(features(images, monkeypatch, base))
    assert sum(base.seen) == 200 - 2 * 8 * 8  # it notes every eighth batch
    assert {p.suffix for p in (tmp_path / "home" / "features").iterdir()} <= {".npy", ".lock"}


def test_a_count_without_its_features_is_not_believed(images, monkeypatch, tmp_path):
    with pytest.raises(Killed):
        features(images, monkeypatch, Base(dies_after=18))
    next((tmp_path / "home").rglob("*.part")).unlink()
    with pytest.raises(Killed):
        features(images, monkeypatch, Base(dies_after=1))
    assert right(features(images, monkeypatch, Base()))


def test_a_cache_cut_short_is_noticed_and_made_again(images, monkeypatch, tmp_path):
    features(images, monkeypatch, Base())
    path = next((tmp_path / "home").rglob("*.npy"))
    os.truncate(path, path.stat().st_size - 1)
    base = Base()
    assert right(features(images, monkeypatch, base)) and sum(base.seen) == 200


def test_other_pixels_or_weights_have_other_features(images, monkeypatch, tmp_path):
    features(images, monkeypatch, Base())
    images[7, 31, 31, 2] = 1
    base = Base()
    features(images, monkeypatch, base)
    transfer.frozen_features(images, put(tmp_path / "w.h5", b"w"), batch=8, progress=False)
    assert sum(base.seen) == 400


def test_two_at_once_do_the_work_once(images, monkeypatch):
    class Slow(Base):
        def predict_on_batch(self, x):
            time.sleep(0.01)
            return super().predict_on_batch(x)

    base = Slow()
    monkeypatch.setattr(transfer, "vgg19_base", lambda *a: base)
    with ThreadPoolExecutor(2) as pool:
        both = list(
            pool.map(
                lambda _: transfer.frozen_features(images, "random", batch=8, progress=False),
                range(2),
            )
        )
    assert all(map(right, both)) and sum(base.seen) == 200


@pytest.mark.parametrize(
    "bad, says",
    [
        (np.zeros((2, 32, 32, 3), "float32"), "expected uint8"),
        (np.zeros((2, 32, 40, 3), "uint8"), "size, size"),
        (np.zeros((32, 32, 3), "uint8"), "expected uint8"),
        (np.zeros((2, 32, 32, 1), "uint8"), "expected uint8"),
    ],
)
def test_images_of_another_kind_are_refused(bad, says):
    with pytest.raises(ValueError, match=says):
        transfer.frozen_features(bad, "random")


def test_a_size_that_the_images_do_not_have_is_refused(images):
    with pytest.raises(ValueError, match="size=125"):
        transfer.frozen_features(images, "random", 125)


def test_a_full_disk_and_a_closed_folder_say_how_to_mend_it(images, monkeypatch, tmp_path):
    with monkeypatch.context() as m:
        m.setattr(transfer.shutil, "disk_usage", lambda p: type("U", (), {"free": 1000}))
        with pytest.raises(OSError, match="MALARIA_NB_HOME"):
            features(images, monkeypatch, Base())
    assert not [p for p in (tmp_path / "home" / "features").iterdir() if p.suffix != ".lock"]

    def closed(*a, **k):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", closed)
    with pytest.raises(PermissionError, match="can't write the features"):
        features(images, monkeypatch, Base())


# Models


@pytest.fixture(scope="module")
def base32():
    return transfer.vgg19_base("random", 32)


def test_nothing_of_ours_is_in_a_saved_model(tmp_path, base32):
    import json
    import zipfile

    import keras

    joined = transfer.join(base32, transfer.vgg19_head(512))
    joined.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as z:
        config = z.read("config.json").decode()
    assert "malaria_nb" not in config and "Lambda" not in config
    assert json.loads(config)["registered_name"] in (None, "Functional")
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_allclose(again.predict_on_batch(x), joined.predict_on_batch(x), atol=1e-6)


def test_random_weights_are_the_same_every_time_and_tell_images_apart(base32):
    twin = transfer.vgg19_base("random", 32)
    assert set(transfer.moved(base32, twin).values()) == {0.0}
    f = base32.predict_on_batch(
        np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype="uint8")
    )
    assert 0.1 < f.mean() < 10 and f.std(axis=0).mean() > 0.1 * f.mean()


def test_fine_tuning_starts_from_a_copy_of_the_head():
    head = transfer.vgg19_head(512)
    model = transfer.vgg19_finetuned("random", 32, head)
    assert transfer.moved(head, model) == {"hidden1": 0, "hidden2": 0, "score": 0}
    model.get_layer("hidden1").bias.assign(np.ones(512))
    assert (head.get_layer("hidden1").get_weights()[1] == 0).all()


def test_halves_of_different_sizes_are_not_joined(base32):
    with pytest.raises(ValueError, match="the base gives 512 features and the head takes 4,608"):
        transfer.join(base32, transfer.vgg19_head(4608))
