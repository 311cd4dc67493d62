"""Taggers by spaCy: trained on hand-annotated text, measured on its test part, and put to use.

    python -m reproduction.tagger --language en --train FILES --test FILES --column xpos \
        --apply TEXT TAGS TEXT TAGS … --output FOLDER

The folder gets ``accuracy.json`` and the trained pipeline; each TEXT (words separated by spaces)
gets a file of tags in the same layout.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reproduction.config import ConfigError
from reproduction.corpora import Tagged, read_lines, tagged_files, write_lines

NONE = "_"


def train(language: str, sentences: Sequence[Tagged], epochs: int, seed: int) -> Any:
    """A spaCy pipeline with a tagger that learned these sentences.

    spaCy has words with spaces in mind and tags that may be empty; here every word has a tag, and
    ``_`` is a tag like any other.
    """
    import spacy
    from spacy.training import Example
    from spacy.util import compounding, fix_random_seed, minibatch

    fix_random_seed(seed)
    try:
        nlp = spacy.blank(language)
    except ImportError:  # unknown to spaCy, or its tokeniser is missing; words are given here
        nlp = spacy.blank("xx")
    tagger: Any = nlp.add_pipe("tagger")
    for tag in sorted({tag for sentence in sentences for _, tag in sentence}):
        tagger.add_label(tag)
    examples = [
        Example.from_dict(
            spacy.tokens.Doc(nlp.vocab, words=[word for word, _ in sentence]),
            {"tags": [tag for _, tag in sentence]},
        )
        for sentence in sentences
    ]
    optimizer = nlp.initialize(lambda: examples[:1000])
    shuffled = random.Random(seed)
    for epoch in range(epochs):
        shuffled.shuffle(examples)
        losses: dict[str, float] = {}
        for batch in minibatch(examples, size=compounding(8.0, 64.0, 1.002)):
            nlp.update(batch, sgd=optimizer, drop=0.1, losses=losses)
        print(f"epoch {epoch + 1} of {epochs}: loss {losses['tagger']:.0f}", flush=True)
    return nlp


def tag(nlp: Any, sentences: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Tags of sentences of words."""
    from spacy.tokens import Doc

    for doc in nlp.pipe(Doc(nlp.vocab, words=list(words)) for words in sentences):
        yield [token.tag_ or NONE for token in doc]


def accuracy(nlp: Any, test: Sequence[Tagged], training: Sequence[Tagged]) -> dict[str, object]:
    """Share of words tagged right, of those never seen in training too, beside MAJ.

    MAJ tags a word as most often in training, and an unknown word as most words there.
    """
    seen: dict[str, Counter[str]] = {}
    for word, wanted in (pair for sentence in training for pair in sentence):
        seen.setdefault(word, Counter())[wanted] += 1
    common = sum(seen.values(), Counter[str]()).most_common(1)[0][0]
    majority = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
    right, right_unseen, unseen, baseline, count = 0, 0, 0, 0, 0
    found = tag(nlp, [[word for word, _ in sentence] for sentence in test])
    for sentence, tags in zip(test, found, strict=True):
        for (word, wanted), given in zip(sentence, tags, strict=True):
            count += 1
            right += given == wanted
            baseline += majority.get(word, common) == wanted
            if word not in majority:
                unseen += 1
                right_unseen += given == wanted
    return {
        "accuracy": right / count,
        "majority_baseline": baseline / count,
        "accuracy_unseen": right_unseen / unseen if unseen else None,
        "words": count,
        "unseen_words": unseen,
        "train_sentences": len(training),
        "train_words": sum(map(len, training)),
        "labels": len({tag for sentence in training for _, tag in sentence}),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", required=True)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--test", nargs="+", required=True)
    parser.add_argument("--column", default="upos")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--train-sentences", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--apply", nargs="*", default=[])
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(arguments)
    try:
        training = tagged_files(args.train, args.column, args.train_sentences)
        test = tagged_files(args.test, args.column)
    except ConfigError as error:
        sys.exit(str(error))
    nlp = train(args.language, training, args.epochs, args.seed)
    measured = accuracy(nlp, test, training)
    print(json.dumps(measured))
    args.output.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(args.output / "pipeline")
    for text, tags in zip(args.apply[::2], args.apply[1::2], strict=True):
        sentences = [line.split() for line in read_lines(Path(text))]
        write_lines(Path(tags), (" ".join(one) for one in tag(nlp, sentences)))
    write_lines(args.output / "accuracy.json", [json.dumps(measured, indent=1)])


if __name__ == "__main__":
    main()
