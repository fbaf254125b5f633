"""Names of companies, people and addresses, brought into a form in which they can be compared."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_LEGAL = {
    "sdn bhd": (
        "SDN BHD",
        "SDN BND",
        "SDN BHO",
        "SBN BHD",
        "SDNBHD",
        "S B",
        "SB",
        "SENDIRIAN BERHAD",
        "SDN",
    ),
    "bhd": ("BHD", "BERHAD"),
    "ltd": ("LTD", "LIMITED", "CO LTD", "PTE LTD", "PVT LTD"),
    "co": ("CO", "COMPANY"),
    "inc": ("INC", "INCORPORATED", "CORP", "CORPORATION"),
    "llc": ("LLC", "L L C", "LLP"),
    "gmbh": ("GMBH", "MBH"),
    "ag": ("AG",),
    "kg": ("KG", "GMBH CO KG"),
    "sa": ("SA", "SARL", "SAS"),
    "有限公司": ("有限公司", "有限责任公司", "股份有限公司"),
}
"""Legal forms, and the ways in which they are written and commonly misread."""

_ENDINGS = sorted(
    ((ending, form) for form, endings in _LEGAL.items() for ending in endings),
    key=lambda pair: -len(pair[0]),
)
_REGISTRATION = re.compile(
    r"[(\[{]?\s*(?:CO(?:MPANY)?\.?\s*(?:REG\w*\.?\s*)?NO\.?\s*:?\s*|ROC\s*:?\s*|REG\w*\.?\s*(?:NO\.?)?\s*:?\s*)?"
    r"(?<![A-Z0-9])(\d{5,12}\s*[- ]\s*[A-Z])(?![A-Z0-9])\s*[)\]}]?"
)
_WORD = re.compile(r"[A-Z0-9]+|[\u3400-\u9fff]+|[^\W\d_]+")
_ALIKE = str.maketrans("OQDILZSGBT", "0001125681")
_SHORT = {
    "JALAN": "JLN", "JIN": "JLN", "TAMAN": "TMN", "STREET": "ST", "ROAD": "RD", "AVENUE": "AVE",
    "STRASSE": "STR", "KUALA LUMPUR": "KL", "NUMBER": "NO", "SEKSYEN": "SEK", "LORONG": "LRG",
    "KAMPUNG": "KG", "FLOOR": "FLR", "LEVEL": "LVL", "SELANGOR DARUL EHSAN": "SELANGOR",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is compared: what tells it apart, its legal form, its registration number."""

    words: tuple[str, ...]
    form: str = ""
    registration: str = ""

    @property
    def squeezed(self) -> str:
        """Its words without spaces: readers lose and invent them."""
        return "".join(self.words)


def company(text: str) -> Name:
    """Returns a company's name: legal form and registration number apart, accents and case gone."""
    told = fold(text)
    found = _REGISTRATION.search(told)
    registration = re.sub(r"\W", "", found[1]) if found else ""
    if found:
        told = told[: found.start()] or told[found.end() :]
    words = " ".join(_initials(_WORD.findall(told)))
    for ending, form in _ENDINGS:
        if words.endswith(ending) and (len(words) > len(ending)):
            before = words[: -len(ending)]
            if before.endswith(" ") or not ending.isascii():
                return Name(tuple(before.split()), form, registration)
    return Name(tuple(words.split()), "", registration)


def _initials(words: list[str]) -> list[str]:
    """Returns words with single letters in a row as one: "D.I.Y." is a word, "S/B" an ending."""
    joined: list[str] = []
    open_ = False
    for word in words:
        single = len(word) == 1 and word.isalpha()
        if single and open_:
            joined[-1] += word
        else:
            joined.append(word)
        open_ = single
    return joined


def person(text: str) -> Name:
    """Returns a person's name; "Tan, Woon Yann" is "Woon Yann Tan"."""
    told = fold(text)
    last, comma, first = told.partition(",")
    return Name(tuple(_WORD.findall(f"{first} {last}" if comma else told)))


def address(text: str) -> Name:
    """Returns an address with its common words shortened, all in one way."""
    told = " ".join(_WORD.findall(fold(text)))
    for long, short in _SHORT.items():
        told = re.sub(rf"\b{long}\b", short, told)
    return Name(tuple(told.split()))


def fold(text: str) -> str:
    """Returns a text in capitals, without accents, full-width signs made plain."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(c for c in plain if not unicodedata.combining(c)).upper()


def alike(text: str) -> str:
    """Returns a text in which letters and digits that readers take for each other are one."""
    return text.translate(_ALIKE)


def numbers(words: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the words that have a digit, as readers may confuse them, sorted."""
    return tuple(sorted(alike(word) for word in words if any(c.isdigit() for c in word)))
