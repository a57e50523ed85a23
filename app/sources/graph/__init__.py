"""Microsoft Graph service communications as a source of advisories."""

from app.sources.graph.settings import CLOUDS, GraphSettings
from app.sources.graph.source import GraphSource, Shared, open_graph
from app.sources.graph.translate import Translator, translate

__all__ = [
    "CLOUDS", "GraphSettings", "GraphSource", "Shared", "Translator", "open_graph", "translate",
]  # fmt: skip
