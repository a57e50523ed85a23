"""The probe mailbox by IMAP: a token for Outlook, SASL XOAUTH2, and a look at the inbox."""

from app.clients.mail import DoorShut, MailboxRefused
from app.core.types import Symptom
from app.sources.probe.errand import Errand
from app.sources.probe.signin import NoToken, account_of, token_for, unsaid
from app.sources.probe.verdict import Seen, at_fault, failed, plain


async def inbox(errand: Errand) -> Seen:
    """Sign in to the probe mailbox over IMAP with a fresh token; nothing is marked as read."""
    account = account_of(errand)
    host, _, port = account.imap_server.rpartition(":")
    try:
        bearer = await token_for(errand, f"https://{host}")
    except NoToken as refused:
        return unsaid(refused)
    told = {"token": "issued"}
    try:
        await errand.doors.look_in(
            host,
            int(port),
            user=account.mailbox,
            bearer=bearer,
            tls=errand.tls,
            limits=errand.settings.limits,
            trace=errand.trace,
        )
    except DoorShut as shut:
        return failed(Symptom.CONNECTION_FAILED, f"the door said no: {shut}")
    except MailboxRefused as refused:
        told |= {"mailbox": "refused", "code": plain(str(refused))[:80]}
        if not errand.memory.reached:
            text = f"IMAP does not let the application into the probe mailbox ({refused})"
            seen = at_fault("permission", text)
        else:
            seen = failed(Symptom.AUTH_REJECTED, f"token issued, mailbox refuses: {refused}")
        seen.diagnostics.update(told)
        return seen
    return Seen(diagnostics=told)
