"""Renew the records' metrics and digests; sign what is new among the records and stored outputs.

    python tools/renew.py [--accept]

Metrics are computed from each record's own predictions, as the code does now; nothing is trained.
What is not as it was signed (see `nbs/records/DIGESTS` and `nbs/claims/OUTPUTS`) is named and left
alone, unless `--accept` says that it was meant. A second run changes nothing.
"""

import sys
from pathlib import Path

from tqdm import tqdm

from malaria_nb.outputs import changed_outputs, sign_outputs
from malaria_nb.records import record_folders, records_folder, renew_record
from malaria_nb.signed import changed, sign

KNOWN = {"new", "changed", "gone"}


def renew(records: Path, accept: bool = False) -> tuple[list[str], list[str]]:
    "Renew a folder of records; return the names of what was renewed, and what was refused and why."
    renewed, refused = [], []
    for folder in tqdm(record_folders(records), leave=False, disable=not sys.stderr.isatty()):
        try:
            renewed += [folder.name] * renew_record(folder, accept)
        except (OSError, ValueError) as e:
            refused.append(str(e))
    folders = {folder.name for folder in record_folders(records)}
    for name, how in changed(records).items():
        if name in folders:
            continue
        if how == "new" or (accept and how in KNOWN):
            sign(records, [name])
            renewed.append(name)
        else:
            refused.append(f"{name} is {how}" if how in KNOWN else how)
    return renewed, refused


def renew_outputs(nbs: Path, accept: bool = False) -> tuple[list[str], list[str]]:
    "Sign the stored outputs that are new; with `accept`, also those that changed or are gone."
    signed, refused, unlike = [], [], changed_outputs(nbs)
    for chapter in sorted({name.partition("#")[0] for name in unlike}):
        mine = {k: how for k, how in unlike.items() if k.partition("#")[0] == chapter}
        if accept or set(mine.values()) == {"new"}:
            sign_outputs(nbs / f"{chapter}.ipynb")
            signed += mine
        else:
            refused += [f"the output of {name} is {how}" for name, how in mine.items()]
    return signed, refused


if __name__ == "__main__":
    accepted, there = "--accept" in sys.argv[1:], records_folder()
    both = renew(there, accepted), renew_outputs(there.parent, accepted)
    done, left = ([name for found in both for name in found[i]] for i in (0, 1))
    print(*done, f"{len(done)} renewed or signed", sep="\n")
    if left:
        sys.exit("not signed, since it isn't what was signed before:\n" + "\n".join(left))
