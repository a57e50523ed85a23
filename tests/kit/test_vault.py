"""Secrets at rest."""

import pytest

from app.kit.vault import Unsealable, Vault


def test_what_is_sealed_opens_with_the_same_key_only() -> None:
    sealed = Vault("one").seal("whsec_x")
    assert "whsec" not in sealed
    assert Vault("one").open(sealed) == "whsec_x"
    with pytest.raises(Unsealable):
        Vault("two").open(sealed)
    with pytest.raises(Unsealable):
        Vault("one").open("not sealed at all")


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Vault("")
