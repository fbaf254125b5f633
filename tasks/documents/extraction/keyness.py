"""Which pieces of a page are keys: words that name what stands beside or below them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from millrace.tasks.documents.extraction.pieces import HAN, MARK, Piece

LONGEST_HAN = 16
LONGEST_LATIN = 42
"""In characters; in words, six."""

_HAN_ENDS = re.compile(
    r"(?:姓名|名称|名|性别|民族|籍贯|年龄|工龄|出生年月|出生日期|生日|学历|学位|专业|学科|学号|工号|编号|号码|账号|"
    r"帐号|证号|代码|识别号|序号|课程|学分数?|班级|年级|职务|职称|岗位|类别|类型|种类|级别|等级|状况|面貌|日期|时间|"
    r"年限|期限|起止|地址|住址|所在地|地点|邮编|邮箱|电话|手机|传真|联系方式|单位|部门|院系|系别|学院|学校|企业|公司|"
    r"人事部|总经理|经理|主任|负责人|申请人|经办人|审核人|开票人|收款人|复核|联系人|法人|代表人?|签名|签字|签章|盖章|"
    r"理由|原因|事由|意见|说明|备注|内容|摘要|用途|请求|要求|情况|经历|简历|成绩|特长|金额|数量|单价|税率|税额|合计|大写|"
    r"小写|总额|总计|规格|型号|尺寸|省份|城市|国籍|开户行|银行|购买方|销售方|附件|密码|证件|身份证|假期|院长|教师|会员|作品)$"
)
_HAN_BARE = re.compile(r"^(?:是否|曾|有无|可享受|申请|所属|所在)")
# fmt: off
_LATIN = frozenset((
    "name", "first name", "last name", "surname", "given name", "full name", "address", "street",
    "city", "town", "state", "county", "country", "zip", "zip code", "postcode", "postal code",
    "phone", "telephone", "tel", "mobile", "fax", "email", "e-mail", "date", "date of birth",
    "birth date", "place of birth", "sex", "gender", "age", "nationality", "occupation", "title",
    "company", "organisation", "organization", "department", "position", "signature", "signed",
    "account", "account no", "account number", "number", "no", "reference", "ref", "subject",
    "amount", "total", "subtotal", "tax", "vat", "currency", "quantity", "price", "description",
    "remarks", "comments", "notes", "reason", "from", "to", "by", "client", "customer",
    "customer no", "supplier", "vendor", "bill to", "ship to", "due date", "invoice no",
    "invoice number", "invoice date", "order no", "po number", "payment terms", "terms", "iban",
    "bic", "swift", "bank", "name of applicant", "applicant", "vorname", "nachname",
    "name des antragstellers", "anschrift", "adresse", "straße", "strasse", "plz", "ort", "wohnort",
    "telefon", "geburtsdatum", "geburtsort", "datum", "unterschrift", "betrag", "rechnungsnummer",
    "rechnungsdatum", "kundennummer", "menge", "bezeichnung", "nom", "prénom", "ville",
    "code postal", "téléphone", "date de naissance", "montant",
))
# fmt: on
_OPTION = frozenset(
    ("是", "否", "有", "无", "男", "女", "yes", "no", "ja", "nein", "oui", "non", "male", "female")
)
_VALUE = re.compile(r"^[\W\d_]*\d[\d\W_]*$")
_SENTENCE = re.compile(r"[\u3002!?;\uff01\uff1f\uff1b]|[,\uff0c].*[,\uff0c]|\.\s+[A-Z]")
_BRACKETED = re.compile(r"[(\uff08][^)\uff09]*[)\uff09]")


@lru_cache(maxsize=8192)
def plain(text: str) -> str:
    """Returns what a key says: without brackets, marks and colons, in lower case."""
    told = _BRACKETED.sub("", text) or text
    told = re.sub(r"[^\w\s°'&/-]|_", " ", told).strip().casefold()
    return re.sub(r"\s+", "" if HAN.search(told) else " ", told)


def is_option(text: str) -> bool:
    """Says whether a text is one of several that a form lets a person choose from."""
    return bool(MARK.match(text)) or text.strip().casefold() in _OPTION


def keyness(piece: Piece, known: Collection[str] = ()) -> float:
    """Returns how much a piece looks like a key by itself, 0 to 1; 0 for what can only be a value.

    `known` are further keys: the synonyms of a schema, in the form of `plain`.
    """
    text = piece.text
    if is_option(text) or _VALUE.match(text) or _SENTENCE.search(text):
        return 0.0
    han = bool(HAN.search(text))
    if len(text) > (LONGEST_HAN if han else LONGEST_LATIN) or len(text.split()) > 6:
        return 0.0
    told = plain(text)
    if not any(letter.isalpha() for letter in told):
        return 0.0
    if piece.keyed:
        return 0.95
    if told in known or told in _LATIN:
        return 0.9
    if piece.after_colon:
        return 0.0
    digits = sum(letter.isdigit() for letter in told)
    if han and (_HAN_ENDS.search(told) or _HAN_BARE.match(told)) and not digits:
        return 0.85
    return 0.0 if digits else (0.3 if han else 0.1)


def stacked(pieces: Sequence[Piece], keyed: Sequence[float]) -> set[int]:
    """Returns the pieces that are keys by where they stand: in a column of keys.

    The leftmost pieces of rows that have something to their right, which begin at the same place
    as at least two keys: what names its row stands before it.
    """
    sure = [n for n, score in enumerate(keyed) if score >= 0.8]
    found = set()
    for number, piece in enumerate(pieces):
        if not 0.1 < keyed[number] < 0.8:
            continue
        column = [
            other
            for other in sure
            if pieces[other].page == piece.page
            and abs(pieces[other].box.x0 - piece.box.x0) <= 0.8 * piece.height
        ]
        row = [
            other
            for other in pieces
            if other is not piece
            and other.page == piece.page
            and abs(other.middle - piece.middle) < 0.6 * piece.height
        ]
        first = bool(row) and all(other.box.x0 >= piece.box.x1 for other in row)
        if len(column) >= 2 and first:
            found.add(number)
    return found
