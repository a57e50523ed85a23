"""The catalogue knows every live id and every name the vendor gave it."""

import json
from pathlib import Path

import pytest

from app.core import catalogue

FIXTURES = Path(__file__).parent.parent / "fixtures" / "graph"
DESIGNED = [
    "exchange-online",
    "microsoft-teams",
    "sharepoint-online",
    "onedrive",
    "entra-id",
    "microsoft-365-suite",
    "microsoft-365-apps",
    "intune",
    "copilot",
    "defender",
    "purview",
    "power-bi",
    "power-platform",
    "viva",
    "dynamics-365",
    "microsoft-365-admin",
    "other",
]


def _live() -> list[tuple[str, str]]:
    pairs = []
    for name in (
        "cli-m365_healthoverviews_29_services.json",
        "healthoverviews_live_names_2024-06_and_2026.json",
    ):
        for entry in json.loads((FIXTURES / name).read_text())["value"]:
            pairs += [
                (entry["id"], text) for text in (entry["service"], *entry.get("formerly", []))
            ]
    return pairs


@pytest.mark.parametrize(("vendor_id", "text"), _live())
def test_every_live_id_and_name_has_one_slug(vendor_id: str, text: str) -> None:
    slug = catalogue.slug_of(vendor_id)
    assert slug != "other"
    assert catalogue.slug_of(text) == slug


@pytest.mark.parametrize("slug", DESIGNED)
def test_the_designed_slugs_exist(slug: str) -> None:
    assert catalogue.is_known(slug)
    assert catalogue.slug_of(slug) == slug


def test_words_belong_to_one_service_only() -> None:
    seen: dict[str, str] = {}
    for service in catalogue.SERVICES:
        for word in {
            w.casefold() for w in (service.slug, service.name, *service.graph_ids, *service.aliases)
        }:
            assert seen.setdefault(word, service.slug) == service.slug


def test_dependencies_are_known_and_free_of_circles() -> None:
    def reach(slug: str) -> set[str]:
        found: set[str] = set()
        waiting = list(catalogue.depends_on(slug))
        while waiting:
            at = waiting.pop()
            if at not in found:
                found.add(at)
                waiting += catalogue.depends_on(at)
        return found

    for service in catalogue.SERVICES:
        assert all(catalogue.is_known(slug) for slug in service.depends_on)
        assert service.slug not in reach(service.slug)


def test_case_and_spaces_do_not_matter_and_unknown_is_other() -> None:
    assert catalogue.slug_of("  EXCHANGE   online ") == "exchange-online"
    assert catalogue.slug_of("Loop Components") == "other"
    assert catalogue.slug_of("") == "other"
    assert not catalogue.is_known("Loop Components")


def test_names_and_features_answer_for_unknown_slugs_too() -> None:
    assert catalogue.display_name("exchange-online") == "Exchange Online"
    assert catalogue.display_name("brand-new") == "brand-new"
    assert catalogue.depends_on("brand-new") == ()
    assert catalogue.features_of("brand-new") == ()
    assert "outlook-web" in catalogue.features_of("exchange-online")
