"""2,000 checks a minute from one process: what they cost, and whether they keep their slots.

Method. ``serve`` with 2,000 checks of 60 s at ten locations, each with a control check, against the
stand-ins' doors in a process of their own on loopback: HTTPS front doors with a fresh TLS
connection each (half), TLS, TCP, IMAP over TLS, SMTP with STARTTLS. After a minute in which all
have run once, results per minute are read from the intake log and processor time from the kernel,
for ``serve`` with all that it does besides: storing, folding, detecting. Then the mail doors fall
silent, so that a fifth of the checks run into their limits: the rest must keep its slots.
"""

import asyncio
import json
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rig import ROOT, running, start_sextant, write_settings
from tests.standins.ca import Certificates, create
from tests.standins.mail_door import Mood, mail_doors

CHECKS = 2000
LOCATIONS = 10
ANSWER = (
    b"HTTP/1.1 302 Found\r\nlocation: https://login.example/authorize\r\n"
    b"x-feserver: AM0PR01CA0001\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
KINDS = ("owa", "owa", "owa", "owa", "owa", "tls", "tls", "tcp", "imap", "smtp")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
    except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _serve(files: Certificates) -> None:
    """Serve all doors until stdin ends; a line on it says how the mail doors behave."""
    context = files.server_context()
    web = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context, backlog=1024)
    async with mail_doors(context) as opener:
        imap, smtp = await opener("imap", secure=True), await opener("smtp")
        ports = {"web": web.sockets[0].getsockname()[1], "imap": imap.port, "smtp": smtp.port}
        print(json.dumps(ports), flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            imap.mood = smtp.mood = Mood(line)


@contextmanager
def _doors(folder: Path) -> Iterator[tuple[dict[str, int], subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "bench.probes", str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.wait()


def _settings(folder: Path, ports: dict[str, int], ca_file: Path) -> Path:
    file = write_settings(folder)
    targets = {
        "owa": f"https://localhost:{ports['web']}/owa/",
        "tls": f"localhost:{ports['web']}",
        "tcp": f"localhost:{ports['web']}",
        "imap": f"localhost:{ports['imap']}",
        "smtp": f"localhost:{ports['smtp']}",
    }
    parts = [file.read_text()]
    for number in range(CHECKS):
        kind = KINDS[number % len(KINDS)]
        place = f"place-{number // len(KINDS) % LOCATIONS}"
        more = 'security = "tls"\n' if kind == "imap" else ""
        parts.append(
            f'[[tenants.probes]]\nname = "check-{number}"\ncheck = "{kind}"\n{more}'
            f'target = "{targets[kind]}"\nlocation = "{place}"\nservice = "exchange-online"\n'
            f'ca_file = "{ca_file}"\n'
        )
    parts += [
        f'[[tenants.probes]]\nname = "control"\ncheck = "control"\nlocation = "place-{number}"\n'
        f'targets = ["localhost:{ports["web"]}"]\n'
        for number in range(LOCATIONS)
    ]
    file.write_text("\n".join(parts))
    return file


def _stored(folder: Path) -> int:
    with sqlite3.connect(f"file:{folder}/bench.db?mode=ro", uri=True) as connection:
        query = "SELECT coalesce(sum(count), 0) FROM intake WHERE kind = 'probe_result'"
        return int(connection.execute(query).fetchone()[0])


def measure(seconds: float) -> dict[str, Any]:
    """Run the checks; per side the results a minute, the processor's share, and the memory."""
    found: dict[str, Any] = {"checks": CHECKS, "locations": LOCATIONS}
    with tempfile.TemporaryDirectory() as name, _doors(Path(name)) as (ports, doors):
        folder = Path(name)
        settings = _settings(folder, ports, folder / "ca.pem")
        with running(start_sextant(settings)) as process:
            time.sleep(60)
            for side, mood in (("well", None), ("a fifth hangs", Mood.SILENT)):
                if mood is not None and doors.stdin is not None:
                    doors.stdin.write(f"{mood.value}\n")
                    doors.stdin.flush()
                    time.sleep(20)
                stored, cpu, began = _stored(folder), process.cpu(), time.perf_counter()
                time.sleep(seconds)
                took = time.perf_counter() - began
                found[side] = {
                    "a_minute": round((_stored(folder) - stored) / took * 60),
                    "cpu_share": round((process.cpu() - cpu) / took, 3),
                    "rss": round(process.rss(), 1),
                }
    return found


if __name__ == "__main__":
    asyncio.run(_serve(create(Path(sys.argv[1]))))
