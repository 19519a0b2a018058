"""Dates as people write them, in one form that can be compared."""

from __future__ import annotations

import datetime as dt
import re

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_FORMS = (
    re.compile(r"(?P<year>\d{4})[-/.](?P<number>\d{1,2})(?:[-/.](?P<day>\d{1,2}))?(?:t[\d:.]+z?)?"),
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?{_MONTH},?\s+(?P<year>\d{{4}})"),
    re.compile(rf"{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})"),
    re.compile(rf"{_MONTH},?\s+(?:of\s+)?(?P<year>\d{{4}})"),
)


def date_of(text: str) -> str | None:
    """``YYYY-MM-DD``, or ``YYYY-MM`` when there is no day; None for what is not one certain date.

    Dates like 03/04/2024, whose order of day and month nobody can tell, are none; nor are bare years.
    """
    phrase = " ".join(text.casefold().split()).strip(" .")
    phrase = re.sub(r"^(?:(?:on|in)\s+)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?", "", phrase)
    for form in _FORMS:
        if match := form.fullmatch(phrase):
            parts = match.groupdict()
            month = _month(parts.get("month")) or int(parts.get("number") or 0)
            day = parts.get("day")
            try:
                date = dt.date(int(parts["year"]), month, int(day or 1))
            except ValueError:
                continue
            return date.isoformat() if day else date.isoformat()[:7]
    return None


def _month(word: str | None) -> int:
    if not word:
        return 0
    return next((i for i, m in enumerate(_MONTHS, 1) if m == word or word in (m[:3], m[:4])), 0)
