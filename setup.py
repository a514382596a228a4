"""Packaging shim: everything it says is read from settings.ini."""

import shutil
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]


def lines(key):  # without the reasons
    values = (line.strip() for line in cfg[key].splitlines())
    return [line for line in values if line and not line.startswith("#")]


def extra(name):
    "List an extra's requirements, with those of the extras that it brings."
    brought = [extra(other) for other in cfg.get(f"{name}_brings", "").split()]
    return sum(brought, []) + lines(f"{name}_requirements")


# what only a maintainer needs of nbs, and the sample, which has its own place
LEFT_OUT = {"claims", "checks", "_course", "__pycache__"}


def course_files():
    "List the files of the course that an installed library brings, below nbs."
    for path in sorted((here / "nbs").rglob("*")):
        name = path.relative_to(here / "nbs")
        hidden = any(part[0] == "." for part in name.parts)
        ours = not hidden and not LEFT_OUT & set(name.parts) and name.parts[0] != "sample"
        if path.is_file() and (ours or name.parts[:2] == ("sample", "chula")):
            yield name


class WithCourse(build_py):
    "Put the course and the sample, of which the repository has one copy, into what is built."

    def run(self):
        super().run()
        if self.editable_mode:  # runs from the clone, which has them
            return
        package = Path(self.build_lib, cfg["lib_name"])
        for file in (here / "nbs" / "sample").iterdir():
            if file.is_file():
                self.put(file, package / "data" / file.name)
        # what an earlier build left isn't part of this one
        shutil.rmtree(package / "course", ignore_errors=True)
        for name in course_files():
            self.put(here / "nbs" / name, package / "course" / "nbs" / name)

    def put(self, file, to):
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    license="Apache-2.0",
    license_files=["LICENSE", "LICENSE-prose"],
    keywords=cfg["keywords"].split(),
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["malaria_nb", "malaria_nb.*"]),
    package_data={"malaria_nb": ["network.tflite", "laboratories.csv", "py.typed", "touch/*"]},
    cmdclass={"build_py": WithCourse},
    python_requires=f">={cfg['min_python']},<{cfg['max_python']}",
    install_requires=lines("requirements"),
    extras_require={name: extra(name) for name in cfg["extras"].split()},
    entry_points={
        "console_scripts": lines("console_scripts"),
        "nbdev": ["malaria_nb=malaria_nb._modidx:d"],
    },
    zip_safe=False,
)
