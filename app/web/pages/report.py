"""The page on which a user or the help desk says what does not work; it takes seconds."""

from dataclasses import dataclass

from app.web.page import Frame

# What does not work, in the words of users: (id, label, service, client).
PRODUCTS: tuple[tuple[str, str, str, str], ...] = (
    ("outlook", "Outlook on a computer", "exchange-online", "outlook_desktop"),
    ("outlook-web", "Outlook in the browser", "exchange-online", "outlook_web"),
    ("mail-phone", "Mail on a phone or tablet", "exchange-online", "outlook_mobile"),
    ("teams", "Teams", "microsoft-teams", "teams_desktop"),
    ("sharepoint", "SharePoint", "sharepoint-online", "browser"),
    ("onedrive", "OneDrive", "onedrive", "other"),
    ("sign-in", "Signing in", "entra-id", "browser"),
    ("other", "Something else", "other", "other"),
)
# What happens, in the words of users: (id, label, symptom).
TROUBLES: tuple[tuple[str, str, str | None], ...] = (
    ("connect", "It does not connect, or does not open", "connection_failed"),
    ("password", "It asks for the password again and again", "auth_loop"),
    ("refused", "It does not let me in", "auth_rejected"),
    ("slow", "It is very slow", "slow"),
    ("mail", "Mail does not arrive or does not leave", "mail_delayed"),
    ("stale", "It shows old things, or does not synchronize", "sync_failed"),
    ("message", "It shows an error message", None),
)
TEXT_LIMIT = 4_000  # characters of a message
WHO_LIMIT = 200  # characters of a name or a place


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What was filled in; kept on the page when something is missing."""

    product: str = ""
    trouble: str = ""
    message: str = ""
    code: str = ""
    region: str = ""
    who: str = ""
    site: str = ""

    def document(self) -> dict[str, object] | None:
        """The client report that they make; None while what does not work is not said."""
        product = next((one for one in PRODUCTS if one[0] == self.product), None)
        trouble = next((one for one in TROUBLES if one[0] == self.trouble), None)
        if product is None or trouble is None:
            return None
        _, _, service, client = product
        _, label, symptom = trouble
        read = bool(self.code or self.message)
        found = {
            "service": service,
            "client": client,
            # What a code or a text says is more exact than the choice of a user.
            "symptom": None if read and self.trouble == "message" else symptom,
            "code": self.code or None,
            "message": self.message or label,
            "reporter": self.who or None,
            "network": self.site or None,
            "region": self.region or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def report_page(
    frame: Frame,
    *,
    action: str,
    answers: Answers,
    desk: bool,
    sent: bool = False,
    status_page: str = "",
) -> str:
    """Render the form.

    Args:
        frame: the surroundings.
        action: where it is posted to.
        answers: what was filled in before.
        desk: whether somebody who is signed in fills it in for others.
        sent: whether a report has just been taken; then the form is gone, lest it be sent twice.
        status_page: where anybody may read what is known; empty for nowhere.
    """
    return frame.render(
        "report.html",
        here="report",
        live=False,
        action=action,
        answers=answers,
        desk=desk,
        sent=sent,
        status_page=status_page,
        products=PRODUCTS,
        troubles=TROUBLES,
        text_limit=TEXT_LIMIT,
        who_limit=WHO_LIMIT,
    )
