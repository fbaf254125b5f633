"""What is looked for, taken from schemas."""

from __future__ import annotations

import pytest

from millrace.tasks.documents.extraction.nlp_rules import Keyword, Pattern, groups, rules_of
from millrace.tasks.documents.extraction.schema import Field, Schema

RECEIPT = Schema(
    name="receipt",
    fields=(
        Field(name="total", type="money", synonyms=("Total", "total amount")),
        Field(name="date", type="date"),
        Field(name="number", type="id", patterns=(r"No\.?\s*(?P<value>\d{4,})",)),
    ),
)
INVOICE = Schema(name="invoice", fields=(Field(name="sum", type="money", synonyms=("total",)),))


def test_a_rule_that_two_schemas_share_is_looked_for_once_and_found_for_both() -> None:
    rules = rules_of([RECEIPT, INVOICE])
    total = next(one for one in rules.keywords if one.text == "total")
    assert total.targets == (("receipt", "total"), ("invoice", "sum"))
    assert len({one.expression for one in rules.patterns}) == len(rules.patterns)


def test_an_amount_is_a_total_where_a_synonym_stands_before_it() -> None:
    rules = rules_of([RECEIPT])
    pattern = next(p for p in rules.patterns if p.targets == (("receipt", "total"),))
    match = pattern.python.search("TOTAL  AMOUNT : RM 1,234.50")
    assert match and match[1] == "1,234.50"
    assert pattern.python.search("CHANGE 5.00") is None
    assert pattern.python.search("SUBTOTAL 5.00") is None


@pytest.mark.parametrize(
    "text",
    ["25/12/2018", "2018-12-25", "25 Dec 2018", "Dec 25, 2018", "25.12.18", "2018年12月25日"],
)
def test_dates_are_seen_as_people_write_them(text: str) -> None:
    rules = rules_of([RECEIPT])
    pattern = next(p for p in rules.patterns if p.targets == (("receipt", "date"),))
    match = pattern.python.search(f"x {text} y")
    assert match and match[0] == text


def test_named_groups_are_written_as_java_wants_them() -> None:
    pattern = Pattern(r"(?P<one>\d)(?P=one)", ())
    assert pattern.java == r"(?iuU)(?<one>\d)\k<one>"


def test_a_keyword_within_a_word_is_none() -> None:
    total = Keyword("total", ())
    assert not total.stands_alone("Subtotal 5", 3, 8)
    assert total.stands_alone("5.00total:", 4, 9)
    assert Keyword("号码", ()).stands_alone("发票号码是", 2, 4)


def test_no_keyword_of_a_group_stands_within_another_or_runs_on_into_it() -> None:
    texts = ["total", "total amount", "grand total", "date", "grand total amount", "amount due"]
    made = groups([Keyword(text, ()) for text in texts])
    assert sorted(n for group in made for n, _ in group) == [0, 1, 2, 3, 4, 5]
    for group in made:
        for _, one in group:
            assert not any(one is not other and one.text in other.text for _, other in group)
            assert not any(
                one.text.endswith(other.text[:5]) for _, other in group if one is not other
            )


def test_the_digest_changes_with_what_is_looked_for_and_with_nothing_else() -> None:
    one = rules_of([RECEIPT], {("receipt", "company"): ["B", "A"]})
    same = rules_of([RECEIPT], {("receipt", "company"): ["A", "B", "A", " "]})
    other = rules_of([RECEIPT], {("receipt", "company"): ["A"]})
    assert one.digest == same.digest
    assert len({one.digest, other.digest, rules_of([INVOICE]).digest}) == 3
