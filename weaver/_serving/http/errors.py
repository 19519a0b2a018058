"""Errors in OpenAI's shape, and the HTTP statuses of Weaver's own errors."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from typing import Any

from weaver import errors
from weaver._environment.exception_groups import without_groups_of_one

log = logging.getLogger("weaver.serving")

INVALID = "invalid_request_error"
AUTHENTICATION = "authentication_error"
RATE = "rate_limit_error"
QUOTA = "insufficient_quota"
SERVER = "server_error"
_NO_RETRY = {"x-should-retry": "false"}
"""OpenAI's clients repeat a request after 408, 409, 429 and 5xx unless this header forbids it."""


@dataclass(eq=False)
class ApiError(Exception):
    """An error that a client reads.

    Args:
        status: HTTP status.
        message: what happened and what to do.
        type: OpenAI's kind of error.
        param: the field of the request that is wrong, or None.
        code: for programs, or None.
        retry_after: seconds after which the request may be sent again, or None.
        retry: False tells clients not to repeat the request.
    """

    status: int
    message: str
    type: str = INVALID
    param: str | None = None
    code: str | None = None
    retry_after: float | None = None
    retry: bool = True

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> dict[str, Any]:
        """``{"error": {"message", "type", "param", "code"}}``."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """Further headers of the answer."""
        headers = {} if self.retry else dict(_NO_RETRY)
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        return headers

    @property
    def encoded(self) -> bytes:
        """The body as JSON."""
        return json.dumps(self.body).encode()


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that cannot be answered as it is: status 400."""
    return ApiError(400, message, param=param, code=code)


def api_error(error: BaseException) -> ApiError:
    """The `ApiError` of any exception. Unexpected ones are logged, and clients get no details of them."""
    error = without_groups_of_one(error)
    message = str(error)
    match error:
        case ApiError():
            return error
        case errors.InvalidTaskError() | errors.MissingCapabilityError():
            return invalid(message)
        case errors.UnknownNameError():
            return ApiError(404, message, code="not_found")
        case errors.ConfigurationError():
            return ApiError(500, message, SERVER, code="server_configuration", retry=False)
        case errors.BudgetExceededError():
            return ApiError(429, message, QUOTA, code="budget_exceeded", retry=False)
        case errors.DeadlineExceededError():
            return ApiError(408, message, SERVER, code="deadline_exceeded", retry=False)
        case errors.RunCancelled():
            return ApiError(503, message, SERVER, code="cancelled", retry_after=1)
        case errors.AuthenticationError():
            return ApiError(500, message, SERVER, code="upstream_unauthorized", retry=False)
        case errors.BadRequestError():
            return invalid(message, code="upstream_rejected")
        case errors.RateLimitError():
            return ApiError(
                429, message, RATE, code="upstream_overloaded", retry_after=error.retry_after or 1
            )
        case errors.ModelRefusedError() | errors.RefusedError():
            return invalid(message, code="content_filter")
        case errors.ModelError() if error.retriable:
            return ApiError(503, message, SERVER, code="upstream_unavailable", retry_after=1)
        case errors.WeaverError():
            return ApiError(500, message, SERVER, code=type(error).__name__)
        case _:
            log.error("Unexpected %s", type(error).__name__, exc_info=error)
            return ApiError(500, "The server failed unexpectedly; its log has the details.", SERVER)
