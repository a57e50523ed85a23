"""The page on which an API key is entered."""

from app.web.page import Frame


def login_page(frame: Frame, *, next_path: str) -> str:
    """Render the form; ``next_path`` is where to go afterwards."""
    return frame.render("login.html", here="login", live=False, next_path=next_path)
