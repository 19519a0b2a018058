"""Documents for the tests of reading and splitting."""

from __future__ import annotations

import pytest

from weaver._documents.opening import documents_from


@pytest.fixture
def document():
    """Makes one document of what a user would give."""
    return lambda value: documents_from([value])[0]
