"""The pieces of a sheet that stand for themselves: lines cut where a gap or a colon parts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from millrace.tasks.documents.extraction.annotations import Place, Sheet
from millrace.tasks.documents.pages import Box, Page, Word

WIDE_GAP = 1.3
WIDE_GAP_HAN = 0.9
SLIGHT_GAP_HAN = 0.25
"""A space wider than so many heights of the line parts two pieces: less between Han characters,
which have none between words, and least before a word that is a key in forms."""

_COLON = re.compile(r"(?:(?<!\d)[:\uff1a]|[:\uff1a](?!\d\d))(?!//)\s*")
_MARK = r"[□☐☑☒■▢✓✔√○●◯◉⬜]|\[[ xX✓]?\]|\([xX✓]\)"
_OPTIONS = re.compile(rf"(?={_MARK})")
MARK = re.compile(rf"^(?:{_MARK})\s*")
HAN = re.compile(r"[\u3400-\u9fff]")
HAN_KEY = re.compile(
    r"姓名|性别|民族|籍贯|年龄|工龄|出生年月|出生日期|政治面貌|文化程度|学历|学位|专业|学号|工号|编号|证件号码|身份证号码?|"
    r"课程名称|课程序号|学分数?|系别|班级|年级|职务|职称|岗位|申请(?:人|日期|时间|理由|假期|事由|单位)|填表(?:人|日期)|"
    r"联系(?:人|电话|方式|地址)|电话|手机号?码?|传真|邮编|邮政编码|电子邮箱|通讯地址|家庭住址|户籍所在地|户口所在地|住址|"
    r"所在(?:单位|部门)|工作单位|所属(?:企业|部门)|部门|日期|省份|国籍|备注|审核|核准|意见|金额|数量|单价|税率|税额|合计|"
    r"规格型号|开户行|账号|帐号|开票日期|发票(?:代码|号码)|纳税人识别号|收款人|复核人?|开票人"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line: characters `start` up to `end` of the sheet, and where it stands.

    `keyed` says that a colon ends it, `after_colon` that one stands before it on its line.
    """

    text: str
    start: int
    end: int
    box: Box
    page: int
    keyed: bool = False
    after_colon: bool = False

    @property
    def height(self) -> float:
        """Its height, at least a little."""
        return max(self.box.height, 1e-6)

    @property
    def middle(self) -> float:
        """How far down its middle is."""
        return (self.box.y0 + self.box.y1) / 2


def pieces(sheet: Sheet) -> tuple[Piece, ...]:
    """Returns the pieces of a sheet in its order, none of them empty."""
    return tuple(piece for place in sheet.places for piece in _of_line(sheet, place))


def _of_line(sheet: Sheet, place: Place) -> Iterator[Piece]:
    for start, end in _cut_at_gaps(sheet, place):
        yield from _of_stretch(sheet, place, start, end)


def _cut_at_gaps(sheet: Sheet, place: Place) -> Iterator[tuple[int, int]]:
    """Yields the stretches of a line between wide gaps."""
    cursor, begun, before = place.start, place.start, None
    for word in place.line.words:
        found = sheet.text.find(word.text, cursor, place.end)
        if found < 0:
            continue
        if before is not None and found > begun:
            gap = (word.box.x0 - before.box.x1) / max(word.box.height, before.box.height, 1e-6)
            told = sheet.text[begun:found].strip()
            if _parted(told, sheet.text[found : place.end], gap) or _cells(place, before, word):
                yield begun, found
                begun = found
        cursor = found + len(word.text)
        before = word
    yield begun, place.end


def _parted(before: str, after: str, gap: float) -> bool:
    """Says whether a gap, in heights of the line, parts the text before it from that after it."""
    if not (HAN.match(before[-1:]) or HAN.match(after)):
        return gap > WIDE_GAP
    if gap > SLIGHT_GAP_HAN and (HAN_KEY.match(after) or HAN_KEY.fullmatch(before)):
        return True
    return gap > (WIDE_GAP_HAN if len(before) > 1 else 2 * WIDE_GAP_HAN)


def _cells(place: Place, one: Word, other: Word) -> bool:
    """Says whether two words stand in different cells of a table."""
    return _cell(place.page, one) != _cell(place.page, other)


def _cell(page: Page, word: Word) -> tuple[int, int, int] | None:
    across, down = (word.box.x0 + word.box.x1) / 2, (word.box.y0 + word.box.y1) / 2
    for number, table in enumerate(page.tables):
        if not table.box.y0 <= down <= table.box.y1:
            continue
        for row, cells in enumerate(table.rows):
            for column, cell in enumerate(cells):
                box = cell.box
                if box.x0 <= across <= box.x1 and box.y0 <= down <= box.y1:
                    return number, row, column
    return None


def _of_stretch(sheet: Sheet, place: Place, start: int, end: int) -> Iterator[Piece]:
    """Yields a stretch cut after its colons and before its check boxes."""
    text = sheet.text[start:end]
    cuts = [0, len(text)]
    colons = {match.start(): match.end() for match in _COLON.finditer(text)}
    cuts += [stop for stop in colons.values() if stop < len(text)]
    if len(_OPTIONS.split(text)) > 1:
        cuts += [match.start() for match in _OPTIONS.finditer(text)]
    edges = sorted(set(cuts))
    after = False
    for first, last in pairwise(edges):
        part = text[first:last]
        keyed = any(at in colons for at in range(first, last) if colons.get(at) == last)
        shown = _COLON.sub("", part).strip() if keyed else part.strip()
        lead = len(part) - len(part.lstrip())
        if shown:
            at = start + first + lead
            yield Piece(
                shown,
                at,
                at + len(shown),
                _box(sheet, place, at, at + len(shown)),
                place.page.number,
                keyed,
                after,
            )
        after = keyed or after


def _box(sheet: Sheet, place: Place, start: int, end: int) -> Box:
    """Returns the part of the line's box that a span takes: that of its words, cut by share."""
    boxes = []
    cursor = place.start
    for word in place.line.words:
        found = sheet.text.find(word.text, cursor, place.end)
        if found < 0 or not word.text:
            continue
        cursor = found + len(word.text)
        first, last = max(start, found), min(end, cursor)
        if first < last:
            wide = word.box.width / len(word.text)
            left = word.box.x0 + wide * (first - found)
            right = word.box.x0 + wide * (last - found)
            boxes.append(Box(left, word.box.y0, right, word.box.y1))
    if boxes:
        box = boxes[0]
        for other in boxes[1:]:
            box = box.joined(other)
        return box
    whole = place.line.box
    length = max(1, place.end - place.start)
    wide = whole.width / length
    left = whole.x0 + wide * (start - place.start)
    return Box(left, whole.y0, left + wide * (end - start), whole.y1)
