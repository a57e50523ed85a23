"""Words: what writes messages to people, wired from the settings."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from app.core.announce import STAFF, ChannelFacts, Message, Notice, Verdict
from app.core.incident import Incident
from app.core.independence import late_mark, verdicts_of
from app.core.message import Reader
from app.core.ports import Choose, Say
from app.core.types import TenantId
from app.formats.messages import SHIPPED, Writer
from app.settings import Settings


def writer_of(settings: Settings) -> Writer:
    """What words messages to people; an operator's own templates are tried at once.

    Raises:
        SettingsError: a language is not complete, or a template cannot be used.
    """
    told = settings.messages
    writer = Writer(told.languages, told.folder)
    if told.folder is not None or set(told.languages) - set(SHIPPED):
        writer.try_out()
    return writer


def reader_of(settings: Settings, tenant: TenantId) -> Reader:
    """Who is told of a tenant's incidents."""
    found = next((one for one in settings.tenants if one.id == tenant), None)
    zone = "UTC" if found is None else found.timezone
    return Reader(
        tenant=tenant if found is None else found.label,
        zone=ZoneInfo(zone),
        contact="" if found is None else found.contact,
        public_url=settings.server.public_url,
        users=None if found is None else found.users,
        hears_vendor=found is not None and found.graph is not None,
    )


def say_of(settings: Settings, tenant: TenantId) -> Say:
    """What words the notices of a tenant's channels."""
    writer, reader = writer_of(settings), reader_of(settings, tenant)

    def say(notice: Notice, channel: ChannelFacts) -> Message:
        language = channel.language
        marks = [notice.mark] if notice.mark else []
        if notice.late:
            marks.append(writer.remark(late_mark(channel.name), language))
        title, text = _worded(writer, reader, notice, channel)
        lines = "\n".join(notice.lines) if channel.audience in STAFF else ""
        parts = [*marks, text, lines]
        return Message(subject=title, text="\n\n".join(p for p in parts if p))

    return say


def _worded(
    writer: Writer, reader: Reader, notice: Notice, channel: ChannelFacts
) -> tuple[str, str]:
    """Title and text: as a person let them out, else as they are true now."""
    if notice.let_out is not None:
        return notice.let_out.title, notice.let_out.text
    written = writer.write(
        notice.incident,
        reader,
        audience=channel.audience,
        language=channel.language,
        phase=notice.phase,
        evidence=notice.evidence,
        next_update_at=notice.next_update_at,
    )
    return written.title, written.text


def choose_of(settings: Settings) -> Choose:
    """What chooses the channels that are used, and says to the reader why."""
    writer = writer_of(settings)

    def choose(
        incident: Incident, living: Sequence[Incident], plan: Sequence[ChannelFacts]
    ) -> Mapping[str, Verdict]:
        return verdicts_of(incident, living, plan, writer.remark)

    return choose
