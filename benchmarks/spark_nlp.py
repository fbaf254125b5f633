"""What Spark NLP takes: opening a session, building the pipeline, texts a second in both ways.

    python benchmarks/spark_nlp.py [--texts 1000] [--cores 2] [--schemas receipt,invoice]

Texts are made: receipts of 45 lines with names, amounts and dates of their own.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from pathlib import Path

from millrace.tasks.documents.extraction import spark
from millrace.tasks.documents.extraction.nlp import SparkAnnotator
from millrace.tasks.documents.extraction.nlp_rules import rules_of
from millrace.tasks.documents.extraction.schema import load_schema

WARES = ("TEA", "RICE", "PEN", "KITE")


def receipt(number: int) -> str:
    pick = random.Random(number)
    items = [
        f"{pick.choice(WARES)} {pick.randint(1, 9)} x {pick.random() * 90:.2f}" for _ in range(32)
    ]
    head = [f"SHOP {number} SDN BHD", f"NO {pick.randint(1, 99)}, JALAN SAGU,", "81100 JOHOR BAHRU"]
    date = f"Date: {pick.randint(1, 28):02}/{pick.randint(1, 12):02}/2018"
    foot = ["SUBTOTAL 99.00", f"TOTAL AMOUNT: RM {pick.random() * 900:.2f}", "CHANGE 1.00"]
    return "\n".join([*head, "TAX INVOICE", date, *items, *foot, "THANK YOU"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--schemas", default="receipt")
    told = parser.parse_args()
    texts = [receipt(number) for number in range(told.texts)]
    rules = rules_of([load_schema(name) for name in told.schemas.split(",")])
    began = time.monotonic()
    with spark.session(cores=told.cores) as session:
        print(f"open a session            {time.monotonic() - began:8.1f} s")
        began = time.monotonic()
        annotator = SparkAnnotator(session, rules)
        print(f"build the pipeline        {time.monotonic() - began:8.1f} s")
        annotator.annotate(texts[:1])
        began = time.monotonic()
        light = [annotator.annotate([text])[0] for text in texts[:100]]
        print(f"light, one by one         {len(light) / (time.monotonic() - began):8.1f} texts/s")
        began = time.monotonic()
        annotator.annotate(texts[:100])
        print(f"as a table, 100, first job{time.monotonic() - began:8.1f} s")
        began = time.monotonic()
        table = annotator.annotate(texts)
        print(f"as a table, {told.texts:<14}{len(texts) / (time.monotonic() - began):8.1f} texts/s")
        assert table[:100] == light, "the two ways differ"
        print(f"annotations a text        {sum(map(len, table)) / len(texts):8.1f}")
        print(f"memory of the JVM         {_jvm():8.0f} MiB")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory of Python          {own >> 10:8} MiB")


def _jvm() -> float:
    from pyspark import SparkContext

    status = Path(f"/proc/{SparkContext._gateway.proc.pid}/status").read_text(encoding="utf-8")
    row = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(row.split()[1]) / 1024


if __name__ == "__main__":
    main()
