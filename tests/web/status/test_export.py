"""The exported page: whole, self-contained, renewed by difference, and never over others' files."""

import asyncio
import hashlib
import re
import subprocess
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urljoin

import pytest

from app import cli_status
from app.api.picture import Pictures
from app.cli import _parser, main
from app.core.errors import SettingsError
from app.web.status.export import export
from app.web.status.reading import Sources, read_status
from app.web.status.site import Look, Site
from tests.builders import TENANT
from tests.web.status.stage import BASE, LATER, NUMBER, SECRETS, a_context, keep_outage

LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1"/></svg>'


async def a_site(context, made_at=LATER, address: str = "") -> Site:
    pictures = Pictures(context)
    tenant = context.settings.tenants[0]
    sources = Sources(db=context.db, clock=context.clock, pictures=pictures)
    views = await read_status(sources, tenant)
    look = Look(live=False, root="", address=address, made_at=made_at, renewed_seconds=60)
    return Site(views=views, settings=tenant.status, look=look)


@pytest.fixture
def context(sqlite_database, tmp_path):
    logo = tmp_path / "logo.svg"
    logo.write_text(LOGO)
    status = {"access": "public", "logo_file": str(logo), "colour": "#ffe000"}
    return a_context(sqlite_database, {"id": TENANT, "name": "Contoso", "status": status})


def names_in(directory):
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


async def test_every_link_leads_to_a_file_of_the_export(context, tmp_path) -> None:
    await keep_outage(context)
    place = tmp_path / "out"
    export(await a_site(context), place)
    names = names_in(place)
    assert {"index.html", f"incidents/{NUMBER}.html", "feed.atom", "logo.svg"} <= names
    assert not [name for name in names if name.endswith(".tmp")]
    for name in names:
        content = (place / name).read_text("utf-8", errors="replace")
        assert [word for word in SECRETS if word.lower() in content.lower()] == [], name
        if not name.endswith(".html"):
            continue
        for link in re.findall(r'(?:href|src)="([^"#]+)"', content):
            assert not link.startswith(("http", "/")), (name, link)
            found = urljoin(f"http://x/{name}", link).removeprefix("http://x/")
            assert found in names, (name, link)


async def test_the_manifest_holds_for_the_tool_that_reads_it(context, tmp_path) -> None:
    await keep_outage(context)
    place = tmp_path / "out"
    done = export(await a_site(context), place)
    assert done.files == len(names_in(place)) == done.written
    sums = dict(
        reversed(line.split("  ", 1)) for line in (place / "SHA256SUMS").read_text().splitlines()
    )
    assert sums.keys() == names_in(place) - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
    checked = _checked(place)
    assert checked.returncode == 0


def _checked(place):
    command = ["sha256sum", "-c", "--quiet", "SHA256SUMS"]
    return subprocess.run(command, cwd=place, check=False)


async def test_only_what_differs_is_written_again_and_what_is_gone_goes(context, tmp_path) -> None:
    await keep_outage(context)
    place = tmp_path / "out"
    export(await a_site(context), place)
    before = {name: (place / name).stat().st_mtime_ns for name in names_in(place)}
    again = export(await a_site(context), place)
    assert (again.written, again.removed) == (0, 0)
    later = export(await a_site(context, LATER + timedelta(minutes=1)), place)
    changed = {
        name for name in names_in(place) if (place / name).stat().st_mtime_ns != before[name]
    }
    assert changed == {"index.html", f"incidents/{NUMBER}.html", "SHA256SUMS"}
    assert later.written == 3
    site = await a_site(context)
    views = {"en": replace(site.views["en"], incidents=())}
    gone = export(replace(site, views=views), place)
    assert gone.removed == 1
    assert f"incidents/{NUMBER}.html" not in names_in(place)


async def test_a_directory_of_somebody_else_is_left_alone(context, tmp_path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(SettingsError, match="no export of ours"):
        export(await a_site(context), tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


async def test_a_manifest_that_names_other_places_deletes_nothing_there(context, tmp_path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("x")
    place = tmp_path / "out"
    place.mkdir()
    (place / "SHA256SUMS").write_text(f"00  ../precious.txt\n00  {precious}\n")
    export(await a_site(context), place)
    assert precious.exists()


async def test_the_age_stands_in_every_page_for_its_script(context, tmp_path) -> None:
    await keep_outage(context)
    export(await a_site(context), tmp_path / "out")
    for name in ("index.html", f"incidents/{NUMBER}.html"):
        page = (tmp_path / "out" / name).read_text()
        assert 'data-made-at="2026-03-16T07:00:00Z" data-stale-seconds="240"' in page
        assert "As of <time" in page
        assert "16 March 2026, 07:00 UTC" in page
    assert "--brand: #ffe000; --brand-ink: #000000" in (tmp_path / "out/brand.css").read_text()


def test_the_command_says_when_there_is_no_page_to_export(tmp_path, capsys) -> None:
    config = tmp_path / "sextant.toml"
    config.write_text('[[tenants]]\nid = "contoso"\n[[tenants]]\nid = "fabrikam"\n')
    assert main(["status", "export", str(tmp_path / "out"), "--config", str(config)]) == 1
    assert "access" in capsys.readouterr().err


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a file rings no bell
            await asyncio.sleep(0.02)


async def test_it_goes_on_and_renews_what_changed(tmp_path) -> None:
    config = tmp_path / "sextant.toml"
    url = f"sqlite:///{tmp_path / 'x.db'}"
    config.write_text(f'[database]\nurl = "{url}"\n[[tenants]]\nid = "contoso"\n')
    out = tmp_path / "out"
    asked = ["status", "export", str(out), "--config", str(config), "--url", f"{BASE}/"]
    wanted = _parser().parse_args(asked)
    wanted.every = 0.05
    index, manifest = out / "index.html", out / "SHA256SUMS"
    going = asyncio.create_task(cli_status._export(wanted))
    try:
        await until(lambda: manifest.is_file() and manifest.read_bytes())
        assert "Nothing is known yet" in index.read_text()
        index.write_text("spoiled")
        await until(lambda: index.read_text() != "spoiled")
        assert f'href="{BASE}/feed.atom"' in (out / "feed.atom").read_text()
    finally:
        going.cancel()
        with suppress(asyncio.CancelledError):
            await going
