"""What to do about a refusal of an instance, in one sentence each."""

from app.clients.errors import VendorError

UNSCOPED = (
    'The OAuth client is securely scoped: use the broad scope, set scope = "useraccount", or '
    "attach a REST API Auth Scope for the Table API; a role does not help."
)
POLICY = (
    "Set close_code to one of the instance's own, or relax the data policy for the fields that "
    "it names."
)
# Words of the answer, and what sets it right; the first that occurs counts.
BY_WORDS = (
    ("unscoped", UNSCOPED),
    ("Data Policy", POLICY),
    ("Business Rule", "A business rule of the instance aborts our write; exempt the user there."),
    ("API level ACL", "Give the user the role snc_platform_rest_api_access."),
    ("ACL Exception", "Give the user the role itil or sn_incident_write."),
    ("Invalid table", "Check base_url and the table's name."),
)  # fmt: skip
BY_CODE = {
    "token_refused": "Check that glide.oauth.inbound.client.credential.grant_type.enabled is true, "
    "client_id and secret are right, the registry entry has an OAuth Application User, and that "
    "user needs no password reset; the instance's own log has the real reason.",
    "unauthorized": "Check user name, password or token; the user must be active, and basic "
    "authentication allowed for it (web service access only, or role snc_basic_auth_api_access).",
    "forbidden": "The user lacks a role; itil is the usual one.",
    "moved": "Set base_url to the instance's own address; single sign-on does not work for us.",
    "asleep": "Wake the developer instance in its portal.",
    "tls_failed": "Set ca_file to the authority of your proxy or instance.",
}


def remedy_of(error: VendorError) -> str:
    """What to do; empty where waiting is all."""
    for words, remedy in BY_WORDS:
        if words in error.text:
            return remedy
    return BY_CODE.get(error.code, "")
