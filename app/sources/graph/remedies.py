"""What to do about each way in which service health cannot be read, in sentences."""

from collections.abc import Mapping

PERMISSION = "ServiceHealth.Read.All"

_GRANT = (
    "Grant the app registration the application permission ServiceHealth.Read.All of Microsoft"
    " Graph and give admin consent: Entra admin center, App registrations, your app, API"
    " permissions, Add a permission, Microsoft Graph, Application permissions,"
    " ServiceHealth.Read.All, then Grant admin consent. It can take some minutes to work."
)
_ASSIGN = (
    "Assign the managed identity the application role ServiceHealth.Read.All of Microsoft Graph"
    " (79c261e0-fe76-4144-aad5-bdc68fbe4037). The portal cannot; use PowerShell:"
    " New-MgServicePrincipalAppRoleAssignment with the identity's object id as ServicePrincipalId"
    " and PrincipalId, and the object id of Microsoft Graph's service principal as ResourceId."
    " A token that the machine holds already may take hours to show it; a restart does not help."
)
_BY_CODE: Mapping[str, str] = {
    "forbidden": _GRANT,
    "unauthorized": (
        "Check that tenant_id, client_id and cloud belong together; Graph does not take the token."
    ),
    "token_unavailable": (
        "Check that this host reaches the authority over https (DNS, proxy, firewall); if a proxy"
        " inspects TLS, name its authority in ca_file."
    ),
    "throttled": "Lower requests_per_hour or give Sextant an app registration of its own.",
    "unreachable": "Check that this host reaches Graph over https (DNS, proxy, firewall).",
    "timeout": "Check the path from this host to Graph; it answers too slowly or not at all.",
    "tls_failed": "If a proxy inspects TLS, name its authority in ca_file.",
    "odd_body": "Something between this host and Graph answers in its place; ask for an exception.",
    "budget": "Raise requests_per_hour, or the polling intervals.",
    "credential_unreadable": (
        "Check the path of the credential's file, who may read it, and its password."
    ),
    "ca_unreadable": (
        "Check the path of ca_file, who may read it, and that it holds certificates as PEM."
    ),
    "unavailable": "Graph itself has trouble; nothing need be done here.",
}
_PERMITTED = (
    "The token carries the permission, so something else refuses: a proxy between, or a policy of"
    " the tenant for workload identities. If it was granted just now, wait some minutes."
)
_REFUSED: Mapping[str, str] = {
    "secret": (
        "Check tenant_id, client_id and the client secret (its value, not its id) and whether the"
        " secret has expired: Entra admin center, App registrations, your app, Certificates and"
        " secrets."
    ),
    "certificate": (
        "Check tenant_id and client_id, and that this very certificate is uploaded: Entra admin"
        " center, App registrations, your app, Certificates and secrets, Certificates."
    ),
    "federated_token_file": (
        "Check tenant_id and client_id, and that the federated credential names this issuer,"
        " subject and audience: Entra admin center, App registrations, your app, Certificates and"
        " secrets, Federated credentials."
    ),
    "managed_identity": (
        "Check that an identity is assigned to this machine, and that client_id names one of them."
    ),
}
# Entra's own numbers (AADSTS…), learn.microsoft.com, "Microsoft Entra authentication error codes".
_BY_NUMBER: Mapping[int, str] = {
    90002: "There is no such tenant in this cloud: check tenant_id and cloud.",
    700016: "The tenant does not know the application: check client_id, tenant_id and cloud.",
    7000112: "The application is disabled in this tenant: enable its enterprise application.",
    7000215: "The client secret is wrong: give its value, not its id.",
    7000222: "The client secret has expired: make a new one and put it in place.",
    700027: (
        "Entra does not know this certificate: upload it at Certificates and secrets of the app"
        " registration, or take the one that is there."
    ),
    700024: (
        "The clock of this machine is wrong: the signed request is outside of its time. Set the"
        " clock by NTP."
    ),
    70021: "No federated credential of the application fits the token's issuer and subject.",
    700213: "No federated credential of the application fits the token's subject.",
    53003: "A Conditional Access policy for workload identities blocks this application.",
}


def remedy_of(
    code: str, *, credential: str = "secret", number: int | None = None, permitted: bool = False
) -> str:
    """Say what to do about a failed read.

    Args:
        code: what the client met.
        credential: which kind of credential is configured.
        number: Entra's number of the refusal, if it gave one.
        permitted: whether the token is known to carry the permission.
    """
    if code == "token_refused":
        general = _REFUSED.get(credential, "")
        return _BY_NUMBER.get(number or 0, general)
    if code == "forbidden" and permitted:
        return _PERMITTED
    if code == "forbidden" and credential == "managed_identity":
        return _ASSIGN
    return _BY_CODE.get(code, "")
