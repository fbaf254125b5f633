"""The one module that labels texts with Spark NLP: one pipeline, for one text or for millions.

    with spark.session(cores=2) as session:
        annotator = SparkAnnotator(session, rules_of([load_schema("receipt")]))
        annotator.annotate(["TOTAL 12.50"])

A few texts go through the pipeline on the driver (`LightPipeline`, which needs no job), many as a
DataFrame. Both give the same annotations.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from millrace.engine.errors import BadInput, UsageError
from millrace.tasks.documents.extraction.annotations import Annotation, Method
from millrace.tasks.documents.extraction.nlp_rules import Rules, Target, groups

LIGHT_UP_TO = 8  # texts; from there on a job is worth its start
_MARK = "〓"  # what printers set for a letter they do not have
_DELIMITER = "\x01"  # between an expression and its number: stands in no expression

Found = tuple[str, int, int, str, float]
"""A column of the pipeline, first and last character, what was found, a score."""


class SparkAnnotator:
    """Labels texts by rules and, where there is one, by a trained NER model. An `Annotator`.

    `ner` is a folder that `nlp_training.train_ner` wrote, for the schema `ner_schema`. Raises
    UsageError for a pattern that Java cannot read, ValueError for a folder without a model.
    """

    def __init__(
        self,
        session: Any,
        rules: Rules,
        *,
        ner: Path | None = None,
        ner_schema: str = "",
        light_up_to: int = LIGHT_UP_TO,
    ) -> None:
        self._session, self._rules, self._light_up_to = session, rules, light_up_to
        self._ner_schema = ner_schema
        self._known: list[Target] = sorted(rules.known)
        self._columns: list[str] = []
        self._model = self._fitted(ner)
        self._light: Any = None

    def annotate(self, texts: Sequence[str]) -> list[tuple[Annotation, ...]]:
        """Returns what is found in each text, by place; labels are names of fields. Raises BadInput
        where one of the texts cannot be annotated."""
        return [tuple(dict.fromkeys(note for _, note in found)) for found in self._annotated(texts)]

    def by_schema(self, texts: Sequence[str]) -> list[dict[str, tuple[Annotation, ...]]]:
        """Returns what is found in each text for each schema. Raises BadInput."""
        made = []
        for found in self._annotated(texts):
            told: dict[str, dict[Annotation, None]] = {}
            for schema, note in found:
                told.setdefault(schema, {})[note] = None
            made.append({schema: tuple(notes) for schema, notes in told.items()})
        return made

    def _annotated(self, texts: Sequence[str]) -> list[list[tuple[str, Annotation]]]:
        numbered = [(n, _plain(text)) for n, text in enumerate(texts) if text.strip()]
        found: list[list[tuple[str, Annotation]]] = [[] for _ in texts]
        if not numbered or not self._columns:
            return found
        for number, told in self._read(numbered):
            notes = [note for one in told for note in self._notes(texts[number], one)]
            found[number] = sorted(notes, key=_order)
        return found

    def _read(self, texts: Sequence[tuple[int, str]]) -> list[tuple[int, list[Found]]]:
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        read = self._by_light if len(texts) <= self._light_up_to else self._by_job
        try:
            return list(read(texts))
        except (Py4JJavaError, PySparkException) as error:  # its message would repeat the text
            raise BadInput("not_annotated", "Spark NLP failed on its text") from error

    # -- the pipeline

    def _fitted(self, ner: Path | None) -> Any:
        from pyspark.ml import Pipeline
        from sparknlp.annotator import Tokenizer
        from sparknlp.base import DocumentAssembler

        document = DocumentAssembler().setInputCol("text").setOutputCol("document")
        stages: list[Any] = [document.setCleanupMode("disabled")]
        with tempfile.TemporaryDirectory(prefix="rules-") as folder:
            stages += self._regexes() + self._keywords(Path(folder))
            if self._known or ner is not None:
                stages.append(Tokenizer().setInputCols(["document"]).setOutputCol("token"))
            stages += self._gazetteers(Path(folder))
            empty = self._session.createDataFrame([], "text string")
            fitted = Pipeline(stages=stages).fit(empty)
        return fitted if ner is None else self._with_ner(fitted, ner)

    def _regexes(self) -> list[Any]:
        from sparknlp.annotator import RegexMatcher

        if not self._rules.patterns:
            return []
        compiler = self._session._jvm.java.util.regex.Pattern
        for pattern in self._rules.patterns:
            try:
                compiler.compile(pattern.java)
            except Exception as error:  # py4j has one class for all of Java
                where = ", ".join(".".join(target) for target in pattern.targets)
                raise UsageError(
                    f"Spark NLP cannot read the pattern {pattern.expression!r} of {where}",
                    hint="write it without what only Python's regular expressions have",
                ) from error
        rules = [f"{p.java}{_DELIMITER}{n}" for n, p in enumerate(self._rules.patterns)]
        matcher = RegexMatcher().setInputCols(["document"]).setOutputCol("pattern")
        self._columns.append("pattern")
        return [matcher.setStrategy("MATCH_ALL").setDelimiter(_DELIMITER).setRules(rules)]

    def _keywords(self, folder: Path) -> list[Any]:
        from sparknlp.annotator import DocumentNormalizer, EntityRulerApproach
        from sparknlp.common import ReadAs

        if not self._rules.keywords:
            return []
        alphabet = folder / "alphabet.txt"
        letters = sorted({" ", *(letter for one in self._rules.keywords for letter in one.text)})
        alphabet.write_text("".join(letters), encoding="utf-8")
        # The ruler fails on a letter that is in no keyword, and tells capitals from small letters:
        # it sees the text in small letters, a space for each that it does not know.
        known = "".join(
            f"\\u{ord(x):04x}" for one in letters for x in {one, one.upper()} if len(x) == 1
        )
        small = DocumentNormalizer().setInputCols(["document"]).setOutputCol("small")
        small.setPatterns([f"[^{known}]"]).setReplacement(" ").setPolicy("all").setLowercase(True)
        stages = [small]
        for number, group in enumerate(groups(self._rules.keywords)):
            resource, column = folder / f"keywords-{number}.json", f"entity{number}"
            told = [{"label": str(n), "patterns": [keyword.text]} for n, keyword in group]
            resource.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
            ruler = EntityRulerApproach().setInputCols(["small"]).setOutputCol(column)
            ruler.setPatternsResource(str(resource), ReadAs.TEXT, {"format": "JSON"})
            stages.append(ruler.setAlphabetResource(str(alphabet)).setUseStorage(False))
            self._columns.append(column)
        return stages

    def _gazetteers(self, folder: Path) -> list[Any]:
        from sparknlp.annotator import TextMatcher
        from sparknlp.common import ReadAs

        stages = []
        for number, target in enumerate(self._known):
            entries = folder / f"known-{number}.txt"
            rows = (" ".join(value.split()) for value in self._rules.known[target])
            entries.write_text("\n".join(rows) + "\n", encoding="utf-8")
            column = f"gazetteer{number}"
            matcher = TextMatcher().setInputCols(["document", "token"]).setOutputCol(column)
            matcher.setEntities(str(entries), ReadAs.TEXT).setCaseSensitive(False)
            stages.append(matcher.setEntityValue(str(number)))
            self._columns.append(column)
        return stages

    def _with_ner(self, fitted: Any, ner: Path) -> Any:
        from pyspark.ml import PipelineModel

        if not (ner / "card.json").is_file():
            raise ValueError(f"{ner} holds no NER model")
        tagger = PipelineModel.load(str(ner / "spark"))
        self._columns.append("ner")
        return PipelineModel(stages=[*fitted.stages, *tagger.stages])

    # -- two ways through it

    def _by_light(self, texts: Sequence[tuple[int, str]]) -> Iterable[tuple[int, list[Found]]]:
        from sparknlp.base import LightPipeline

        if self._light is None:
            # Its own `fullAnnotate` opens a text that is the path of a file: go below it.
            self._light = LightPipeline(self._model)._lightPipeline
        for number, text in texts:
            told = self._light.fullAnnotateJava(text)
            found: list[Found] = []
            for column in self._columns:
                for one in told.get(column) or ():
                    metadata = one.metadata()
                    what, score = _label(metadata.get("identifier"), metadata.get("entity")), 1.0
                    if column == "ner":
                        score = float(metadata.get("confidence") or 0)
                    found.append((column, one.begin(), one.end(), what, score))
            yield number, found

    def _by_job(self, texts: Sequence[tuple[int, str]]) -> Iterable[tuple[int, list[Found]]]:
        from pyspark.sql.functions import expr

        frame = self._session.createDataFrame(list(texts), "n int, text string")
        frame = frame.repartition(self._session.sparkContext.defaultParallelism)
        chosen = [
            expr(
                f"transform({column}, a -> struct(a.begin, a.end, a.metadata['identifier'], "
                f"a.metadata['entity'], a.metadata['confidence'])) as {column}"
            )
            for column in self._columns
        ]
        for row in self._model.transform(frame).select("n", *chosen).toLocalIterator():
            found: list[Found] = []
            for column in self._columns:
                for begin, end, identifier, entity, confidence in row[column]:
                    score = float(confidence or 0) if column == "ner" else 1.0
                    found.append((column, begin, end, _label(identifier, entity), score))
            yield row["n"], found

    # -- what was found, as annotations

    def _notes(self, text: str, found: Found) -> Iterable[tuple[str, Annotation]]:
        column, start, last, what, score = found
        end = last + 1
        method: Method = "ner"
        targets: tuple[Target, ...] = ((self._ner_schema, what),)
        if column == "pattern":
            method = "pattern"
            pattern = self._rules.patterns[int(what)]
            targets = pattern.targets
            start, end = _value(pattern.python.match(text, start), start, end)
        elif column.startswith("entity"):
            method = "entity"
            keyword = self._rules.keywords[int(what)]
            targets = keyword.targets if keyword.stands_alone(text, start, end) else ()
        elif column != "ner":
            method = "gazetteer"
            targets = (self._known[int(what)],)
        if start >= end:
            return
        note = Annotation(method, "", start, end, text[start:end], round(score, 4))
        for schema, name in targets:
            yield schema, replace(note, label=name)


def _label(identifier: str | None, entity: str | None) -> str:
    return identifier if identifier is not None else entity or ""


def _value(match: Any, start: int, end: int) -> tuple[int, int]:
    """Returns the span of a match's first group, the whole where there is none."""
    if match is None or not match.re.groups or match.start(1) < 0:
        return start, end
    first, last = match.span(1)
    return int(first), int(last)


def _plain(text: str) -> str:
    """Returns the text with a mark for each letter that Java counts as two, so that both count the
    same."""
    if not text or max(text) <= "\uffff":
        return text
    return "".join(letter if letter <= "\uffff" else _MARK for letter in text)


def _order(one: tuple[str, Annotation]) -> tuple[int, int, str, str, str]:
    schema, note = one
    return note.start, note.end, note.method, schema, note.label
