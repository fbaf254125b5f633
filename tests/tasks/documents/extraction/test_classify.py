"""Which type a document is of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.classify import Classified, classify, schema_for
from millrace.tasks.documents.extraction.schema import load_schema, shipped

SCHEMAS = [load_schema(name) for name in shipped()]
CONTRACTS = YAML(typ="safe").load(
    (Path(__file__).parent / "samples" / "contracts.yaml").read_text("utf-8")
)
TEXTS = {
    "receipt": "GREEN MART SDN BHD\n12 JALAN BESAR\nTAX INVOICE\nRECEIPT NO 123\nTOTAL 12.00\n"
    "CASH 20.00\nCHANGE 8.00\nTHANK YOU",
    "invoice": "Harbour Supplies Ltd\nINVOICE\nInvoice number: 17\nBill to: Foods GmbH\n"
    "Due date 1 May 2024\nDescription Qty Unit price Amount\nPaper 2 3.00 6.00\nIBAN DE89 3704",
    "form": "APPLICATION FORM\nPlease print\nFirst name\nSurname\nDate of birth\nSignature\n"
    "For office use only",
    "form-zh": "请假申请表\n姓名 王一 性别 男\n申请人 王一\n电话 12345\n审核意见",
    "invoice-zh": "增值税普通发票\n发票代码 0110 发票号码 1234\n开票日期\n购买方 销售方\n"
    "税率 税额\n价税合计",
}


def told(text: str, *names: str) -> Classified:
    schemas = [load_schema(name) for name in names] if names else SCHEMAS
    return classify(Sheet("x", "1", (), text), schemas)


def name_of(found: Classified) -> str:
    return found.schema.name if found.schema else ""


@pytest.mark.parametrize("name", list(TEXTS))
def test_a_document_is_told_by_its_words(name: str) -> None:
    found = told(TEXTS[name])
    assert name_of(found) == name
    assert found.probability > 0.7


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_contracts_are_told_from_the_rest(name: str) -> None:
    assert name_of(told(CONTRACTS[name]["text"])) == "contract"


@pytest.mark.parametrize("text", ["", "She walked along the river.\nThe light was gone.", "12 34"])
def test_where_nothing_fits_no_schema_is_told(text: str) -> None:
    assert told(text).schema is None
    assert told(text, "receipt").schema is None


def test_without_schemas_there_is_none() -> None:
    assert classify(Sheet("x", "1", (), "receipt"), []).schema is None


def test_the_order_of_schemas_changes_nothing() -> None:
    sheet = Sheet("x", "1", (), TEXTS["invoice"])
    one, other = classify(sheet, SCHEMAS), classify(sheet, SCHEMAS[::-1])
    assert (one.schema, one.probability) == (other.schema, other.probability)


def test_a_clear_document_is_surer_than_a_vague_one() -> None:
    vague = told("invoice\ncash\ntotal 3.00")
    assert vague.probability < told(TEXTS["receipt"]).probability


def test_real_receipts_are_receipts(data: Path) -> None:
    paths = sorted((data / "receipts" / "box").iterdir())
    texts = [
        "\n".join(
            line.split(",", 8)[-1] for line in path.read_text("utf-8", "replace").splitlines()
        )
        for path in paths
    ]
    found = [name_of(told(text)) for text in texts]
    assert found.count("receipt") >= 0.97 * len(found)


def test_real_pages_of_print_are_none_of_them(data: Path) -> None:
    entries = json.loads((data / "manifest.json").read_text("utf-8"))["scans"]
    texts = ["\n".join(entry["text_pages"]) for entry in entries if entry.get("text_pages")]
    found = [name_of(told(text)) for text in texts]
    assert found.count("") >= 0.9 * len(found)


def test_a_single_schema_that_was_asked_for_is_taken_as_it_is() -> None:
    receipt = load_schema("receipt")
    sheet = Sheet("x", "1", (), "She walked along the river.")
    assert schema_for(sheet, [receipt]) == receipt
    assert schema_for(sheet, SCHEMAS) is None
