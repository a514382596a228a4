"""Write the learner's version of every notebook in nbs/solutions into nbs/exercises.

python tools/exercises.py
"""

from pathlib import Path

from execnb.nbio import dict2nb, nb2str, read_nb
from nbdev.clean import clean_nb

from malaria_nb.exercises import learners

NBS = Path(__file__).resolve().parents[1] / "nbs"


def made() -> dict[str, str]:  # file name -> notebook as text
    "Return what nbs/exercises must hold."
    return {
        path.name: nb2str(dict2nb(learners(read_nb(path))))
        for path in sorted((NBS / "solutions").glob("*.ipynb"))
    }


if __name__ == "__main__":
    for path in (NBS / "solutions").glob("*.ipynb"):
        nb = read_nb(path)
        clean_nb(nb)
        path.write_text(nb2str(nb), encoding="utf-8")
    for name, text in made().items():
        (NBS / "exercises" / name).write_text(text, encoding="utf-8")
