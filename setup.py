"""Packaging shim: everything it says is read from settings.ini."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]


def lines(key):
    return [line.strip() for line in cfg[key].splitlines() if line.strip()]


labels, export, cluster, docs = (
    lines(f"{extra}_requirements") for extra in ("labels", "export", "cluster", "docs")
)
course = lines("course_requirements") + labels + export  # chapters 12 and 16 need them

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
    ],
    packages=find_packages(include=["malaria_nb", "malaria_nb.*"]),
    package_data={"malaria_nb": ["compact.tflite"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=lines("requirements"),
    extras_require={
        "course": course,
        "labels": labels,
        "export": export,
        "cluster": cluster,
        "docs": docs,
        "dev": course + cluster + docs + lines("dev_requirements"),
    },
    entry_points={
        "console_scripts": lines("console_scripts"),
        "nbdev": ["malaria_nb=malaria_nb._modidx:d"],
    },
    zip_safe=False,
)
