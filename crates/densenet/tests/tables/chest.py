"""Writes the labels that torchxrayvision makes of a published table, which it carries, beside a copy of that table.

python chest.py chexpert|nih FOLDER

FOLDER/labels.txt has the labels' names, then a line a picture: its path and 1, 0 or ? for each label. Prints the name
of the copy, and nothing where torchxrayvision is not installed.
"""

import shutil
import sys
from pathlib import Path

try:
    import numpy as np
    import torchxrayvision as xrv
except ImportError:
    sys.exit()

SETS = {"chexpert": (xrv.datasets.CheX_Dataset, "Path"), "nih": (xrv.datasets.NIH_Dataset, "Image Index")}


def main(name: str, folder: Path) -> None:
    kind, column = SETS[name]
    data = kind(imgpath=str(folder), views=["*"], unique_patients=False)
    paths = data.csv[column].str.replace("CheXpert-v1.0-small/", "", regex=False)
    labels = np.where(np.isnan(data.labels), "?", np.where(data.labels == 1, "1", "0"))
    known = data.labels[~np.isnan(data.labels)]
    assert np.isin(known, [0, 1]).all()
    with open(folder / "labels.txt", "w") as file:
        print(*data.pathologies, sep="\t", file=file)
        for path, row in zip(paths, labels):
            print(path, "".join(row), sep="\t", file=file)
    first = folder / paths.iloc[0]
    first.parent.mkdir(parents=True, exist_ok=True)
    first.touch()
    table = Path(data.csvpath)
    shutil.copy(table, folder)
    print(table.name)


main(sys.argv[1], Path(sys.argv[2]))
