"""Write the model card, the data sheet and the checklists from the records, into nbs/.

python tools/cards.py
"""

from pathlib import Path

from malaria_nb.cards import checklists, data_sheet, model_card, read_checklists
from malaria_nb.leakage import out_of_fold
from malaria_nb.predict import MODEL
from malaria_nb.recipes import FOLDS
from malaria_nb.records import load, read_table

NBS = Path(__file__).resolve().parents[1] / "nbs"
# the recipe and split whose card is kept, since its model comes with the package; any other:
# malaria-nb experiment card NAME
CARD = "lite0_short", "patient-fold1"
FILE = f"`malaria_nb/network.tflite`: 8-bit weights and activations, {MODEL.stat().st_size:,} bytes"
_AWAY = read_table("15_external-shipped", NBS / "records").loc[2]  # the second run
_EXPORTS = read_table("17_lite0-exports", NBS / "records")
_EIGHT = _EXPORTS.loc["int8"]
LIMITS = (
    "The results above are of the network as it was trained, in 32 bits. The file computes in "
    f"eight: {_EIGHT['moved']:.0f} of {_EXPORTS.attrs['about']['test_cells']:,} predictions "
    f"differ, and the AUC is {_EIGHT['auc']:.3f}.",
    "On another laboratory's second run of photographs it found only "
    f"{_AWAY['sensitivity']:.2f} of the parasitized cells at threshold 0.5.",
    "Its recipe was chosen by that run's AUC, already seen, and among its six trainings this one "
    "by the first run. No untouched laboratory has tested it (chapter 15).",
)


def made() -> dict[str, str]:  # file in nbs: what it must hold
    records = NBS / "records"
    folds = [load("purple_threshold", split, records=records) for split in FOLDS[:5]]
    cells = out_of_fold([fold.predictions for fold in folds])
    return {
        "model_card.md": model_card(load(*CARD, records=records), FILE, LIMITS),
        "data_sheet.md": data_sheet(cells, "real (NIH/NLM)"),
        "checklists.md": checklists(read_checklists(NBS / "checklists.csv")),
    }


if __name__ == "__main__":
    for name, text in made().items():
        (NBS / name).write_text(text, encoding="utf-8")
