"What would spoil VGG-19's weights: a false name, a download that hangs, random ones unsaid."

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from malaria_nb import weights
from malaria_nb.settings import Settings, read_settings

OFFICIAL_URL = weights.OFFICIAL_URL


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    "No test reaches the network."
    monkeypatch.setattr(weights, "OFFICIAL_URL", "http://127.0.0.1:9/vgg19.h5")


@pytest.fixture
def find(tmp_path, monkeypatch):
    "Look for weights in folders of this test alone."
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return lambda what: weights.find_weights(what, tmp_path / "home")


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# ---- found, or refused


def test_a_keras_home_of_nobody_is_told_and_no_error(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KERAS_HOME", "~nobody-of-this-name/keras")
    assert weights.find_weights("auto", tmp_path / "home") is None
    assert "no user of that name" in capsys.readouterr().out


def test_imagenet_weights_that_cannot_be_had_are_an_error_that_says_what_to_do(find, tmp_path):
    with pytest.raises(FileNotFoundError, match="MALARIA_NB_WEIGHTS=random") as e:
        find("imagenet")
    assert weights.OFFICIAL_URL in str(e.value)
    assert str(tmp_path / "home" / "vgg19.h5") in str(e.value)


@pytest.mark.parametrize("wrong", ["imagnet", "absent.h5", Path("absent.h5")])
def test_a_missing_file_or_a_wrong_word_is_never_replaced_by_random_weights(find, wrong):
    with pytest.raises(FileNotFoundError, match="no weights file.*'auto', 'imagenet', 'random'"):
        find(wrong)


def test_random_weights_are_not_looked_for(find, tmp_path):
    assert find("random") is None and not list(tmp_path.iterdir())


def test_a_file_is_taken_as_it_is(find, tmp_path):
    path = put(tmp_path / "w.h5", b"weights")
    assert find(path) == find(str(path)) == path


# ---- auto


def test_auto_is_the_default():
    assert Settings().weights == read_settings({}).weights == "auto"
    assert read_settings({"MALARIA_NB_WEIGHTS": "auto"}).weights == "auto"


def test_auto_takes_the_official_file_where_it_is(find, tmp_path, capsys):
    path = put(tmp_path / "home" / "vgg19.h5", b"weights")
    assert find("auto") == path and capsys.readouterr().out == ""


def test_auto_says_once_that_weights_are_random_what_that_means_and_what_to_do(
    find, tmp_path, capsys
):
    assert find("auto") is None and find("auto") is None
    (line,) = capsys.readouterr().out.splitlines()
    assert "RANDOM weights" in line and "say nothing about transfer learning" in line
    assert weights.OFFICIAL_URL in line and str(tmp_path / "home" / "vgg19.h5") in line


def test_auto_is_random_where_the_download_is_another_file(find, served, tmp_path, capsys):
    assert find("auto") is None
    assert "RANDOM weights" in capsys.readouterr().out
    assert not (tmp_path / "home" / "vgg19.h5").exists()


def test_auto_is_random_where_nothing_can_be_written(find, served, official, monkeypatch, capsys):
    def full(*a, **k):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "fetch_file", full)
    assert find("auto") is None and "No space left" in capsys.readouterr().out


# ---- named


def test_weights_are_named_by_their_hash(tmp_path, monkeypatch):
    path = put(tmp_path / "home" / "vgg19.h5", b"some weights")
    assert weights.weights_name(path) == "weights of vgg19.h5 (not the official file)"
    monkeypatch.setattr(weights, "COPY_SHA256", hashlib.sha256(b"some weights").hexdigest())
    assert weights.weights_name(path) == "ImageNet weights (8-bit copy)"
    monkeypatch.setattr(weights, "OFFICIAL_MD5", hashlib.md5(b"some weights").hexdigest())
    assert weights.weights_name(path) == "ImageNet weights"
    assert weights.weights_digest(path) == hashlib.sha256(b"some weights").hexdigest()


def test_a_row_of_random_weights_says_so_and_no_other_does():
    assert weights.weights_name(None) == "RANDOM weights"
    assert weights.row_name("VGG-19", weights.weights_name(None)) == "VGG-19 (RANDOM weights)"
    for named in ("", "ImageNet weights", "weights of RANDOM.h5 (not the official file)"):
        assert weights.row_name("VGG-19", named) == "VGG-19"


# ---- downloaded


def test_keras_own_file_is_taken_only_when_its_hash_is_right(find, tmp_path, monkeypatch):
    path = put(tmp_path / "keras" / "models" / "vgg19.h5", b"official")
    with pytest.raises(FileNotFoundError):
        find("imagenet")
    monkeypatch.setattr(weights, "OFFICIAL_MD5", hashlib.md5(b"official").hexdigest())
    assert find("imagenet") == find("auto") == path


def test_the_official_file_is_the_one_that_keras_knows():
    import inspect

    from keras.src.applications import vgg19

    assert weights.OFFICIAL_MD5 in inspect.getsource(vgg19)
    assert vgg19.WEIGHTS_PATH_NO_TOP == OFFICIAL_URL


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
        assert not weights._reachable(url, seconds=0.5)
        assert time.perf_counter() - began < 2


@pytest.fixture
def served(tmp_path, monkeypatch):
    "Serve tmp_path/www on loopback in the official file's place."

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *a):
            pass

    put(tmp_path / "www" / "vgg19.h5", b"official weights")
    handler = partial(Quiet, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/vgg19.h5"
        monkeypatch.setattr(weights, "OFFICIAL_URL", url)
        yield
        server.shutdown()


@pytest.fixture
def official(monkeypatch):
    "Let the served file be the official one."
    monkeypatch.setattr(weights, "OFFICIAL_MD5", hashlib.md5(b"official weights").hexdigest())


def test_a_download_of_another_file_is_refused_and_not_kept(served, find, tmp_path):
    with pytest.raises(FileNotFoundError, match="MD5"):
        find("imagenet")
    assert not (tmp_path / "home" / "vgg19.h5").exists()


@pytest.mark.parametrize("how", ["imagenet", "auto"])
def test_the_official_file_is_downloaded_and_kept(served, official, find, tmp_path, how):
    home = tmp_path / "home"
    put(home / "vgg19.h5.part", b"what a wrong server left")
    assert find(how) == home / "vgg19.h5"
    assert (home / "vgg19.h5").read_bytes() == b"official weights"
    assert {p.name for p in home.iterdir()} <= {"vgg19.h5", "vgg19.h5.lock"}


# ---- given to the network


@pytest.mark.parametrize("data", [b"not a weights file", None])
def test_a_file_that_holds_something_else_is_refused_by_name(tmp_path, data):
    from malaria_nb.transfer import vgg19_base

    path = tmp_path / "other.h5"
    if data:
        path.write_bytes(data)
    else:
        import keras

        other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        other.save_weights(tmp_path / "o.weights.h5")
        os.replace(tmp_path / "o.weights.h5", path)
    with pytest.raises(ValueError, match="other.h5 does not hold VGG-19's 16 convolution layers"):
        vgg19_base(path, 32)


def test_a_word_is_no_file():
    from malaria_nb.transfer import vgg19_base

    with pytest.raises(FileNotFoundError, match="find_weights"):
        vgg19_base("imagenet", 32)


def test_finding_weights_needs_no_keras():
    code = "import sys, malaria_nb.weights; print('keras' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "False"]
