"""PDF files (extra ``documents``)."""

from __future__ import annotations

import io
import logging

from weaver._documents.content import InMemory
from weaver._documents.document import Document
from weaver.errors import ConfigurationError, InvalidTaskError


def from_pdf(data: bytes, name: str) -> Document:
    """Return the text of a PDF, its pages separated by form feeds.

    Raises:
        InvalidTaskError: it is broken, encrypted, or has no text (a scan).
        ConfigurationError: the extra is not installed.
    """
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise ConfigurationError(
            f"Reading {name} needs the extra 'documents'.", hint='pip install "weaver-reasoning[documents]"'
        ) from error
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns about every oddity of a file
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidTaskError(f"The document {name} is encrypted.", hint="Save it without a password.")
        pages = [page.extract_text().strip().replace("\f", "\n") for page in reader.pages]
    except InvalidTaskError:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise InvalidTaskError(
            f"The document {name} is not a PDF that can be read: {error}.", hint="Open and save it again."
        ) from error
    if not any(pages):
        raise InvalidTaskError(
            f"The document {name} has {len(pages)} pages and no text: it may be a scan.",
            hint="Run a text recognition (OCR) over it first.",
        )
    empty = sum(not page for page in pages)
    notes = (f"{name} has {empty} of {len(pages)} pages without text.",) if empty else ()
    text = "\f".join(f"{page}\n" for page in pages)
    return Document(name, "pages", InMemory(text.encode("utf-8", "replace")), notes=notes)
