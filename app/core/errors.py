"""Every error a caller may act on: a public sentence and facts, no HTTP."""

from typing import Any


class AppError(Exception):
    """Base of the errors that a door may show; ``facts`` are public."""

    title = "Something went wrong."

    def __init__(self, detail: str | None = None, /, **facts: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.facts = facts


class NotFound(AppError):
    """Raised when nothing of that id exists for this tenant."""

    title = "There is nothing under that id."


class IllegalTransition(AppError):
    """Raised when a command may not follow the present status."""

    title = "The incident cannot change to that status."


class InvalidInput(AppError):
    """Raised for a malformed body; ``errors`` is a list of ``{pointer, detail, index?}``."""

    title = "The request is malformed."


class UnknownParameter(AppError):
    """Raised for a query parameter that the operation does not have."""

    title = "The request has a query parameter that this operation does not know."


class CursorMismatch(AppError):
    """Raised for a cursor that was not made here, or for another list."""

    title = "The cursor does not belong to this list."


class CursorExpired(AppError):
    """Raised when what follows the cursor is no longer kept."""

    title = "The cursor is older than what is kept."


class Unauthenticated(AppError):
    """Raised when no valid credential came with the request."""

    title = "A valid API key is needed."


class Forbidden(AppError):
    """Raised when the credential lacks the scope."""

    title = "The API key lacks the scope for this operation."


class TenantRequired(AppError):
    """Raised when an operator key does not name the tenant it acts for."""

    title = "Name the tenant with the Sextant-Tenant header."


class AlreadyRotated(AppError):
    """Raised when a client has two valid keys already; ``key`` is rotated when one has ended."""

    title = "Two keys of this client are valid already."


class PreconditionRequired(AppError):
    """Raised when If-Match is required and absent."""

    title = "Send If-Match with the ETag that you last read."


class PreconditionFailed(AppError):
    """Raised when If-Match names another revision."""

    title = "It has changed since you read it."


class IdempotencyConflict(AppError):
    """Raised when an Idempotency-Key comes back with another body."""

    title = "The Idempotency-Key was used with another body."


class PayloadTooLarge(AppError):
    """Raised when a body exceeds its limit, on the wire or inflated."""

    title = "The body is too large."


class UnsupportedMediaType(AppError):
    """Raised for a content type or encoding that the operation does not take."""

    title = "The content type or encoding is not supported here."


class Overloaded(AppError):
    """Raised when Sextant sheds load; ``retry_after_seconds`` says when to come again."""

    title = "Sextant is busy; try again shortly."


class RateLimited(AppError):
    """Raised when a caller sends too much; ``retry_after_seconds`` says when to come again."""

    title = "Too many requests."


class StorageUnavailable(AppError):
    """Raised when the database cannot take the write; nothing was stored."""

    title = "The database cannot be reached; nothing was stored."


class TargetRefused(AppError):
    """Raised for a receiver's address that the egress policy does not permit."""

    title = "That address is not permitted as a receiver."


class UnreadablePayload(AppError):
    """Raised when a vendor's payload lacks what we rely on."""

    title = "The payload cannot be read."


class SettingsError(AppError):
    """Raised when the settings file or environment cannot be used."""

    title = "The settings cannot be used."


class LeaseLost(AppError):
    """Raised where work is written that another replica does by now; nothing was stored."""

    title = "Another replica does this work now."


class Unrestorable(AppError):
    """Raised when a copy cannot be made or put in place; the detail says what to do."""

    title = "The copy cannot be used."
