"""The lexicon: which of the vendor's phrases stand for which of our words, as data."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from app.core.types import Client, Symptom

LEXICON_VERSION = 4


def _compile(table: Mapping[str, str]) -> Mapping[str, re.Pattern[str]]:
    return MappingProxyType({key: re.compile(text, re.IGNORECASE) for key, text in table.items()})


# Slugs of the catalogue; names that are also plain words ("forms", "stream") need the vendor's.
SERVICES = _compile(
    {
        "exchange-online": (
            r"\bExchange (?:Online|Web Services|ActiveSync|admin center)\b|\bOutlook\b|\bOWA\b"
        ),
        "microsoft-teams": r"\bTeams\b",
        "sharepoint-online": r"\bSharePoint\b",
        "onedrive": r"\bOneDrive\b",
        "entra-id": r"\bEntra\b|\bAzure (?:AD|Active Directory)\b",
        "microsoft-365-suite": r"\b(?:Microsoft|Office) 365 services\b",
        "microsoft-365-apps": r"\b(?:Microsoft|Office) 365 [Aa]pps\b",
        "microsoft-365-web": r"\b(?:Office|Microsoft 365) for the web\b|\bOffice Online\b",
        "microsoft-365-admin": (
            r"\b(?:M|Microsoft |Office )365 admin(?:istration)? (?:cent(?:er|re)|portal)\b"
        ),
        "intune": r"\bIntune\b",
        "copilot": r"\bCopilot\b",
        "defender": r"\bDefender\b",
        "purview": r"\bPurview\b|\beDiscovery\b|\bsensitivity labels?\b",
        "power-bi": r"\bPower ?BI\b|\bMicrosoft Fabric\b",
        "power-platform": r"\bPower (?:Platform|Apps|Automate)\b",
        "viva": r"\bViva\b|\bYammer\b",
        "dynamics-365": r"\bDynamics (?:365|CRM)\b",
        "skype-for-business": r"\bSkype (?:for Business|Meeting)\b",
        "planner": r"\bMicrosoft Planner\b",
        "forms": r"\bMicrosoft Forms\b",
        "bookings": r"\bMicrosoft Bookings\b",
        "stream": r"\bMicrosoft Stream\b",
        "sway": r"\bMicrosoft Sway\b",
    }
)

CLIENTS = _compile(
    {
        Client.OUTLOOK_WEB: r"\bOutlook (?:on the )?web\b|\bOutlook Web App\b|\bOWA\b",
        Client.OUTLOOK_DESKTOP: (
            r"\bOutlook desktop\b|\bdesktop (?:version of )?Outlook\b|\bclassic Outlook\b"
            r"|\bOutlook (?:client|for Windows|for Mac)\b|\bnew Outlook for\b"
        ),
        Client.OUTLOOK_MOBILE: r"\bOutlook (?:mobile|for iOS|for Android)\b",
        Client.ACTIVESYNC: r"\bActiveSync\b|\bEAS\b",
        Client.IMAP_POP: r"\bIMAP4?\b|\bPOP3?\b",
        Client.EWS: r"\bEWS\b|\bExchange Web Services\b",
        Client.MAPI: r"\bMAPI\b",
        Client.GRAPH_API: r"\bGraph API\b|\bMicrosoft Graph\b|\bREST (?:API|protocol)",
        Client.TEAMS_DESKTOP: r"\bTeams (?:desktop|for Windows|for Mac)\b",
        Client.TEAMS_WEB: r"\bTeams (?:on the )?web\b|\bTeams for the web\b",
        Client.TEAMS_MOBILE: r"\bTeams (?:mobile|for iOS|for Android)\b",
        Client.BROWSER: r"\b(?:web )?browsers?\b",
    }
)

FEATURES = _compile(
    {
        "outlook-web": CLIENTS[Client.OUTLOOK_WEB].pattern,
        "outlook-desktop": CLIENTS[Client.OUTLOOK_DESKTOP].pattern,
        "outlook-mobile": CLIENTS[Client.OUTLOOK_MOBILE].pattern,
        "activesync": CLIENTS[Client.ACTIVESYNC].pattern,
        "imap-pop": CLIENTS[Client.IMAP_POP].pattern,
        "ews": CLIENTS[Client.EWS].pattern,
        "mapi": CLIENTS[Client.MAPI].pattern,
        "mail-flow": (
            r"\bmail ?flow\b|\be-?mail (?:message )?delivery\b|\bdelivery of e-?mail\b"
            r"|\b(?:send|sending|receive|receiving)\b[^.]{0,30}\b(?:e-?mail|messages?)\b"
            r"|\b(?:in|out)bound (?:e-?mail|mail|messages?)\b"
            r"|\bquarantin\w+\b|\bspam\b|\bdelivery results\b"
        ),
        "calendar": r"\bcalendars?\b|\bfree/busy\b|\bmeeting rooms?\b",
        "search": r"\bsearch(?:es|ing)?\b",
        "sign-in": r"\bsign(?:ing)?[- ]?in\b|\blog(?:ging)?[- ]?in\b|\bauthenticat(?:e|ion|ing)\b",
        "administration": r"\badmin (?:cent(?:er|re)|portal)\b|\bPowerShell\b|\badmins\b",
        "voice-mail": r"\bvoice ?mail\b",
        "chat": r"\bchats?\b|\bchat messages\b",
        "meetings": (
            r"\bmeetings\b|\bjoin(?:ing)? (?:a |the )?meeting|\bbroadcasts?\b|\bwebinars?\b"
            r"|\btown halls?\b"
        ),
        "calling": r"\bcalling\b|\bphone calls?\b|\bPSTN\b",
        "presence": r"\bpresence\b",
        "sync": r"\bsync(?:ing|hroniz\w+)?\b",
        "sites": r"\bSharePoint (?:Online )?(?:[\w-]+ )?sites?\b",
        "files": r"\bfiles?\b|\bdocuments?\b",
        "multi-factor": r"\bMFA\b|\bmulti-?factor\b",
    }
)

SYMPTOMS = _compile(
    {
        Symptom.HTTP_5XX: (
            r"\b(?:HTTP )?50[0-4]\b|\bHTTP 5\d\d\b|\bservice (?:is |was )?unavailable\b"
            r"|\b(?:internal )?server errors?\b"
        ),
        Symptom.TIMEOUT: r"\btim(?:ed?|ing)[- ]?outs?\b|\bunresponsive\b|\bhang(?:s|ing)?\b",
        Symptom.CONNECTION_FAILED: (
            r"\bconnection (?:errors?|failures?|issues?|problems?)\b"
            r"|\b(?:unable to|can.?t|cannot|fail(?:s|ed)? to) connect\b|\bdisconnect"
            r"|\bnetwork (?:errors?|issues?|failures?)\b"
        ),
        Symptom.DNS_FAILURE: r"\bDNS\b|\bname resolution\b",
        Symptom.TLS_FAILURE: r"\b(?:TLS|SSL)\b|\b(?:expired|invalid) certificate\b",
        Symptom.AUTH_LOOP: (
            r"\b(?:authentication|sign-?in|login|redirect)[- ](?:\w+ )?loops?\b"
            r"|\b(?:repeated(?:ly)?|continuous(?:ly)?|continual(?:ly)?|constant(?:ly)?|endless)\b"
            r"[^.]{0,40}\b(?:prompt\w*|sign-?in|credentials?|authenticat\w+)\b"
            r"|\bprompt\w*\b[^.]{0,40}\b(?:repeatedly|continuously|multiple times|again)\b"
        ),
        Symptom.AUTH_REJECTED: (
            r"\b(?:unable to|can.?t|cannot) (?:sign|log)[- ]?in\b|\b401\b|\baccess denied\b"
            r"|\b(?:sign-?in|log-?in|authentication) (?:failures?|errors?|issues?|problems?)\b"
        ),
        Symptom.THROTTLED: r"\bthrottl\w+\b|\b429\b|\btoo many requests\b",
        Symptom.SLOW: (
            r"\bslow(?:ness|ly|er)?\b|\blatency\b|\bdegraded performance\b"
            r"|\bdelays? (?:when|while)\b|\btak(?:e|es|ing) longer\b"
        ),
        Symptom.MAIL_DELAYED: (
            r"\bdelay\w*\b[^.]{0,40}\b(?:e-?mails?|mail|messages?)\b"
            r"|\b(?:e-?mails?|mail|messages?)\b[^.]{0,60}\bdelay"
        ),
        Symptom.MAIL_REJECTED: (
            r"\bNDRs?\b|\bnon-?delivery\b|\bbounc\w+\b"
            r"|\b(?:unable to|can.?t|cannot) (?:send|receive)\b[^.]{0,30}\b(?:e-?mail|mess)"
        ),
        Symptom.SYNC_FAILED: (
            r"\b(?:not|unable to|fail\w*(?: to)?|can.?t|cannot|stop\w*) sync"
            r"|\bsync(?:hronization)? (?:fail\w*|errors?|issues?|problems?)\b"
            r"|\bnot propagat\w+\b"
        ),
        Symptom.NOT_FOUND: r"\b404\b|\bnot found\b|\bgo(?:es|ne)? missing\b",
        Symptom.DATA_STALE: (
            r"\b(?:outdated|stale|out of date|not up to date)\b|\breports?\b[^.]{0,30}\bdelay"
        ),
        Symptom.CONTENT_ERROR: (
            r"\bcorrupt\w*\b|\bgarbled\b|\bdisplay\w* incorrectly\b"
            r"|\b(?:don|doesn|didn).t contain (?:data|content)\b|\bmissing data\b"
        ),
    }
)

# Countries by ISO 3166-1 alpha-2 in lower case; larger areas by name, so that no code is ambiguous.
REGIONS = _compile(
    {
        "north-america": r"\bNorth America(?:n)?\b",
        "south-america": r"\bSouth America(?:n)?\b|\bLatin America(?:n)?\b",
        "emea": r"\bEMEA\b|\bEurope, (?:the )?Middle East,? and Africa\b",
        "europe": r"\bEurope(?:an)?\b(?!, (?:the )?Middle East)",
        "middle-east": r"(?<!Europe, )(?<!Europe, the )\bMiddle East(?:ern)?\b(?!,? and Africa)",
        "africa": r"(?<!East and )(?<!East, and )\bAfrica\b",
        "asia-pacific": r"\bAsia[- ]Pacific\b|\bAPAC\b|\bAsia\b(?![- ]Pacific)",
        "us": r"\bUnited States\b|\bU\.S\.|\bUSA\b",
        "ca": r"\bCanad(?:a|ian)\b",
        "gb": r"\bUnited Kingdom\b|\bUK\b",
        "ie": r"\bIreland\b",
        "de": r"\bGerman(?:y)?\b",
        "fr": r"\bFrance\b|\bFrench\b",
        "ch": r"\bSwitzerland\b|\bSwiss\b",
        "at": r"\bAustria(?:n)?\b",
        "nl": r"\bNetherlands\b",
        "es": r"\bSpain\b",
        "it": r"\bItaly\b",
        "se": r"\bSweden\b",
        "no": r"\bNorway\b",
        "pl": r"\bPoland\b",
        "br": r"\bBrazil\b",
        "in": r"\bIndia\b",
        "jp": r"\bJapan(?:ese)?\b",
        "au": r"\bAustralia(?:n)?\b",
        "nz": r"\bNew Zealand\b",
        "sg": r"\bSingapore\b",
        "za": r"\bSouth Africa(?:n)?\b",
        "ae": r"\bUnited Arab Emirates\b|\bUAE\b",
    }
)

# First match wins: the most specific blame stands first.
CAUSES = _compile(
    {
        "third_party": (
            r"\bthird[- ]party\b|\bpartner.s\b|\binternet service provider\b|\bISP\b"
            r"|\bexternal (?:provider|partner)s?\b|\btransit provider\b|\bbrowser version\b"
        ),
        "certificate": r"\bcertificates?\b|\bTLS handshake\b|\bexpired (?:key|credential)s?\b",
        "configuration_change": (
            r"\b(?:re|mis)?configur(?:ation|ed)? (?:changes?|updates?|issues?|errors?)\b"
            r"|\bmisconfigur\w+\b|\bincorrect(?:ly)? configur\w+\b|\bpolicy change\b"
        ),
        "deployment": (
            r"\bdeploy(?:ment|ed|ing|s)?\b|\b(?:service|code|software|feature|build) (?:updates?|"
            r"changes?|regressions?|defects?)\b|\bcode issues?\b|\bregression\b|\brollout\b|\bbug\b"
            r"|\bupdates? to (?:our|the) (?:service|code|software)\b|\bdefect\b"
        ),
        "capacity": (
            r"\bcapacity\b|\bincrease (?:of|in) (?:user |client )?(?:requests?|traffic|load)\b"
            r"|\b(?:high|increased|elevated) (?:CPU|memory|resource|load|traffic|utili[sz]ation)"
            r"|\btraffic (?:spike|surge)\b|\boverload\w*\b|\bauto-?scal\w+\b|\bresource content"
        ),
        "dependency": (
            r"\bdependen(?:t|cy|cies)\b|\b(?:upstream|downstream|backend|back-end) (?:service|"
            r"component|system)s?\b|\brel(?:ies|y|ied) on\b"
        ),
        "networking": (
            r"\bnetwork\w*\b|\bDNS\b|\brout(?:ing|ers?)\b|\bpeering\b|\bfib(?:er|re) cut\b"
            r"|\bload balanc\w+\b|\bpacket loss\b"
        ),
        "change": r"\brecent changes?\b|\bchanges? to (?:our|the|a)\b|\bchange (?:that|which)\b",
        "infrastructure": (
            r"\binfrastructure\b|\bhardware\b|\bpower (?:loss|outage|event)\b|\bcomponents?\b"
            r"|\bdata ?cent(?:er|re)s?\b|\bstorage\b|\bdatabases?\b|\bservers?\b"
            r"|\bparts? of (?:the|our) service\b"
        ),
    }
)
# A change that is not called a deployment is one of configuration, as far as the closed list goes.
CAUSE_CATEGORIES = MappingProxyType({"change": "configuration_change"})

# What was done about it; first match wins within a sentence.
MITIGATIONS = _compile(
    {
        "rollback": (
            r"\brevert\w*\b|\broll(?:ed|ing)?[- ]?back\b|\bdisabl(?:ed|ing)\b[^.]{0,40}\bchange\b"
            r"|\bund(?:o(?:ne|ing)?|id)\b[^.]{0,30}\bchange\b|\brestor\w+\b[^.]{0,30}\bprevious\b"
        ),
        "failover": r"\bfail(?:ed|ing)?[- ]?over\b",
        "traffic_shift": (
            r"\bre-?rout\w+\b|\bredirect\w*\b[^.]{0,20}\btraffic\b|\brebalanc\w+\b"
            r"|\b(?:shift|mov|divert)\w*\b[^.]{0,20}\btraffic\b"
        ),
        "restart": r"\brestart\w*\b|\breboot\w*\b|\brecycl\w+\b",
        "capacity_added": (
            r"\bscal(?:e|ed|ing)[- ]?(?:up|out)\b|\b(?:add|increas|provision)\w*\b[^.]{0,20}"
            r"\bcapacity\b"
        ),
        "self_restored": (
            r"\bself[- ](?:restored|recovered|healed|corrected)\b"
            r"|\brecovered (?:on its own|auto\w+)\b"
        ),
        "fix_deployed": (
            r"\b(?:deploy|appl|implement|releas|complet)\w*\b[^.]{0,40}\b(?:fix|solution|patch|"
            r"code change|code update)\b"
            r"|\b(?:fix|solution|code (?:change|update)|patch)\b[^.]{0,30}\b(?:deployed|applied|"
            r"has started|completed|saturation|reached)\b"
        ),
        "other": (
            r"\bremediated\b|\bmitigat(?:ed|es)\b|\bdisabl(?:ed|ing)\b|\boptimi[sz](?:ed|ing)\b"
        ),
    }
)
# What is only planned or looked for has not been done.
NOT_DONE = re.compile(
    r"\b(?:to (?:identify|develop|determine|validate)|develop(?:ing|ed)?|discussing|considering|"
    r"options?|potential|may take|will (?:be )?deploy\w*|preparing)\b[^.]{0,80}\b(?:fix|mitigat|"
    r"solution|plan)\w*",
    re.IGNORECASE,
)
BLAME = re.compile(
    r"\b(?:identified|determined|confirmed|found|isolated|believe)\b[^.]{0,160}"
    r"\b(?:caus\w+|result\w+ in|led to|responsible|root cause|not processing)\b"
    r"|\bidentified an? [^.]{0,60}\b(?:issue|problem|fault|defect)\b"
    r"|\b(?:identified|determined|found) that\b[^.]{0,120}\b(?:expired|failed|overloaded|drops?)\b"
    r"|\bcaused by\b|\bdue to\b|\bresulted in (?:the )?impact\b|\bfault lies with\b"
    r"|\bpower (?:loss|outage)\b|\babove\b[^.]{0,30}\bcapacity\b",
    re.IGNORECASE,
)
# A sentence about what still works, or a way around, says nothing of what is broken.
STILL_WORKS = re.compile(
    r"\b(?:unaffected|not (?:affected|impacted)|isn.t (?:affected|impacted)|no effect)\b"
    r"|\bable to\b|\bwork-?around\b|\balternativ\w+\b|\binstead\b|\bcan still\b",
    re.IGNORECASE,
)
# "Most in Europe" does not say that others are spared.
NOT_LIMITING = re.compile(
    r"\bmost (?:significant\w*|severe\w*|of)\b|\bprimarily\b|\bmainly\b|\bespecially\b"
    r"|\bparticularly\b|\bmore likely\b",
    re.IGNORECASE,
)
