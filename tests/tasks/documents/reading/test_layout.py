"""Lines, reading order and tables of made-up words; no reader is called."""

from __future__ import annotations

import numpy as np
from PIL import Image

from millrace.tasks.documents.pages import Box, Line, Word
from millrace.tasks.documents.reading.fusion import fuse
from millrace.tasks.documents.reading.layout import blocks_of, in_order, line_of
from millrace.tasks.documents.reading.tables import tables_of
from millrace.tasks.documents.reading.tesseract import pieces

BLANK = Image.new("L", (800, 600), 255)


def segment(text: str, x: float, y: float, sure: float = 0.9, width: float = 10) -> Line:
    """A line at a place, letters of one width and 20 high."""
    words, at = [], x
    for part in text.split():
        words.append(Word(part, Box(at, y, at + width * len(part), y + 20), sure))
        at += width * (len(part) + 1)
    return line_of(words)


def texts(lines: tuple[Line, ...]) -> list[str]:
    return [line.text for line in lines]


def test_segments_beside_each_other_make_a_line_even_when_it_climbs() -> None:
    page = [segment("327.00", 500, 108), segment("Sales", 120, 103), segment("Total", 10, 100)]
    assert texts(in_order([*page, segment("CASH", 10, 140)])) == ["Total Sales 327.00", "CASH"]


def test_columns_of_prose_are_read_one_after_the_other() -> None:
    left = [segment(f"left column of text {n}", 10, 100 + 30 * n) for n in range(6)]
    right = [segment(f"right column of text {n}", 400, 102 + 30 * n) for n in range(6)]
    head = segment("A heading across both columns that is long enough to cross", 60, 40)
    foot = segment("A foot across both columns that is long enough to cross it", 60, 400)
    read = texts(in_order([*right, foot, *left, head]))
    assert read == [head.text, *texts(tuple(left)), *texts(tuple(right)), foot.text]


def test_prices_beside_names_are_no_column() -> None:
    rows = [
        (segment(f"an article {n}", 10, 30 * n), segment("8.00", 600, 30 * n)) for n in range(9)
    ]
    assert texts(in_order([s for row in rows for s in row]))[3] == "an article 3 8.00"


def test_lines_set_apart_are_blocks_of_their_own() -> None:
    lines = [segment("one two", 10, 0), segment("three four", 10, 28), segment("five", 10, 200)]
    assert blocks_of(lines) == ((0, 1), (2,))


def test_han_characters_stand_without_spaces_and_latin_words_with() -> None:
    words = [
        Word(t, Box(n * 30, 0, n * 30 + 20, 20)) for n, t in enumerate(["发", "票", "No.", "12"])
    ]
    assert line_of(words).text == "发票 No. 12"


def test_tesseracts_table_becomes_words_with_their_line() -> None:
    table = (
        "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
        "4\t1\t1\t1\t1\t0\t10\t20\t90\t12\t-1\t\n"
        "5\t1\t1\t1\t1\t1\t10\t20\t40\t12\t91.5\tTotal\n"
        "5\t1\t1\t1\t1\t2\t60\t20\t40\t12\t95\t \n"
        '5\t1\t1\t1\t2\t1\t10\t40\t30\t12\t80\t"9\n'
    )
    found = list(pieces(table))
    assert [(p.word.text, p.place) for p in found] == [("Total", (1, 1, 1)), ('"9', (1, 1, 2))]
    assert found[0].word.box == Box(10, 20, 50, 32)
    assert found[0].word.confidence == 0.915


def test_readers_that_agree_are_surer_than_either() -> None:
    fused = fuse([segment("Total 9.00", 10, 10, 0.8)], [segment("Total 9.00", 10, 11, 0.8)])
    assert fused.agreement == 1
    assert all(word.confidence > 0.9 for word in fused.segments[0].words)


def test_the_surer_reader_is_believed_word_by_word() -> None:
    first = [segment("Total 9.00", 10, 10, 0.95)]
    second = [
        line_of([segment("Tota1", 10, 10, 0.4).words[0], segment("9.80", 70, 10, 0.99).words[0]])
    ]
    fused = fuse(first, second)
    assert fused.segments[0].text == "Total 9.80"
    assert fused.agreement == 0


def test_what_only_one_reader_saw_is_kept_where_it_is_sure() -> None:
    first = [
        segment("Thanks", 10, 300, 0.9),
        segment("~;", 10, 400, 0.9),
        segment("xq", 9, 500, 0.2),
    ]
    fused = fuse(first, [segment("Total", 10, 10)])
    assert sorted(texts(fused.segments)) == ["Thanks", "Total"]


def test_a_ruled_table_has_a_cell_for_every_box_of_its_grid() -> None:
    page = np.full((600, 800), 255, np.uint8)
    for y in (100, 160, 220):
        page[y : y + 2, 100:702] = 0
    for x in (100, 300, 500, 700):
        page[100:222, x : x + 2] = 0
    words = [segment("Name", 110, 120), segment("Price", 510, 120), segment("Tea", 110, 180)]
    (table,) = tables_of(Image.fromarray(page), words)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["Name", "", "Price"],
        ["Tea", "", ""],
    ]


def test_rows_that_line_up_make_a_table_without_rules() -> None:
    lines = [segment(f"{name}", 10, 30 * n) for n, name in enumerate(["Tea", "Coffee", "Milk"])] + [
        segment(price, 400, 30 * n) for n, price in enumerate(["2.00", "3.50", "1.20"])
    ]
    (table,) = tables_of(BLANK, in_order(lines))
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["Tea", "2.00"],
        ["Coffee", "3.50"],
        ["Milk", "1.20"],
    ]


def test_running_text_is_no_table() -> None:
    lines = [segment("words of a paragraph that runs on", 10, 30 * n) for n in range(8)]
    assert tables_of(BLANK, lines) == ()
