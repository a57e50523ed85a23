"""What every page is given, and the frame around its content."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.web.session import Viewer
from app.web.templating import render
from app.web.views import When, when


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The surroundings of a page: who looks, when, and the token for its forms."""

    viewer: Viewer | None
    now: datetime
    csrf: str
    public_url: str
    flash: str = ""

    def render(self, template: str, *, here: str, live: bool = True, **values: Any) -> str:
        """Render a page within this frame."""
        now_at: When | None = when(self.now, self.now)
        return render(
            template,
            viewer=self.viewer,
            now_at=now_at,
            csrf=self.csrf,
            flash=self.flash,
            public_url=self.public_url,
            here=here,
            live=live and self.viewer is not None,
            **values,
        )


def error_page(frame: Frame, heading: str, text: str, *, back: str = "") -> str:
    """Render a page that says what went wrong and where to go on; without ``back``: the board."""
    return frame.render(
        "error.html",
        here="",
        live=False,
        heading=heading,
        text=text,
        back=back or "/",
        back_text="Back" if back else "Back to the board",
    )
