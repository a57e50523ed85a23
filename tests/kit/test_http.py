"""The egress guard: a corpus of hostile URLs, each dial recorded, none outside the policy."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from app.kit.egress import is_public
from app.kit.guarded import GuardedPoster
from app.kit.http import Answer, Egress, Phases, Refused, Unresolvable

NAMES = {
    "public.example": ["93.184.215.14"],
    "six.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "loop.example": ["127.0.0.1"],
    "loop6.example": ["::1"],
    "private.example": ["10.1.2.3"],
    "mixed.example": ["93.184.215.14", "10.0.0.1"],
    "mixed6.example": ["93.184.215.14", "fe80::1%eth0"],
    "metadata.example": ["169.254.169.254"],
    "azure.example": ["168.63.129.16"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "sixtofour.example": ["2002:7f00:1::"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "ula.example": ["fd00:ec2::254"],
    "0x7f.1": ["127.0.0.1"],
    "0x7f000001": ["127.0.0.1"],
    "localhost": ["127.0.0.1", "::1"],
    "localhost.localdomain": ["127.0.0.1"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "empty.example": [],
    "office.example": ["10.9.8.7"],
}

HOSTILE = [
    # loopback in its spellings
    "https://127.0.0.1/", "https://127.0.0.1:8443/", "https://127.1/", "https://127.0.1/",
    "https://2130706433/", "https://0x7f.1/", "https://0x7f000001/", "https://0177.0.0.1/",
    "https://017700000001/", "https://0/", "https://0.0.0.0/", "https://localhost/",
    "https://localhost./", "https://localhost.localdomain/", "https://127.0.0.1.nip.example/",
    "https://127\u30020\u30020\u30021/", "https://\uff11\uff12\uff17.0.0.1/", "https://[::1]/",
    "https://[::]/",
    "https://[::127.0.0.1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/", "https://loop.example/", "https://loop6.example/",
    # metadata
    "https://169.254.169.254/latest/meta-data/", "http://169.254.169.254/", "https://2852039166/",
    "https://[fd00:ec2::254]/", "https://168.63.129.16/", "https://metadata.example/",
    "https://azure.example/", "https://ula.example/", "https://100.100.100.200/",
    # translation and tunnels
    "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::a9fe:a9fe]/", "https://[2002:7f00:1::]/",
    "https://nat64.example/", "https://sixtofour.example/", "https://mapped.example/",
    # private and special
    "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://224.0.0.1/", "https://255.255.255.255/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/", "https://[ff0e::1]/", "https://[5f00::1]/", "https://[3fff::1]/",
    "https://[2001:db8::1]/", "https://private.example/", "https://mixed.example/",
    "https://mixed6.example/",
    # scheme, port, form
    "http://public.example/", "https://public.example:22/", "https://public.example:80/",
    "ftp://public.example/", "file:///etc/passwd", "gopher://public.example/", "unix:///run/x.sock",
    "https://user:pw@public.example/", "https://public.example@127.0.0.1/",
    "https://127.0.0.1#@public.example/", "https://127.0.0.1\\@public.example/", "https:///x",
    "//x", "", "https://", "https://[::1", "https://public.example:99999/",
    "https://pub lic.example/",
    "https://public.example/\r\nx: y", "https://" + "a" * 3000,
]  # fmt: skip


class Recorder:
    """Opens no socket; keeps what would have been dialled, and how often names were asked."""

    def __init__(self) -> None:
        self.dials: list[tuple[str, int]] = []
        self.asked: list[str] = []
        self.answers: dict[str, list[list[str]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if self.answers.get(host):
            return self.answers[host].pop(0)
        if host not in NAMES:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return NAMES[host]

    def open(self, info: tuple[object, object, int, str, tuple[object, ...]]) -> socket.socket:
        self.dials.append((str(info[4][0]), int(str(info[4][1]))))
        raise ConnectionRefusedError("recorded")


def guarded(recorder: Recorder, allow: Sequence[dict[str, object]] = ()) -> GuardedPoster:
    return GuardedPoster(Egress.of(allow, resolve=recorder.resolve), open_socket=recorder.open)


async def ask(poster: GuardedPoster, url: str) -> Answer:
    until = asyncio.get_running_loop().time() + 5
    return await poster.post(url, headers={}, content=b"{}", phases=Phases(), until=until)


async def dial(poster: GuardedPoster, url: str) -> Answer:
    try:
        return await ask(poster, url)
    finally:
        await poster.aclose()


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_never_dialled(url: str) -> None:
    recorder = Recorder()
    with pytest.raises((Refused, Unresolvable, httpx.InvalidURL, httpx.TransportError)):
        await dial(guarded(recorder), url)
    assert recorder.dials == []


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_refused_when_it_is_given(url: str) -> None:
    recorder = Recorder()
    egress = Egress(resolve=recorder.resolve)
    unresolvable = {"https://017700000001/", "https://0/", "https://2852039166/"}
    if url in unresolvable:
        return  # numbers: refused as hosts below
    with pytest.raises(Refused):
        await egress.admit(url)


@pytest.mark.parametrize("host", ["0", "2852039166", "017700000001", "127.1", "0177.0.0.1"])
async def test_a_number_is_not_a_host(host: str) -> None:
    with pytest.raises(Refused):
        await Egress(resolve=Recorder().resolve).admit(f"https://{host}/")


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("https://public.example/", ("93.184.215.14", 443)),
        ("https://public.example:8443/x?y=z", ("93.184.215.14", 8443)),
        ("https://six.example/", ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443)),
        ("https://93.184.215.14/", ("93.184.215.14", 443)),
    ],
)
async def test_a_public_receiver_is_dialled_at_the_judged_address(
    url: str, dialled: tuple[str, int]
) -> None:
    recorder = Recorder()
    with pytest.raises(httpx.ConnectError):
        await dial(guarded(recorder), url)
    assert set(recorder.dials) == {dialled}
    assert len(recorder.asked) <= 1


async def test_a_second_answer_of_a_rebinding_name_is_judged_again() -> None:
    recorder = Recorder()
    recorder.answers["rebind.example"] = [["93.184.215.14"], ["127.0.0.1"]]
    transport = guarded(recorder)
    await Egress(resolve=recorder.resolve).admit("https://rebind.example/")
    with pytest.raises(Refused):
        await dial(transport, "https://rebind.example/")
    assert recorder.dials == []


ALLOW_LOOPBACK = [{"cidr": "127.0.0.0/8", "ports": [9000, "9100-9102"]}]


@pytest.mark.parametrize(
    ("url", "permitted"),
    [
        ("http://127.0.0.1:9000/", True),
        ("http://127.0.0.1:9101/", True),
        ("https://127.0.0.1:9000/", True),
        ("http://127.0.0.1:9001/", False),
        ("http://127.0.0.1/", False),
        ("http://10.0.0.1:9000/", False),
        ("http://loop.example:9000/", True),
        ("http://public.example:9000/", False),
        ("http://localhost:9000/", False),  # it also answers ::1, which is not listed
    ],
)
async def test_the_operators_list_is_the_only_way_to_a_private_receiver(
    url: str, *, permitted: bool
) -> None:
    recorder = Recorder()
    with pytest.raises(httpx.ConnectError if permitted else Refused):
        await dial(guarded(recorder, ALLOW_LOOPBACK), url)
    assert bool(recorder.dials) is permitted


async def test_a_listed_host_is_reached_by_its_name_only() -> None:
    allow = [{"host": "Office.example.", "ports": [8080]}]
    recorder = Recorder()
    with pytest.raises(httpx.ConnectError):
        await dial(guarded(recorder, allow), "http://office.example:8080/")
    assert set(recorder.dials) == {("10.9.8.7", 8080)}
    for url in ("http://10.9.8.7:8080/", "http://private.example:8080/"):
        with pytest.raises(Refused):
            await dial(guarded(recorder, allow), url)
    assert set(recorder.dials) == {("10.9.8.7", 8080)}


async def test_a_wide_entry_does_not_permit_the_metadata_address() -> None:
    wide = Egress.of([{"cidr": "169.254.0.0/16"}])
    exact = Egress.of([{"cidr": "169.254.169.254/32"}])
    with pytest.raises(Refused):
        wide.check_url("http://169.254.169.254/")
    exact.check_url("http://169.254.169.254/")


@pytest.mark.parametrize(
    "entry",
    [{}, {"cidr": "10.0.0.0/8", "host": "x"}, {"cidr": "nonsense"},
     {"cidr": "10.0.0.0/8", "port": 1}, {"host": "x", "ports": [0]}, {"host": "x", "ports": ["a"]},
     {"host": "x", "ports": ["9-1"]}],
)  # fmt: skip
def test_an_entry_that_cannot_be_used_stops_the_start(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"egress|port|appear"):
        Egress.of([entry])


@pytest.mark.parametrize(
    "text",
    ["64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "fec0::1",
     "5f00::1", "3fff::1", "224.0.0.1", "ff0e::1", "192.88.99.1", "168.63.129.16"],
)  # fmt: skip
def test_addresses_that_the_standard_library_calls_global_are_not(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


async def test_a_slow_resolver_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kit.egress.RESOLVE_SECONDS", 0.05)

    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(Unresolvable):
        await Egress(resolve=never).resolve("slow.example", 443, plain=False)


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A receiver that answers with a redirect and a cookie, and tells what it was sent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        told = head.lower()
        extra = b"location: http://169.254.169.254/\r\nset-cookie: a=b; path=/\r\n"
        text = b"cookie" if b"cookie:" in told else b"plain"
        if b"host: receiver.example" not in told:
            text = b"wrong host"
        writer.write(
            b"HTTP/1.1 307 R\r\nconnection: close\r\n"
            + extra
            + b"content-length: %d\r\n\r\n" % len(text)
            + text
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_redirect_is_returned_and_no_cookie_comes_back(
    echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    egress = Egress.of([{"cidr": "127.0.0.1/32"}], resolve=resolve)
    poster = GuardedPoster(egress)
    for _ in range(2):
        answer = await ask(poster, f"http://receiver.example:{echo}/")
        assert (answer.status, answer.body) == (307, b"plain")
    await poster.aclose()
