"""Trains the NER model of a schema: a conditional random field over words, on labelled texts.

    folder/card.json   what it was trained on, and with what
    folder/spark/      the pipeline, from text to chunks, as Spark NLP saves it

The end of a line tells much on a receipt, and tokens do not: so the tagger sees a mark for each
line's end. The other inputs it insists on are a class for each word (a perceptron learns what a
word's shape is) and a vector for each word (word2vec of the same texts).
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FORMAT = 1
LINE_END = "¶"
_MARK = r"[^\p{L}\p{N}\s]"
_BETWEEN = (  # tokens: words, numbers, single marks
    rf"\s+|(?<={_MARK})|(?={_MARK})" r"|(?<=\p{N})(?=\p{L})|(?<=\p{L})(?=\p{N})"
)
VECTOR = 24  # numbers a word
EPOCHS = 12
PACE = 2_000  # the larger, the smaller the steps of the training
LEAST_WEIGHT = 0.02  # features that weigh less are dropped: most of them, and most of the size

Span = tuple[int, int, str]
"""First and last character (exclusive), and the name of the field."""


def train_ner(
    session: Any,
    texts: Sequence[str],
    spans: Sequence[Sequence[Span]],
    folder: Path,
    *,
    epochs: int = EPOCHS,
    seed: int = 1,
) -> Path:
    """Returns the folder of an NER model trained on texts and the spans of their fields' values.

    Takes minutes for hundreds of texts. An existing folder is replaced. Raises
    ValueError without any span, and where not one of them is found after the training.
    """
    if not any(spans):
        raise ValueError("no text has a labelled span")
    from pyspark.ml import PipelineModel

    tokenizer = _tokenizer().fit(session.createDataFrame([("",)], "text string"))
    rows = _tokenized(session, tokenizer, texts)
    with tempfile.TemporaryDirectory(prefix="ner-") as scratch:
        corpus = Path(scratch) / "corpus.conll"
        corpus.write_text(conll(texts, rows, spans), encoding="utf-8")
        taggers = _fitted(session, corpus, epochs, seed)
    model = PipelineModel(stages=[*tokenizer.stages, *taggers, _converter()])
    share = _share_found(session, model, texts, spans)
    if not share:
        raise ValueError("nothing was learnt: not one value of the training texts is found")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    model.write().overwrite().save(str(folder / "spark"))
    card = {
        "format": FORMAT,
        "kind": "NerCrf on words, their classes and word2vec vectors",
        "texts": len(texts),
        "spans": sum(map(len, spans)),
        "labels": sorted({label for told in spans for _, _, label in told}),
        "found_in_training_texts": round(share, 4),
        "epochs": epochs,
        "seed": seed,
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return folder


def _share_found(
    session: Any, model: Any, texts: Sequence[str], spans: Sequence[Sequence[Span]]
) -> float:
    """Returns the share of the labelled spans that the model finds exactly, label and all."""
    frame = session.createDataFrame(list(enumerate(texts)), "n int, text string")
    chosen = model.transform(frame).selectExpr(
        "n", "transform(ner, a -> struct(a.begin, a.end, a.metadata['entity'])) as found"
    )
    hits = 0
    for row in chosen.collect():
        found = {(begin, end + 1, label) for begin, end, label in row["found"]}
        hits += len(found & set(spans[row["n"]]))
    return hits / sum(map(len, spans))


def conll(
    texts: Sequence[str], rows: Sequence[Sequence[tuple[int, int]]], spans: Sequence[Sequence[Span]]
) -> str:
    """Returns texts cut into tokens as a CoNLL file: word, class, class, IOB label."""
    told = []
    for text, tokens, labelled in zip(texts, rows, spans, strict=True):
        lines = ["-DOCSTART- -X- -X- O", ""]
        before = ""
        for start, end in tokens:
            label = next((name for s, e, name in labelled if s <= start and end <= e), "")
            first = label and (label != before or any(s == start for s, _, _ in labelled))
            tag = f"{'B' if first else 'I'}-{label}" if label else "O"
            before = label
            word = LINE_END if text[start] == "\n" else text[start:end]
            kind = word_class(word)
            lines.append(f"{word} {kind} {kind} {tag}")
        if tokens:
            told.append("\n".join(lines) + "\n")
    return "\n".join(told)


def word_class(word: str) -> str:
    """Returns what a word looks like: a line's end, digits by their number, a mark, capitals."""
    if word == LINE_END:
        return "END"
    if word.isnumeric():
        return f"NUM{min(len(word), 6)}"
    if not word[0].isalpha():
        return "MARK"
    if len(word) == 1:
        return "LETTER"
    return "CAPS" if word.isupper() else "NAME" if word[0].isupper() else "WORD"


