"""The one error of the clients: what a vendor's API answered instead of what we asked for."""

from datetime import timedelta


class VendorError(Exception):
    """Raised when an API did not give what was asked for.

    ``code`` is stable: ``unauthorized, forbidden, not_found, bad_request, throttled, unavailable,
    timeout, unreachable, tls_failed, odd_body, too_large, endless, foreign_link, vendor_error,
    token_refused, token_unavailable, credential_unreadable, ca_unreadable, budget``, or the word
    that the vendor itself uses. ``status`` is the HTTP status, None
    when no answer came. ``retry_after`` is what the vendor asked for; ``number`` is Entra's own
    (AADSTS…); ``claims`` is what a challenge asks of the next token.
    """

    def __init__(
        self,
        code: str,
        text: str,
        *,
        status: int | None = None,
        retry_after: timedelta | None = None,
        number: int | None = None,
        claims: str | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status
        self.retry_after = retry_after
        self.number = number
        self.claims = claims
