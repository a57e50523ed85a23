"""Settings are read once; whatever is wrong with them is one sentence that says what to do."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core.errors import SettingsError
from app.core.policy import DEFAULT_POLICY
from app.settings import Settings, load

TENANT = """
[[tenants]]
id = "contoso"
users = 5200
"""
GRAPH = """
[tenants.graph]
tenant_id = "t"
client_id = "c"
"""
CHANNEL = "[[tenants.channels]]\nname = 'desk'\nkind = 'slack'\n"
INLINE = "allow_inline_secrets = true\n"
SLACK = "slack = { token = 'x', channel = 'C0123456789' }\n"
MIRROR = (
    "[[tenants.mirrors]]\nname = 'snow'\nbase_url = 'https://x.example.com'\n"
    "credential = { certificate = { file = 'x.pem' } }\n"
)
PROBE = """
[[tenants.probes]]
name = "owa"
check = "http"
target = "https://outlook.example/owa"
location = "berlin"
"""


@pytest.fixture
def read(tmp_path: Path):
    def reading(text: str, **environ: str) -> Settings:
        path = tmp_path / "sextant.toml"
        path.write_text(text)
        return load(path, environ)

    return reading


def complaint(read, text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(text, **environ)
    return str(caught.value)


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings.database.url == "sqlite:///sextant.db"
    assert settings.server.public_url == "http://127.0.0.1:8000"
    assert settings.policy == DEFAULT_POLICY
    assert settings.delivery.schedule_seconds[:3] == (0, 5, 30)
    assert settings.limits.intake_body_bytes == 16 * 1024 * 1024


def test_the_default_file_is_taken_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sextant.toml").write_text("[server]\nport = 9000\n")
    assert load(None, {}).server.port == 9000


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("[server]\nport = 9001\n")
    assert load(None, {"SEXTANT_CONFIG": str(path)}).server.port == 9001


def test_the_environment_goes_over_the_file(read) -> None:
    settings = read(
        "[server]\nport = 9000\n" + TENANT,
        SEXTANT_SERVER__PORT="9002",
        SEXTANT_DATABASE__URL="postgresql://db/sextant",
        SEXTANT_TENANTS__0__NAME="Contoso AG",
        SEXTANT_TENANTS__1__ID="fabrikam",
        SEXTANT_EGRESS__ALLOW='[{"cidr": "127.0.0.0/8", "ports": [9000]}]',
        SEXTANT_SERVER__SECRET_KEY="a secret from the environment",
    )
    assert settings.server.port == 9002
    assert settings.database.url == "postgresql://db/sextant"
    assert [tenant.label for tenant in settings.tenants] == ["Contoso AG", "fabrikam"]
    assert settings.egress.allow[0].ports == (9000,)
    assert settings.server.secret_key is not None


def test_settings_cannot_be_changed(read) -> None:
    settings = read("")
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1


def test_secrets_come_from_the_environment_or_a_file(read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    text = TENANT + GRAPH + 'credential = { secret = { env = "GRAPH_SECRET" } }\n'
    settings = read(
        '[server]\nsecret_key = { file = "key" }\n' + text, GRAPH_SECRET="from the environment"
    )
    assert settings.server.secret_key is not None
    assert settings.server.secret_key.get_secret_value() == "from a file"
    assert "from" not in repr(settings)


def test_files_are_found_beside_the_settings(read, tmp_path: Path) -> None:
    text = TENANT + GRAPH + 'ca_file = "ca.pem"\ncredential = { secret = { env = "S" } }\n'
    graph = read(text, S="x").tenants[0].graph
    assert graph is not None
    assert graph.ca_file == str(tmp_path / "ca.pem")


def test_a_database_address_may_be_a_reference_and_is_never_shown(read) -> None:
    settings = read('[database]\nurl = { env = "DB" }\n', DB="postgresql://u:hidden@h/d")
    assert settings.database.url == "postgresql://u:hidden@h/d"
    assert "hidden" not in repr(settings)


def test_an_inline_secret_is_refused_unless_allowed(read) -> None:
    text = '[server]\nsecret_key = "inline"\n'
    assert "server.secret_key: a secret stands in the file" in complaint(read, text)
    assert read("allow_inline_secrets = true\n" + text).server.secret_key is not None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nprot = 1\n", 'unknown key "server.prot"; did you mean "server.port"?'),
        ("[servre]\nport = 1\n", 'unknown key "servre"; did you mean "server"?'),
        ("[server]\nquiet_minutes = 1\n", 'the nearest known key is "policy.quiet_minutes"'),
        ("[policy]\nquiet_minute = 1\n", 'did you mean "policy.quiet_minutes"?'),
        (TENANT + "timezon = 'UTC'\n", 'did you mean "tenants[0].timezone"?'),
        (TENANT + GRAPH + 'credential = {}\ntenat_id = ""\n', "tenants[0].graph.tenant_id"),
        (TENANT + TENANT, 'two tenants have the id "contoso"'),
        (TENANT + PROBE + PROBE, 'two probes are named "owa" at location "berlin"'),
        (TENANT + GRAPH, "tenants[0].graph.credential is missing"),
        (TENANT + MIRROR + MIRROR, 'two mirrors or channels are named "snow"'),
        (TENANT + MIRROR + 'fields = { priority = "1" }\n', "priority is not for you to set"),
        (TENANT + CHANNEL, "needs a table slack"),
        (
            INLINE + TENANT + CHANNEL + SLACK + "depends_on = ['exchange']\n",
            '"exchange" is no service',
        ),
        (
            INLINE + TENANT + CHANNEL + SLACK + "depends_on = ['microsoft-teams']\n",
            "All your channels for help desk (desk) depend on Microsoft 365",
        ),
        (
            INLINE + TENANT + CHANNEL + SLACK + "language = 'fr'\n",
            'the channel "desk" speaks "fr", which is not among messages.languages (en, de)',
        ),
        (
            INLINE + TENANT + "[[tenants.channels]]\nname = 'all'\nkind = 'pagerduty'\n"
            f"audience = 'users'\npagerduty = {{ routing_key = '{'x' * 32}' }}\n",
            "users do not read pagerduty",
        ),
        (TENANT + "timezone = 'Mars/Olympus'\n", "use one like Europe/Berlin"),
        ("[server]\nport = 99999\n", "server.port: Input should be less than or equal to 65535"),
        ("[egress]\nallow = [{ports = [1]}]\n", "names either a cidr or a host"),
        ("[clock]\nspeed = 60\n", "mean nothing without start"),
        ("[policy]\nquiet_minutes = -1\n", "quiet_minutes must not be negative"),
        ('[server]\nsecret_key = {env = "NO"}\n', 'the environment variable "NO" is not set'),
        ('[server]\nsecret_key = {file = "no"}\n', 'the file "no" cannot be read'),
        ("[server\n", "not valid TOML"),
        ('[database]\nurl = "mysql://x"\n', "database.url"),
    ],
)
def test_what_is_wrong_is_said(read, text: str, sentence: str) -> None:
    assert sentence in complaint(read, text)


def test_a_plan_without_an_independent_channel_needs_a_word_for_it(read) -> None:
    text = CHANNEL + SLACK + "depends_on = ['microsoft-teams']\n"
    settings = read(INLINE + TENANT + "accept_dependent = true\n" + text)
    assert settings.tenants[0].accept_dependent


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SEXTANT_SERVER__PROT", "1", 'did you mean "server.port"?'),
        ("SEXTANT_DATABSE__URL", "x", 'did you mean "database"?'),
        ("SEXTANT_EGRESS__ALLOW", "[{", "SEXTANT_EGRESS__ALLOW is not valid JSON"),
        ("SEXTANT_TENANTS__7__ID", "x", 'there is no place "7"'),
        ("SEXTANT_SERVER__PORT__X", "x", "server.port"),
    ],
)
def test_what_is_wrong_in_the_environment_is_said(read, name, value, sentence) -> None:
    assert sentence in complaint(read, "[[tenants]]\nid = 'a'\n", **{name: value})


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "no.toml", {})


def test_the_demo_clock_starts_where_it_is_told(read) -> None:
    clock = read("[clock]\nstart = 2026-03-16T06:00:00Z\nspeed = 60\n").clock
    assert clock.start == datetime(2026, 3, 16, 6, tzinfo=UTC)


def test_the_example_file_is_valid() -> None:
    example = Path(__file__).parent.parent / "deploy" / "sextant.example.toml"
    settings = load(example, {"GRAPH_CLIENT_SECRET": "x"})
    assert settings.tenants[0].graph is not None
    assert settings.tenants[0].probes
