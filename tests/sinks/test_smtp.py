"""Mail: what stands in its headers, who gets it, and what a relay's answers mean."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette

from app.core.announce import Message, Notice, NoticePhase
from app.core.link import LinkState
from app.core.ports import ChannelAnswer, MirrorWord, Telling
from app.kit.clock import SystemClock
from app.sinks.smtp import SmtpOAuth, SmtpSettings, open_smtp
from app.store.engine import Database
from tests.builders import NOW, an_incident
from tests.flow.telling import TellingWorld
from tests.sinks.benches import SmtpBench, certificates, smtp
from tests.standins.channels.mail import Relay, relaying
from tests.standins.channels.trouble import Trouble
from tests.standins.entra import Entra, Registration
from tests.standins.server import serving


def telling(**changes: Any) -> Telling:
    notice = Notice(incident=an_incident(), phase=NoticePhase.FIRST, url="http://x/1", at=NOW)
    values: dict[str, Any] = {
        "key": "sextant:inc_1/first/1", "thread": "sextant:inc_1", "topic": "Mail is down",
        "record": "", "notice": notice, "message": Message(subject="Mail is down", text="Now."),
    }  # fmt: skip
    return Telling(**{**values, **changes})


def settings_of(relay: Relay, **changes: Any) -> SmtpSettings:
    values: dict[str, Any] = {
        "host": "localhost", "port": relay.port, "username": relay.username,
        "password": SecretStr(relay.password), "sender": "sextant@contoso.example",
        "recipients": ("desk@contoso.example",), "ca_file": str(certificates().ca_file),
        "timeout_seconds": 5,
    }  # fmt: skip
    return SmtpSettings(**{**values, **changes})


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with relaying(Relay(), certificates().server_context()) as made:
        yield made


async def tell(relay: Relay, told: Telling, **changes: Any) -> ChannelAnswer:
    return await open_smtp("mail", settings_of(relay, **changes)).tell(told)


async def test_the_mails_of_an_incident_make_one_thread(relay: Relay) -> None:
    first = await tell(relay, telling())
    update = Message(subject="Better now", text="It improves.")
    await tell(relay, telling(key="sextant:inc_1/update/9", record=first.record, message=update))
    one, other = relay.mailbox
    assert one["Message-ID"] == first.record
    assert other["In-Reply-To"] == other["References"] == first.record
    assert (one["Subject"], other["Subject"]) == ("Mail is down", "Re: Mail is down")
    plain = other.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().startswith("Better now")
    assert one["Auto-Submitted"] == "auto-generated"
    assert one["X-Auto-Response-Suppress"] == "All"
    assert [p.get_content_type() for p in one.iter_parts()] == ["text/plain", "text/html"]


async def test_the_same_telling_has_the_same_id_however_often(relay: Relay) -> None:
    await tell(relay, telling())
    await tell(relay, telling())
    assert (relay.attempts, len(relay.mailbox)) == (2, 1)


async def test_a_title_cannot_add_a_header_or_a_recipient(relay: Relay) -> None:
    evil = "Down\r\nBcc: all@contoso.example\r\n\r\n<script>alert(1)</script>"
    await tell(relay, telling(message=Message(subject=evil, text=evil), topic=evil))
    (mail,) = relay.mailbox
    assert "Bcc" not in mail
    assert "\n" not in str(mail["Subject"])
    assert b"<script>" not in mail.get_body(("html",)).get_payload(decode=True)  # type: ignore[union-attr]


async def test_who_is_refused_is_told_and_the_others_get_it(relay: Relay) -> None:
    both = ("desk@contoso.example", "who@elsewhere.example")
    answer = await tell(relay, telling(), recipients=both)
    assert answer.word is MirrorWord.DONE
    assert "who@elsewhere.example: 550 5.7.1 Unable to relay" in answer.why


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"password": SecretStr("wrong")}, "did not let us in"),
        ({"recipients": ("who@elsewhere.example",)}, "none of the recipients"),
        ({"username": ""}, "refused the sender"),
        ({"ca_file": None}, "not trusted"),
    ],
)
async def test_a_refusal_says_what_to_set_right(
    relay: Relay, changes: dict[str, Any], word: str
) -> None:
    answer = await tell(relay, telling(), **changes)
    assert (answer.word, relay.mails) == (MirrorWord.REFUSED, [])
    assert word in answer.why
    assert answer.remedy


async def test_a_relay_that_is_away_is_waited_for(relay: Relay) -> None:
    answer = await tell(relay, telling(), port=1)
    assert answer.word is MirrorWord.UNREACHED


async def test_where_mailboxes_keep_repetitions_a_lost_answer_makes_at_most_one(
    sqlite_database: Database,
) -> None:
    async with smtp() as bench:
        made: SmtpBench = bench
        made.relay.drops_repetitions = False
        world = TellingWorld(sqlite_database, made.channel)
        made.relay.troubles += [Trouble.CUT] * 9
        incident = await world.open()
        await world.run(600)
        assert made.firsts() == 2
        link = world.link(incident)
        assert (link.state, link.remote_state) == (LinkState.FAILED, None)
        assert "Sent 2 times without an answer" in link.explanation
        made.relay.troubles.clear()
        await world.do("resolve", incident, resolution="vendor_fix")
        await world.run(1800)
        assert world.link(incident).remote_state == "resolved"


@pytest.mark.parametrize("address", ["nobody", "a@", "@b", "a@b.example\r\nBcc: c@d.example"])
def test_an_address_is_an_address(address: str) -> None:
    with pytest.raises(ValidationError, match="no address"):
        SmtpSettings(host="h", sender=address, recipients=("a@b.example",))


TENANT, CLIENT, OUTLOOK = "5c1f", "app-of-mail", "https://outlook.office365.com"


@dataclass
class Exchange:
    """A relay that takes tokens alone, and the Entra that hands them out."""

    relay: Relay
    entra: Entra
    root: str

    async def tell(self, *keys: str, **changes: Any) -> list[ChannelAnswer]:
        given = {"tenant_id": TENANT, "client_id": CLIENT, "secret": SecretStr("s3cret"),
                 "authority": self.root}  # fmt: skip
        oauth = SmtpOAuth(**{**given, **changes})
        settings = settings_of(self.relay, password=None, oauth=oauth)
        channel = open_smtp("mail", settings)
        try:
            return [await channel.tell(telling(key=key)) for key in keys]
        finally:
            await channel.aclose()


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    wall = SystemClock().now  # msal ages its tokens by it
    registration = Registration(tenant=TENANT, client=CLIENT, secrets={"s3cret": None})
    entra = Entra(registrations=[registration], wall=wall)
    relay = Relay()

    def admits(user: str, token: str) -> bool:
        granted = entra.granted(token)
        return user == relay.username and granted is not None and granted.audience == OUTLOOK

    relay.admits = admits
    async with (
        serving(Starlette(routes=entra.routes()), certificates()) as root,
        relaying(relay, certificates().server_context()),
    ):
        yield Exchange(relay, entra, root)


async def test_exchange_online_is_signed_in_at_with_a_token_that_is_asked_for_once(
    exchange: Exchange,
) -> None:
    answers = await exchange.tell("k/first/1", "k/update/2")
    assert [a.word for a in answers] == [MirrorWord.DONE, MirrorWord.DONE]
    assert (len(exchange.relay.mailbox), exchange.entra.asked) == (2, 1)


async def test_a_token_that_was_revoked_is_replaced_at_the_next_mail(exchange: Exchange) -> None:
    (first,) = await exchange.tell("k/first/1", scope="https://graph.microsoft.com/.default")
    assert (first.word, "did not let us in" in first.why) == (MirrorWord.REFUSED, True)
    admits = exchange.relay.admits
    refusals = [True]
    exchange.relay.admits = lambda u, t: (
        not refusals.pop() if refusals else bool(admits and admits(u, t))
    )
    answers = await exchange.tell("k/first/1", "k/first/1")
    assert [a.word for a in answers] == [MirrorWord.REFUSED, MirrorWord.DONE]


async def test_an_application_that_is_refused_says_so_and_an_entra_that_is_ill_is_waited_for(
    exchange: Exchange,
) -> None:
    (wrong,) = await exchange.tell("k/first/1", secret=SecretStr("old"))
    assert (wrong.word, "AADSTS7000215" in wrong.why) == (MirrorWord.REFUSED, True)
    assert "application" in wrong.remedy
    exchange.entra.broken = 503
    (ill,) = await exchange.tell("k/first/1")
    assert (ill.word, exchange.relay.attempts) == (MirrorWord.UNREACHED, 0)


@pytest.mark.parametrize(
    "changes",
    [{"secret": None}, {"federated_token_file": "x"}, {"client_id": ""}],
)
def test_an_application_proves_itself_in_exactly_one_way(changes: dict[str, Any]) -> None:
    given = {"tenant_id": TENANT, "client_id": CLIENT, "secret": SecretStr("s")}
    with pytest.raises(ValidationError, match="give"):
        SmtpOAuth(**{**given, **changes})


@pytest.mark.parametrize(
    "changes", [{"password": SecretStr("x")}, {"username": ""}, {"security": "none"}]
)
def test_a_token_goes_with_a_mailbox_over_tls_alone(changes: dict[str, Any]) -> None:
    oauth = SmtpOAuth(tenant_id=TENANT, client_id=CLIENT, secret=SecretStr("s"))
    with pytest.raises(ValidationError, match=r"with oauth|without TLS"):
        settings_of(Relay(port=587), **{"password": None, "oauth": oauth, **changes})