def _tokenizer() -> Any:
    from pyspark.ml import Pipeline
    from sparknlp.annotator import DocumentNormalizer, RegexTokenizer
    from sparknlp.base import DocumentAssembler

    document = DocumentAssembler().setInputCol("text").setOutputCol("document")
    marked = DocumentNormalizer().setInputCols(["document"]).setOutputCol("ner_document")
    marked.setPatterns(["\n"]).setReplacement(LINE_END).setPolicy("all").setLowercase(False)
    token = RegexTokenizer().setInputCols(["ner_document"]).setOutputCol("ner_token")
    return Pipeline(
        stages=[
            document.setCleanupMode("disabled"),
            marked,
            token.setPattern(_BETWEEN).setToLowercase(False),
        ]
    )


def _tokenized(session: Any, tokenizer: Any, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    frame = session.createDataFrame(list(enumerate(texts)), "n int, text string")
    chosen = tokenizer.transform(frame).selectExpr(
        "n", "transform(ner_token, a -> struct(a.begin, a.end)) as tokens"
    )
    rows: list[list[tuple[int, int]]] = [[] for _ in texts]
    for row in chosen.collect():
        rows[row["n"]] = [(begin, end + 1) for begin, end in row["tokens"]]
    return rows


def _fitted(session: Any, corpus: Path, epochs: int, seed: int) -> list[Any]:
    from sparknlp.annotator import NerCrfApproach, PerceptronApproach, Word2VecApproach
    from sparknlp.training import CoNLL

    reader = CoNLL(
        documentCol="ner_document", sentenceCol="ner_sentence", tokenCol="ner_token",
        posCol="told_class", labelCol="label", explodeSentences=False,
    )  # fmt: skip
    frame = reader.readDataset(session, str(corpus)).cache()
    classes = PerceptronApproach().setInputCols(["ner_document", "ner_token"])
    classes.setOutputCol("ner_class").setPosColumn("told_class").setIterations(2)
    classifier = classes.fit(frame)
    vectors = Word2VecApproach().setInputCols(["ner_token"]).setOutputCol("ner_vector")
    vectors.setVectorSize(VECTOR).setMinCount(2).setMaxIter(3).setSeed(seed).setWindowSize(4)
    embedder = vectors.fit(frame)
    ready = embedder.transform(classifier.transform(frame)).cache()
    crf = NerCrfApproach().setInputCols(["ner_document", "ner_token", "ner_class", "ner_vector"])
    crf.setLabelColumn("label").setOutputCol("ner_tag").setMaxEpochs(epochs)
    # Its default is meant for corpora of tens of thousands of sentences: on hundreds of texts the
    # steps would be so small that nothing is learnt. Too large ones end in nothing as well.
    crf.setC0(PACE * frame.count()).setMinEpochs(epochs)
    crf.setMinW(LEAST_WEIGHT).setRandomSeed(seed).setVerbose(0).setIncludeConfidence(True)
    tagger = crf.fit(ready)
    ready.unpersist()
    frame.unpersist()
    return [classifier, embedder, tagger]


def _converter() -> Any:
    from sparknlp.annotator import NerConverter

    return NerConverter().setInputCols(["ner_document", "ner_token", "ner_tag"]).setOutputCol("ner")


def spans_of(text: str, values: dict[str, str]) -> list[Span]:
    """Returns where the values of fields stand in a text, whatever stands between their words."""
    found: list[Span] = []
    for label, value in values.items():
        words = [re.escape(word) for word in re.findall(r"\w+", value)]
        match = re.search(r"\W{0,6}".join(words), text, re.IGNORECASE) if words else None
        if match:
            found.append((match.start(), match.end(), label))
    return found
