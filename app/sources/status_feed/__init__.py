"""The vendor's public status pages as corroboration: no sign-in, no contract, no great weight."""

from app.sources.status_feed.feeds import AzureFeed, MicrosoftFeed, SharedPages, feeds_of
from app.sources.status_feed.settings import StatusFeedSettings

__all__ = ["AzureFeed", "MicrosoftFeed", "SharedPages", "StatusFeedSettings", "feeds_of"]
