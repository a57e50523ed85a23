"""What an error of a client means to a channel: not done, done perhaps, or refused for good."""

from collections.abc import Mapping

from app.clients.errors import VendorError
from app.core.ports import ChannelAnswer, MirrorWord

_WORDS: Mapping[str, MirrorWord] = {
    "lost": MirrorWord.UNKNOWN,
    "unreachable": MirrorWord.UNREACHED,
    "unavailable": MirrorWord.UNREACHED,
    "timeout": MirrorWord.UNREACHED,
    "throttled": MirrorWord.UNREACHED,
}


def answered(
    error: VendorError,
    remedies: Mapping[str, str],
    words: Mapping[str, MirrorWord] | None = None,
) -> ChannelAnswer:
    """Turn an error into an answer; what nobody knows is a refusal, because it would be again.

    Args:
        error: what the client met.
        remedies: code of the error → what a person does about it.
        words: meanings of codes of the vendor's own.
    """
    word = {**_WORDS, **(words or {})}.get(error.code, MirrorWord.REFUSED)
    remedy = remedies.get(error.code, "") if word is not MirrorWord.UNREACHED else ""
    return ChannelAnswer(word=word, why=error.text, remedy=remedy, retry_after=error.retry_after)
