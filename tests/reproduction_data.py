"""The data folder of a reproduction that never was."""

from __future__ import annotations

import gzip
from pathlib import Path

from reproduction.config import load_config
from reproduction.layout import Layout

CONLLU = """# text = Don't stop
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVBP\tMood=Ind|Number=Sing|Person=2\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\t1 000\t_\tNUM\tCD\tNumType=Card\t0\troot\t_\t_

1\tGo\tgo\tVERB\tVB\tVerbForm=Inf\t0\troot\t_\t_
"""


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def small(tmp_path: Path) -> Layout:
    """The small configuration over the toy's text."""
    config = load_config("small")
    del config.directions[1], config.languages["de"], config.languages["en"].tasks["sem"]
    only = config.corpora["tatoeba"]
    only.pairs, only.valid_pairs, only.test_pairs = 6, 2, 2
    config.classifier.train_sentences, config.classifier.test_sentences = 3, 2
    data = tmp_path / "data"
    for split in ("train", "valid", "test"):
        for kind in ("tok", "raw"):
            for language in ("en", "de"):
                lines = "\n".join(f"{language} {number % 15}" for number in range(30)) + "\n"
                written(data / f"tatoeba_de_en/{split}.{kind}.{language}.gz", lines)
    for split in ("train", "test"):
        written(data / f"ud_en_ewt/en_ewt-ud-{split}.conllu.gz", CONLLU)
    return Layout(config, data, tmp_path / "run")
