"""The services we know: slugs, the vendor's ids and drifting names, features and dependencies."""

from dataclasses import dataclass
from types import MappingProxyType

CATALOGUE_VERSION = 1

OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of the catalogue.

    ``graph_ids`` are healthOverview ids; ``aliases`` are display texts the vendor used over time;
    ``features`` are slugs of parts users can name; ``depends_on`` lists slugs that must work first.
    """

    slug: str
    name: str
    graph_ids: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


# Sources of ids and names: Graph healthOverviews as captured in 2022, 2024 and 2026
# (tests/fixtures/graph). The display text of one id drifts, so every form seen is an alias.
SERVICES: tuple[Service, ...] = (
    Service(
        slug="exchange-online",
        name="Exchange Online",
        graph_ids=("Exchange",),
        aliases=("Exchange", "Microsoft Exchange Online", "Outlook", "Outlook on the web", "EXO"),
        features=(
            "outlook-web",
            "outlook-desktop",
            "outlook-mobile",
            "activesync",
            "imap-pop",
            "ews",
            "mapi",
            "mail-flow",
            "calendar",
            "search",
            "sign-in",
            "administration",
            "voice-mail",
        ),
        depends_on=("entra-id",),
    ),
    Service(
        slug="microsoft-teams",
        name="Microsoft Teams",
        graph_ids=("microsoftteams",),
        aliases=("Teams",),
        features=("chat", "meetings", "calling", "files", "presence", "sign-in", "administration"),
        depends_on=("entra-id", "exchange-online", "sharepoint-online"),
    ),
    Service(
        slug="sharepoint-online",
        name="SharePoint Online",
        graph_ids=("SharePoint",),
        aliases=("SharePoint", "Microsoft SharePoint", "Microsoft SharePoint Online"),
        features=("sites", "search", "files", "administration"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="onedrive",
        name="OneDrive for Business",
        graph_ids=("OneDriveForBusiness",),
        aliases=("OneDrive", "Microsoft OneDrive", "OneDrive for work or school"),
        features=("files", "sync"),
        depends_on=("entra-id", "sharepoint-online"),
    ),
    Service(
        slug="entra-id",
        name="Microsoft Entra",
        graph_ids=("OrgLiveID",),
        aliases=(
            "Identity Service",
            "Microsoft Entra ID",
            "Entra ID",
            "Entra",
            "Azure Active Directory",
            "Azure AD",
        ),
        features=("sign-in", "multi-factor", "administration"),
    ),
    Service(
        slug="microsoft-365-suite",
        name="Microsoft 365 suite",
        graph_ids=("OSDPPlatform",),
        aliases=("Microsoft 365", "Office 365", "Office 365 Portal", "Office 365 suite"),
        features=("access", "portal", "licensing"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="microsoft-365-apps",
        name="Microsoft 365 apps",
        graph_ids=("O365Client",),
        aliases=(
            "Office 365 ProPlus",
            "Office Client Applications",
            "Microsoft 365 apps for desktop",
        ),
        features=("activation", "co-authoring"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="microsoft-365-web",
        name="Microsoft 365 for the web",
        graph_ids=("officeonline",),
        aliases=("Office for the web", "Office Online"),
        features=("co-authoring",),
        depends_on=("entra-id", "sharepoint-online"),
    ),
    Service(
        slug="microsoft-365-admin",
        name="Microsoft 365 admin center",
        aliases=("Microsoft 365 admin centre", "Admin center", "Microsoft admin center"),
        features=("administration",),
        depends_on=("entra-id",),
    ),
    Service(
        slug="intune",
        name="Microsoft Intune",
        graph_ids=("Intune",),
        aliases=("Microsoft Endpoint Manager",),
        features=("enrolment", "policy", "administration"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="mobile-device-management",
        name="Mobile Device Management for Office 365",
        graph_ids=("MobileDeviceManagement",),
        aliases=("Basic Mobility and Security",),
        depends_on=("entra-id",),
    ),
    Service(
        slug="copilot",
        name="Microsoft Copilot (Microsoft 365)",
        graph_ids=("Copilot",),
        aliases=("Microsoft 365 Copilot", "Microsoft Copilot", "Copilot for Microsoft 365"),
        features=("chat", "web"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="defender",
        name="Microsoft Defender XDR",
        graph_ids=("Microsoft365Defender", "cloudappsecurity"),
        aliases=(
            "Microsoft 365 Defender",
            "Microsoft Defender",
            "Microsoft Defender for Cloud Apps",
            "Microsoft Cloud App Security",
            "Microsoft Defender for Endpoint",
            "Microsoft Defender for Office 365",
        ),
        features=("portal", "detection"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="purview",
        name="Microsoft Purview",
        graph_ids=("RMS", "PAM"),
        aliases=(
            "Azure Information Protection",
            "Privileged Access",
            "Microsoft Purview Information Protection",
            "Rights Management Service",
        ),
        features=("information-protection", "discovery"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="power-bi",
        name="Power BI",
        graph_ids=("PowerBIcom",),
        aliases=("Microsoft Power BI", "Microsoft Fabric"),
        features=("reports", "refresh"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="power-platform",
        name="Power Platform",
        graph_ids=("PowerApps", "PowerAppsM365", "MicrosoftFlow", "MicrosoftFlowM365"),
        aliases=(
            "Microsoft Power Platform",
            "Power Apps in Microsoft 365",
            "Power Automate",
            "Microsoft Power Automate",
            "Microsoft Power Automate in Microsoft 365",
            "Power Automate in Microsoft 365",
            "Microsoft Power Apps",
            "Power Apps",
        ),
        features=("apps", "flows", "administration"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="viva",
        name="Microsoft Viva",
        graph_ids=("Viva", "yammer"),
        aliases=("Yammer Enterprise", "Yammer", "Viva Engage", "Microsoft Viva Engage"),
        features=("communities",),
        depends_on=("entra-id",),
    ),
    Service(
        slug="dynamics-365",
        name="Dynamics 365 Apps",
        graph_ids=("DynamicsCRM",),
        aliases=("Dynamics 365", "Microsoft Dynamics 365", "Dynamics CRM Online"),
        features=("apps", "administration"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="skype-for-business",
        name="Skype for Business",
        graph_ids=("Lync",),
        aliases=("Skype for Business Online", "Lync Online"),
        depends_on=("entra-id",),
    ),
    Service(
        slug="planner",
        name="Microsoft Planner",
        graph_ids=("Planner",),
        depends_on=("entra-id",),
    ),
    Service(
        slug="forms",
        name="Microsoft Forms",
        graph_ids=("Forms",),
        aliases=("Forms",),
        depends_on=("entra-id",),
    ),
    Service(
        slug="bookings",
        name="Microsoft Bookings",
        graph_ids=("Bookings",),
        depends_on=("entra-id", "exchange-online"),
    ),
    Service(
        slug="stream",
        name="Microsoft Stream",
        graph_ids=("Stream",),
        depends_on=("entra-id", "sharepoint-online"),
    ),
    Service(
        slug="sway",
        name="Sway",
        graph_ids=("SwayEnterprise",),
        aliases=("Microsoft Sway",),
        depends_on=("entra-id",),
    ),
    Service(
        slug="staffhub",
        name="Microsoft StaffHub",
        graph_ids=("StaffHub",),
        depends_on=("entra-id",),
    ),
    Service(slug=OTHER, name="Other"),
)


# Hosts of the services as programs dial them, the longest suffix first; from the vendor's published
# list of endpoints (endpoints.office.com, worldwide instance) and its national clouds.
_HOSTS: tuple[tuple[str, str], ...] = (
    ("autologon.microsoftazuread-sso.com", "entra-id"),
    ("admin.microsoft.com", "microsoft-365-admin"),
    ("protection.outlook.com", "exchange-online"),
    ("login.microsoftonline.com", "entra-id"),
    ("login.microsoftonline.us", "entra-id"),
    ("login.partner.microsoftonline.cn", "entra-id"),
    ("teams.microsoft.com", "microsoft-teams"),
    ("teams.cloud.microsoft", "microsoft-teams"),
    ("outlook.cloud.microsoft", "exchange-online"),
    ("manage.microsoft.com", "intune"),
    ("login.microsoft.com", "entra-id"),
    ("login.windows.net", "entra-id"),
    ("graph.microsoft.com", "microsoft-365-suite"),
    ("sharepoint.com", "sharepoint-online"),
    ("onedrive.com", "onedrive"),
    ("outlook.com", "exchange-online"),
    ("office365.com", "exchange-online"),
    ("mx.microsoft", "exchange-online"),
    ("powerbi.com", "power-bi"),
    ("office.com", "microsoft-365-suite"),
)


def service_of_host(host: str) -> str | None:
    """The slug of the service that a host belongs to, or None for a host of somebody else."""
    name = host.lower()
    if name.endswith("-my.sharepoint.com"):
        return "onedrive"
    if name == "outlook.office.com":
        return "exchange-online"
    return next((s for end, s in _HOSTS if name == end or name.endswith("." + end)), None)


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()


_BY_SLUG = MappingProxyType({service.slug: service for service in SERVICES})
_BY_WORD = MappingProxyType(
    {
        _fold(word): service.slug
        for service in SERVICES
        for word in (service.slug, service.name, *service.graph_ids, *service.aliases)
    }
)


def slug_of(name_or_id: str) -> str:
    """Find the slug for a slug, a Graph id or any known display name; unknown is ``other``."""
    return _BY_WORD.get(_fold(name_or_id), OTHER)


def display_name(slug: str) -> str:
    """Name a slug for people; an unknown slug names itself."""
    service = _BY_SLUG.get(slug)
    return slug if service is None else service.name


def is_known(slug: str) -> bool:
    """Whether the slug is in the catalogue."""
    return slug in _BY_SLUG


def depends_on(slug: str) -> tuple[str, ...]:
    """List the slugs that must work for this one to work; empty for an unknown slug."""
    service = _BY_SLUG.get(slug)
    return () if service is None else service.depends_on


def features_of(slug: str) -> tuple[str, ...]:
    """List the known feature slugs of a service; empty for an unknown slug."""
    service = _BY_SLUG.get(slug)
    return () if service is None else service.features
