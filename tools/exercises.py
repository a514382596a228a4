"""Frame and fold the wrong answers in nbs/solutions, and write the learners' nbs/exercises from it.

python tools/exercises.py
"""

from pathlib import Path

from malaria_nb.exercises import framed, learners
from malaria_nb.notebooks import cleaned, nbio

NBS = Path(__file__).resolve().parents[1] / "nbs"


def made() -> dict[str, str]:  # file name -> notebook as text
    "Return what nbs/exercises must hold."
    found = {}
    for path in sorted((NBS / "solutions").glob("*.ipynb")):
        notebook = nbio().dict2nb(learners(nbio().read_nb(path)))
        found[path.name] = nbio().nb2str(notebook)
    return found


if __name__ == "__main__":
    for path in (NBS / "solutions").glob("*.ipynb"):
        whole = nbio().dict2nb(framed(nbio().read_nb(path)))
        path.write_text(cleaned(whole), encoding="utf-8")
    for name, text in made().items():
        (NBS / "exercises" / name).write_text(text, encoding="utf-8")
