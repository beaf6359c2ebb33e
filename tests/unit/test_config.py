"""Settings: precedence, parsing, all problems at once, and that the tables are whole."""

import argparse
from dataclasses import fields
from pathlib import Path

import pytest

from driver.config import (
    PROVIDER_OPTIONS,
    SYNC_OPTIONS,
    ProviderSettings,
    SyncSettings,
    provider_settings,
    sync_settings,
)
from driver.errors import Failures, InvalidInput
from driver.options import add_flags


def test_a_flag_wins_over_its_variable_and_a_variable_over_the_default() -> None:
    environ = {"KEYFERRY_FRESHNESS": "10s", "KEYFERRY_GRACE": "5s"}
    settings = provider_settings({"freshness": "1s"}, environ)
    assert (settings.freshness, settings.grace, settings.mount_budget) == (1, 5, 25)


def test_the_fields_own_variables_are_read_when_ours_are_not_set() -> None:
    assert provider_settings({}, {"AWS_REGION": "eu-west-1", "NODE_NAME": "n1"}).region == "eu-west-1"
    assert provider_settings({}, {"AWS_REGION": "a", "KEYFERRY_REGION": "b"}).region == "b"


def test_an_empty_variable_counts_as_not_set_and_an_empty_flag_as_given() -> None:
    assert provider_settings({"metrics_address": ""}, {"KEYFERRY_FRESHNESS": ""}).metrics_address == ""


def test_all_wrong_settings_are_named_at_once_with_where_they_came_from() -> None:
    with pytest.raises(Failures) as caught:
        provider_settings({"freshness": "soon", "workers": "0"}, {"KEYFERRY_PROVIDER_NAME": "a.b"})
    assert [error.subject for error in caught.value.errors] == ["--freshness", "--workers", "KEYFERRY_PROVIDER_NAME"]


@pytest.mark.parametrize("text", ["169.254.170.23", "ftp://x", "http://"])
def test_the_agents_addresses_must_be_web_addresses(text: str) -> None:
    with pytest.raises(InvalidInput, match="http"):
        provider_settings({"pod_identity_endpoint": text}, {})


def test_every_option_has_a_field_a_flag_and_a_default_that_parses() -> None:
    assert [option.field for option in PROVIDER_OPTIONS] == [field.name for field in fields(ProviderSettings)]
    assert [option.field for option in SYNC_OPTIONS] == [field.name for field in fields(SyncSettings)]
    assert provider_settings({}, {}).provider_volume == Path("/var/run/secrets-store-csi-providers")


def test_help_of_a_command_shows_flag_variable_and_default() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, PROVIDER_OPTIONS)
    text = " ".join(parser.format_help().split())
    assert all(option.flag in text and option.variable in text for option in PROVIDER_OPTIONS)
    assert "default: 30s" in text


@pytest.mark.parametrize(("words", "leader"), [([], True), (["--leader-elect"], True), (["--no-leader-elect"], False)])
def test_a_switch_is_turned_on_and_off_by_its_flag(words: list[str], leader: bool) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, SYNC_OPTIONS)
    assert sync_settings(vars(parser.parse_args(words)), {}).leader_elect is leader


def test_a_switch_is_turned_off_by_its_variable_and_takes_no_other_word() -> None:
    assert sync_settings({}, {"KEYFERRY_LEADER_ELECT": "false"}).leader_elect is False
    with pytest.raises(InvalidInput, match="true or false"):
        sync_settings({}, {"KEYFERRY_RESTARTS": "yes"})
