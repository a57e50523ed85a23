"""Episodes: where the scan of one fault domain stands, and the stretches of trouble it found."""

from dataclasses import dataclass, field

REPORTERS_CAP = 2048  # smallest marks of distinct reporters kept of an episode


@dataclass(slots=True, kw_only=True)
class Episode:
    """One stretch of trouble of one domain. Minutes are since 1970; nats add up.

    ``silence`` is the information gathered since the last bad minute, ``turned`` the ratio of the
    evidence that it is over. ``recent``: reporters of the last minutes; ``crest``: most of them, as
    it fades. ``recovered``: location → clean minutes since the last bad one. ``marks`` are the
    smallest marks of its reporters up to the minute ``marked_to``. ``gap``: most quiet minutes
    after which it came back.
    """

    onset: int
    suspected: int
    report_nats: float
    probe_nats: float
    actors: int
    expected: float
    failing: tuple[str, ...]
    clean: tuple[str, ...]
    confirmed: int | None = None
    last_bad: int = 0
    silence: float = 0.0
    peak: float = 0.0
    turned: float = 0.0
    crest: float = 0.0
    recent: tuple[int, ...] = ()
    probe_sum: float = 0.0
    probe_peak: float = 0.0
    reports_alone: int | None = None
    failed_ever: tuple[str, ...] = ()
    most_failing: int = 0
    recovered: dict[str, int] = field(default_factory=dict)
    marks: list[int] = field(default_factory=list)
    marked_to: int = 0
    gap: int = 0

    def clone(self) -> "Episode":
        """A copy that may be followed on its own; ``marks`` is replaced, never changed."""
        made = object.__new__(Episode)
        for name in Episode.__slots__:  # several times as quick as ``replace``
            setattr(made, name, getattr(self, name))
        made.recovered = dict(self.recovered)
        return made


@dataclass(slots=True, kw_only=True)
class ScanPoint:
    """Where a scan stands at the end of a minute.

    ``ratios``: the statistic of each hypothesis. ``idle``: minutes in which nothing bad was said.
    ``episodes`` are in order of time; the last one may go on.
    """

    minute: int
    ratios: list[float]
    idle: int = 0
    episodes: list[Episode] = field(default_factory=list)

    def clone(self) -> "ScanPoint":
        """A copy that may be carried on."""
        return ScanPoint(
            minute=self.minute,
            ratios=self.ratios,  # replaced as a whole at each step, never changed in place
            idle=self.idle,
            episodes=[episode.clone() for episode in self.episodes],
        )
