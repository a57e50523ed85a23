"""The page on which an API key is entered, or a provider chosen."""

from collections.abc import Sequence

from app.web.page import Frame


def login_page(frame: Frame, *, next_path: str, ways: Sequence[tuple[str, str]] = ()) -> str:
    """Render the form; ``next_path`` is where to go afterwards, ``ways`` are name and label."""
    return frame.render("login.html", here="login", live=False, next_path=next_path, ways=ways)
