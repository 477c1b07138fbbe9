"""Profiles: which source wins, what conflicts, and what the user reads if the configuration file cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import ConfigurationError, CredentialsError, sandbox
from profile_helpers import ACME, BEARER, GOV, NAMED, write_profiles
from support import ACCESS_ID, ACCESS_KEY, run_python, run_shell

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

CONSTRUCTORS = [lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth, lmtokens.configure]
OTHER_ID = "exampleAccessId00002"
OTHER_KEY = "invented-other-key"
PAIR: dict[str, Any] = {"access_id": OTHER_ID, "access_key": OTHER_KEY}
AT_ACME = "https://acme.logicmonitor.com/santaba/rest"
AT_OTHER = "https://other.logicmonitor.com/santaba/rest"
AT_GOV = "https://acme.lmgov.us/santaba/rest"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file with two profiles and no default."""
    path = write_profiles(tmp_path / "config.toml", acme=ACME, gov=GOV)
    monkeypatch.setenv("LM_CONFIG_FILE", str(path))
    return path


def set_all(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("construct", CONSTRUCTORS)
def test_named_profile_is_used_and_reported(config: Path, construct: Any) -> None:
    assert f"{AT_ACME}, LMv1 from profile acme in {NAMED}>" in repr(construct(profile="acme"))
    shown = repr(construct(profile="gov"))
    assert f"https://acme.lmgov.us/santaba/rest, bearer from profile gov in {NAMED}>" in shown


@pytest.mark.parametrize("construct", CONSTRUCTORS)
def test_profile_of_the_variable_is_used(config: Path, construct: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_PROFILE", "gov")
    assert f"bearer from profile gov in {NAMED}>" in repr(construct())
    # The argument takes precedence.
    assert f"LMv1 from profile acme in {NAMED}>" in repr(construct(profile="acme"))


@pytest.mark.parametrize("construct", CONSTRUCTORS)
def test_default_profile_is_used_if_nothing_else_has_credentials(config: Path, construct: Any) -> None:
    with pytest.raises((ConfigurationError, CredentialsError)):
        construct()
    write_profiles(config, "gov", acme=ACME, gov=GOV)
    assert f"bearer from profile gov in {NAMED}>" in repr(construct())
    assert f"LMv1 from profile acme in {NAMED}>" in repr(construct(profile="acme"))


def test_request_is_sent_with_a_profile(config: Path, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    token = lmtokens_portal.create_token(1)
    sandbox = {
        "base_url": lmtokens_portal.base_url,
        "access_id": str(token.access_id),
        "access_key": token.access_key.reveal(),
    }
    write_profiles(config, sandbox=sandbox)
    # The fixture removed it, and set credentials.
    monkeypatch.setenv("LM_CONFIG_FILE", str(config))
    who = lmtokens.Client(profile="sandbox").whoami()
    source = f"profile sandbox in {NAMED}"
    assert (who.portal_from, who.credentials_from, who.token_id) == (source, source, token.id)
    assert who.ignored_sources == ["LM_COMPANY", "LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY"]
    assert run_shell("add", "32", "--profile", "sandbox", "-o", "json").returncode == 0
    assert lmtokens_portal.record[-1].token_id == token.id


def test_rejected_credentials_name_the_profile_and_the_ignored_variables(
    config: Path, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles(config, sandbox={**ACME, "base_url": lmtokens_portal.base_url})
    monkeypatch.setenv("LM_CONFIG_FILE", str(config))
    with pytest.raises(lmtokens.AuthenticationError) as caught:
        lmtokens.Client(profile="sandbox").whoami()
    shown = f"{caught.value} {caught.value.suggestion}"
    assert f"credentials from profile sandbox in {NAMED}" in shown
    assert "LM_ACCESS_KEY is also set, but was ignored" in shown
    assert ACCESS_KEY not in shown


# What is set, and what is used: the portal and the source of the credentials. A profile is named by the argument
# ``profile``, by the variable ``LM_PROFILE`` or by ``default`` in the file.
WINNERS: list[tuple[dict[str, str], dict[str, str], str | None, str, str]] = [
    # arguments and a profile
    ({"company": "other", **PAIR}, {}, "acme", AT_OTHER, "LMv1 from arguments"),
    ({"company": "other", **PAIR}, {"LM_PROFILE": "acme"}, None, AT_OTHER, "LMv1 from arguments"),
    ({"company": "other", "profile": "acme", **PAIR}, {}, None, AT_OTHER, "LMv1 from arguments"),
    ({"profile": "acme", **PAIR}, {}, None, AT_ACME, "LMv1 from arguments"),
    ({**PAIR}, {"LM_PROFILE": "acme"}, None, AT_ACME, "LMv1 from arguments"),
    # The company of the profile, in another spelling.
    ({"company": "acme.logicmonitor.com"}, {"LM_PROFILE": "acme"}, None, AT_ACME, "LMv1 from profile acme"),
    # the environment and a profile
    (
        {},
        {"LM_COMPANY": "other", "LM_ACCESS_ID": OTHER_ID, "LM_ACCESS_KEY": OTHER_KEY},
        "acme",
        AT_OTHER,
        "LMv1 from environment (LM_ACCESS_ID, LM_ACCESS_KEY)",
    ),
    ({}, {"LM_COMPANY": "other", "LM_BEARER_TOKEN": BEARER}, "acme", AT_OTHER, "bearer from environment"),
    (
        {"profile": "acme"},
        {"LM_COMPANY": "other", "LM_ACCESS_ID": OTHER_ID, "LM_ACCESS_KEY": OTHER_KEY},
        None,
        AT_ACME,
        "LMv1 from profile acme",
    ),
    # What a named profile replaces may be invalid.
    (
        {"profile": "acme"},
        {"LM_COMPANY": "a/b", "LM_DOMAIN_NAME": "?", "LM_ACCESS_ID": "half", "LM_ACCESS_KEY_FILE": "/nonexistent"},
        None,
        AT_ACME,
        "LMv1 from profile acme",
    ),
    ({}, {"LM_PROFILE": "acme", "LM_COMPANY": "other"}, None, AT_ACME, "LMv1 from profile acme"),
    ({}, {"LM_COMPANY": "acme"}, "acme", AT_ACME, "LMv1 from profile acme"),
    # A company without a domain is in that of the profile.
    ({"company": "acme", "profile": "gov"}, {}, None, AT_GOV, "bearer from profile gov"),
    ({"company": "acme"}, {"LM_PROFILE": "gov"}, None, AT_GOV, "bearer from profile gov"),
    ({"company": "acme"}, {}, "gov", AT_GOV, "bearer from profile gov"),
    ({}, {"LM_COMPANY": "acme"}, "gov", AT_GOV, "bearer from profile gov"),
    ({}, {"LM_DOMAIN_NAME": "lmgov.us"}, "gov", AT_GOV, "bearer from profile gov"),
    ({"company": "acme", "profile": "gov", **PAIR}, {}, None, AT_GOV, "LMv1 from arguments"),
    ({"company": "other.logicmonitor.com", "profile": "gov", **PAIR}, {}, None, AT_OTHER, "LMv1 from arguments"),
    # two profiles
    ({"profile": "acme"}, {"LM_PROFILE": "gov"}, "gov", AT_ACME, "LMv1 from profile acme"),
    ({}, {"LM_PROFILE": "acme"}, "gov", AT_ACME, "LMv1 from profile acme"),
]


@pytest.mark.parametrize(("arguments", "variables", "default", "portal", "source"), WINNERS)
def test_first_complete_source_wins(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    variables: dict[str, str],
    default: str | None,
    portal: str,
    source: str,
) -> None:
    write_profiles(config, default, acme=ACME, gov=GOV)
    set_all(monkeypatch, **variables)
    shown = repr(lmtokens.Client(**arguments))
    assert f"Client {portal}," in shown
    assert source in shown


CONFLICTS: list[tuple[dict[str, str], dict[str, str], str | None, str]] = [
    ({}, {"LM_PROFILE": "acme", "LM_ACCESS_ID": OTHER_ID}, None, "LM_PROFILE and LM_ACCESS_ID are both set"),
    ({}, {"LM_PROFILE": "acme", "LM_ACCESS_KEY": OTHER_KEY}, None, "LM_PROFILE and LM_ACCESS_KEY are both set"),
    ({}, {"LM_PROFILE": "acme", "LM_API_KEY": OTHER_KEY}, None, "LM_PROFILE and LM_API_KEY are both set"),
    ({}, {"LM_PROFILE": "acme", "LM_BEARER_TOKEN": BEARER}, None, "LM_PROFILE and LM_BEARER_TOKEN are both set"),
    ({}, {"LM_PROFILE": "acme", "LM_ACCESS_KEY_FILE": "/x"}, None, "LM_PROFILE and LM_ACCESS_KEY_FILE are both set"),
    ({}, {"LM_PROFILE": "acme", "LM_BEARER_TOKEN_FILE": "/x"}, None, "LM_BEARER_TOKEN_FILE are both set"),
    # Credentials of a profile are for its own portal only.
    ({"profile": "acme", "company": "other"}, {}, None, f"are for {AT_ACME}, but the portal from arguments is"),
    ({"company": "other"}, {}, "acme", f"are for {AT_ACME}, but the portal from arguments is {AT_OTHER}"),
    ({}, {"LM_COMPANY": "other"}, "acme", r"but the portal from environment \(LM_COMPANY\) is"),
    (
        {},
        {"LM_BASE_URL": "http://127.0.0.1:9/santaba/rest"},
        "acme",
        r"but the portal from environment \(LM_BASE_URL\)",
    ),
    ({"profile": "acme", "domain": "lmgov.us", "company": "acme"}, {}, None, "but the portal from arguments is"),
    ({"profile": "acme", "domain": "lmgov.us"}, {}, None, f"but the portal from arguments is {AT_GOV}"),
    ({"domain": "lmgov.us"}, {"LM_PROFILE": "acme"}, None, f"but the portal from arguments is {AT_GOV}"),
    ({"domain": "lmgov.us"}, {}, "acme", f"but the portal from arguments is {AT_GOV}"),
    ({}, {"LM_DOMAIN_NAME": "lmgov.us"}, "acme", rf"from environment \(LM_DOMAIN_NAME\) is {AT_GOV}"),
    ({}, {"LM_COMPANY": "acme", "LM_DOMAIN_NAME": "lmgov.us"}, "acme", rf"from environment \(LM_COMPANY\) is {AT_GOV}"),
    ({"company": "acme.logicmonitor.com"}, {}, "gov", f"are for {AT_GOV}, but the portal from arguments is {AT_ACME}"),
    # The default profile is used as a whole or not at all.
    ({}, {"LM_ACCESS_ID": OTHER_ID, "LM_ACCESS_KEY": OTHER_KEY}, "acme", "company is missing"),
    ({**PAIR}, {}, "acme", "company is missing"),
]


@pytest.mark.parametrize("construct", CONSTRUCTORS)
@pytest.mark.parametrize(("arguments", "variables", "default", "message"), CONFLICTS)
def test_sources_that_contradict_each_other_are_refused(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    construct: Any,
    arguments: dict[str, Any],
    variables: dict[str, str],
    default: str | None,
    message: str,
) -> None:
    write_profiles(config, default, acme=ACME, gov=GOV)
    set_all(monkeypatch, **variables)
    with pytest.raises(ConfigurationError, match=message):
        construct(**arguments)


def test_shell_sends_credentials_of_a_profile_to_its_domain_only(config: Path) -> None:
    for environment, words in (({}, ["--profile", "acme"]), ({"LM_PROFILE": "acme"}, [])):
        for command in (["add", "32", "--dry-run"], ["whoami"]):
            refused = run_shell(*command, *words, "--domain", "evil.example", environment=environment)
            assert refused.returncode == 2
            assert "but the portal from arguments is https://acme.evil.example/" in refused.stderr
            assert refused.stdout == ""


def test_domain_beside_a_default_profile_with_a_base_url_is_reported(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sandbox.Portal() as portal:
        pair = {"access_id": portal.access_id, "access_key": portal.access_key.reveal()}
        write_profiles(config, "sandbox", sandbox={**pair, "base_url": portal.base_url})
        assert lmtokens.Client().whoami().ignored_sources == []
        monkeypatch.setenv("LM_DOMAIN_NAME", "lmgov.us")
        assert lmtokens.Client().whoami().ignored_sources == ["LM_DOMAIN_NAME"]


@pytest.mark.parametrize(
    ("profile", "error", "message"),
    [
        ({"company": "acme", "access_id": ACCESS_ID}, CredentialsError, "access_key is missing"),
        ({"company": "acme", "access_key": ACCESS_KEY}, CredentialsError, "access_id is missing"),
        ({**ACME, "bearer_token": BEARER}, CredentialsError, "expected one kind of credentials"),
        ({**ACME, "access_id": ACCESS_KEY, "access_key": ACCESS_ID}, CredentialsError, "swapped"),
        ({**ACME, "access_key": f"{ACCESS_KEY}\n"}, CredentialsError, "line break"),
        ({**ACME, "company": "a/b"}, ConfigurationError, "invalid company"),
        ({**ACME, "company": "${COMPANY}"}, ConfigurationError, "placeholder"),
        ({**ACME, "base_url": "http://example.com/santaba/rest"}, ConfigurationError, "TLS only"),
    ],
)
def test_invalid_setting_of_a_profile_names_its_source(
    config: Path, monkeypatch: pytest.MonkeyPatch, profile: dict[str, str], error: type[Exception], message: str
) -> None:
    write_profiles(config, bad=profile, acme=ACME)
    with pytest.raises(error, match=rf"{message}.* \(from profile bad in {NAMED}\)") as caught:
        lmtokens.Client(profile="bad")
    assert not any(value in str(caught.value) for value in (ACCESS_ID, ACCESS_KEY, BEARER))
    assert "from profile acme" in repr(lmtokens.Client(profile="acme"))


def test_half_a_pair_of_a_profile_is_not_completed_from_another_source(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profiles(config, "half", half={"company": "acme", "access_id": ACCESS_ID})
    monkeypatch.setenv("LM_COMPANY", "acme")
    with pytest.raises(CredentialsError, match="access_key is missing"):
        lmtokens.Client()
    with pytest.raises(CredentialsError, match="access_id is missing"):
        lmtokens.Client(profile="half", access_key=ACCESS_KEY)


def test_profile_may_have_an_address_only_or_credentials_only(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profiles(config, address={"company": "acme"}, credentials=PAIR)
    with pytest.raises(CredentialsError, match=f"no credentials in profile address in {NAMED}"):
        lmtokens.Client(profile="address")
    assert f"{AT_ACME}, LMv1 from arguments" in repr(lmtokens.Client(profile="address", **PAIR))
    with pytest.raises(ConfigurationError, match="company is missing"):
        lmtokens.Client(profile="credentials")
    assert f"{AT_OTHER}, LMv1 from profile" in repr(lmtokens.Client("other", profile="credentials"))
    # A profile that is named turns the address of the environment off, too.
    monkeypatch.setenv("LM_COMPANY", "other")
    with pytest.raises(ConfigurationError, match="company is missing"):
        lmtokens.Client(profile="credentials")


@pytest.mark.parametrize("domain", ["evil.example", "xlmgov.us"])
def test_credentials_of_a_profile_without_a_company_stay_in_its_domain(config: Path, domain: str) -> None:
    write_profiles(config, "dom", dom={"domain": "lmgov.us", "bearer_token": BEARER})
    expected = "profile dom in .* are for lmgov.us, but the portal from arguments is"
    for settings in (
        {"profile": "dom", "domain": domain},
        {"profile": "dom", "base_url": f"https://acme.{domain}/santaba/rest"},
    ):
        with pytest.raises(ConfigurationError, match=expected):
            lmtokens.Client(**({"company": "acme"} | settings))  # type: ignore[arg-type]
    assert AT_GOV in repr(lmtokens.Client("acme", profile="dom"))


def test_domain_argument_replaces_that_of_a_profile(config: Path) -> None:
    address = {"company": "acme", "domain": "lmgov.us"}
    write_profiles(config, address=address, url={"base_url": f"{AT_ACME}"})
    assert "https://acme.lmgov.us/" in repr(lmtokens.Client(profile="address", **PAIR))
    assert AT_ACME in repr(lmtokens.Client(profile="address", domain="logicmonitor.com", **PAIR))
    with pytest.raises(ConfigurationError, match="domain cannot be combined with the base_url of profile url"):
        lmtokens.Client(profile="url", domain="lmgov.us", **PAIR)


@pytest.mark.parametrize("argument", [1, b"acme", ["acme"]])
def test_name_of_another_type_is_refused(config: Path, argument: Any) -> None:
    with pytest.raises(TypeError, match="profile must be a str"):
        lmtokens.Client(profile=argument)


def test_unknown_profile_lists_the_known_ones(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=rf"unknown profile: {NAMED} has acme, gov") as caught:
        lmtokens.Client(profile="lmb_marker")
    assert "marker" not in str(caught.value)
    monkeypatch.setenv("LM_PROFILE", "lmb_marker")
    with pytest.raises(ConfigurationError, match=rf"unknown profile in LM_PROFILE: {NAMED} has acme, gov"):
        lmtokens.Client()
    monkeypatch.delenv("LM_PROFILE")
    write_profiles(config, "marker", acme=ACME)
    with pytest.raises(ConfigurationError, match=rf"unknown profile as default of {NAMED}: {NAMED} has acme$"):
        lmtokens.Client()


def test_profile_without_a_configuration_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="unknown profile: the configuration file does not exist") as caught:
        lmtokens.Client(profile="acme")
    assert "lmtokens profile add" in str(caught.value.suggestion)
    monkeypatch.setenv("LM_CONFIG_FILE", "/nonexistent/marker")
    with pytest.raises(ConfigurationError, match="cannot read the file that LM_CONFIG_FILE names: No such") as caught:
        lmtokens.Client("acme")
    assert "marker" not in str(caught.value)


def test_file_is_found_where_programs_keep_their_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xdg, home = tmp_path / "xdg", tmp_path / "home"
    write_profiles(xdg / "lmtokens" / "config.toml", one=ACME)
    write_profiles(home / ".config" / "lmtokens" / "config.toml", two=ACME)
    set_all(monkeypatch, XDG_CONFIG_HOME=str(xdg), HOME=str(home))
    assert f"profile one in {xdg}/lmtokens/config.toml" in repr(lmtokens.Client(profile="one"))
    for unusable in ("", "relative"):
        monkeypatch.setenv("XDG_CONFIG_HOME", unusable)
        assert f"profile two in {home}/.config/lmtokens/config.toml" in repr(lmtokens.Client(profile="two"))
    for home in (tmp_path / "nowhere", Path("/dev/null")):
        monkeypatch.setenv("HOME", str(home))
        with pytest.raises(CredentialsError, match="no credentials"):
            lmtokens.Client("acme")
    monkeypatch.delenv("HOME")
    with pytest.raises(ConfigurationError, match="unknown profile"):
        lmtokens.Client(profile="two")


def test_file_is_not_read_if_it_is_not_needed(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("not TOML")
    assert "from arguments" in repr(lmtokens.Client("acme", **PAIR))
    set_all(monkeypatch, LM_COMPANY="acme", LM_ACCESS_ID=OTHER_ID, LM_ACCESS_KEY=OTHER_KEY)
    assert "from environment" in repr(lmtokens.Client())
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        lmtokens.Client(profile="acme")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o666])
def test_profiles_that_others_can_access_are_refused(config: Path, mode: int) -> None:
    config.chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"{NAMED} holds secrets, and .* \(mode {mode:03o}\)") as caught:
        lmtokens.Client(profile="acme")
    assert "chmod 600" in str(caught.value.suggestion)
    completed = run_shell("add", "32", "--profile", "gov")
    assert completed.returncode == 2
    assert "holds secrets" in completed.stderr
    # Without secrets, others may read it.
    write_profiles(config, acme={"company": "acme"}).chmod(0o644)
    assert AT_ACME in repr(lmtokens.Client(profile="acme", **PAIR))


@pytest.mark.parametrize("mode", [0o666, 0o622, 0o664])
def test_file_that_others_can_change_is_refused(config: Path, mode: int) -> None:
    # They could send the caller's own credentials to another portal.
    write_profiles(config, "address", address={"company": "acme"}).chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"other users can change {NAMED} \(mode {mode:03o}\)") as caught:
        lmtokens.Client(profile="address", **PAIR)
    assert "chmod go-w" in str(caught.value.suggestion)
    for words in (["list"], ["show"], ["default", "address"]):
        assert "other users can change" in run_shell("profile", *words).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_file_of_another_user_is_refused(config: Path) -> None:
    os.chown(write_profiles(config, "address", address={"company": "acme"}), 65534, -1)
    with pytest.raises(ConfigurationError, match=rf"{NAMED} belongs to another user \(id 65534\)"):
        lmtokens.Client(profile="address", **PAIR)
    refused = run_shell("profile", "default", "address")
    assert "belongs to another user" in refused.stderr
    assert config.stat().st_uid == 65534


def test_file_behind_a_symbolic_link_is_read(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = config.with_name("link.toml")
    link.symlink_to(config)
    monkeypatch.setenv("LM_CONFIG_FILE", str(link))
    assert "from profile acme" in repr(lmtokens.Client(profile="acme"))
    config.chmod(0o644)
    with pytest.raises(ConfigurationError, match="holds secrets"):
        lmtokens.Client(profile="acme")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[profiles.acme]\naccess_key = markerkey\n", "is not valid TOML: syntax error in line 2"),
        ('[profiles.acme]\n\naccess_key = "markerkey\n', "is not valid TOML: syntax error in line 3"),
        ('[profiles.acme]\naccess_key = "a"\naccess_key = "markerkey"\n', "is not valid TOML: syntax error in line 3"),
        (
            '[profiles.acme]\ncompany = "acme"\n\nmarkerkey = "x"\n',
            "profile acme has an unknown key, expected company, ",
        ),
        (
            '[profiles.acme]\ncompany = "acme"\naccess_key = 1234567\n',
            "access_key of profile acme is not a string in line",
        ),
        ('[profiles.acme]\naccess_key = ["markerkey"]\n', "access_key of profile acme is not a string in line 2"),
        ('profile = "markerkey"\n', "the file has an unknown key, expected default, profiles in line 1"),
        ('profiles = "markerkey"\n', "profiles is not a table in line 1"),
        ('[profiles]\nacme = "markerkey"\n', "profile acme is not a table in line 2"),
        ('[profiles."marker key"]\n', "the name of a profile is not 1 to 64 letters, .* in line 1"),
        ('[profiles."a\\u001b[2J"]\n', "the name of a profile is not 1 to 64 letters, .* in line 1"),
        ('[profiles."acme.pending"]\n', "the name of a profile is not .* without .pending at the end in line 1"),
        ("\ufeff\nmarkerkey", "is not valid TOML"),
    ],
)
def test_invalid_file_is_refused_without_repeating_it(config: Path, text: str, message: str) -> None:
    config.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message) as caught:
        lmtokens.Client(profile="acme")
    error = caught.value
    completed = run_shell("add", "32", "--profile", "acme")
    assert completed.returncode == 2
    shown = f"{error!r} {error.suggestion} {error.__cause__!r} {completed.stdout} {completed.stderr}"
    assert not any(part in shown for part in ("markerkey", "marker key", "1234567", "\x1b"))


def test_unusable_configuration_file_is_refused(config: Path) -> None:
    config.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="LM_CONFIG_FILE names: it is not valid UTF-8"):
        lmtokens.Client(profile="acme")
    config.unlink()
    config.mkdir()
    with pytest.raises(ConfigurationError, match="LM_CONFIG_FILE names: it is not a regular file"):
        lmtokens.Client(profile="acme")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "[" * 79 + "]" * 79,
        "a = " + "{a=" * 79 + "1" + "}" * 79,
        "a" + ".a" * 79 + " = 1",
        "[a" + ".a" * 79 + "]",
        "a = {b = {" + "a." * 79 + "a = 1}}",
    ],
)
def test_deeply_nested_file_does_not_exhaust_the_stack(config: Path, text: str) -> None:
    config.write_text(text)
    completed = run_python("""
import threading, lmtokens
def call():
    try:
        lmtokens.Client(profile="acme")
    except lmtokens.ConfigurationError as error:
        print(error)
threading.stack_size(256 * 1024)
thread = threading.Thread(target=call)
thread.start()
thread.join()
""")
    assert completed.stdout.startswith(f"{NAMED} is nested too deeply"), completed.stderr


def test_brackets_and_dots_in_strings_and_comments_are_not_nesting(config: Path) -> None:
    profile = {"company": "acme", "access_id": ACCESS_ID, "access_key": "[[[[[[{{{{{{a.b.c.d.e.f.g"}
    config.write_text(f"# {'[' * 99}\n{write_profiles(config, acme=profile).read_text()}")
    assert "from profile acme" in repr(lmtokens.Client(profile="acme"))
    config.write_text('profiles = { acme = { company = "acme", credential_process = ["printf", "lmb_a.b.c"] } }')
    assert "from credential_process" in repr(lmtokens.Client(profile="acme"))


@pytest.mark.parametrize("words", [["--profile", "gov", "add", "32"], ["add", "32", "--profile=gov"]])
def test_shell_takes_the_profile_before_and_after_the_command(config: Path, words: list[str]) -> None:
    completed = run_shell(*words, "--dry-run", environment={"LM_COMPANY": "other", "LM_ACCESS_ID": "half"})
    assert completed.stdout.startswith("POST https://acme.lmgov.us/santaba/rest/"), completed.stderr


def test_shell_uses_the_profile_of_the_variable_and_the_default_one(config: Path) -> None:
    by_variable = run_shell("add", "32", "--dry-run", environment={"LM_PROFILE": "gov"})
    assert by_variable.stdout.startswith("POST https://acme.lmgov.us/")
    write_profiles(config, "acme", acme=ACME)
    assert run_shell("add", "32", "--dry-run").stdout.startswith(f"POST {AT_ACME}/")


def test_shell_signs_and_explains_with_a_profile(config: Path) -> None:
    for words in (["--profile", "acme", "sign", "GET", "/x"], ["sign", "GET", "/x", "--profile", "acme"]):
        signed = run_shell(*words)
        assert signed.stdout.startswith(f"LMv1 {ACCESS_ID}:"), signed.stderr
    header = signed.stdout.strip()
    words = ["explain", "--method", "GET", "--path", "/x", "--authorization", header]
    assert run_shell(*words, "--profile", "acme").stdout == "correct\n"
    write_profiles(config, "acme", acme=ACME)
    assert run_shell(*words).returncode == 0
    assert run_shell("sign", "GET", "/x", environment={"LM_PROFILE": "none"}).returncode == 2


def test_dry_run_of_a_bulk_run_uses_the_portal_of_a_profile(config: Path, tmp_path: Path) -> None:
    rows, journal = tmp_path / "rows.csv", tmp_path / "journal"
    rows.write_text("admin_id\n32\n")
    words = ["bulk", str(rows), "--journal", str(journal), "--dry-run"]
    assert "1 tokens would be created" in run_shell(*words, "--profile", "acme").stdout
    refused = run_shell(*words, "--profile", "acme", "--company", "other")
    assert refused.returncode == 2
    assert "but the portal from arguments is" in refused.stderr


@pytest.mark.parametrize("words", [["--profile", "gov"], ["--profile=gov"]])
def test_shell_refuses_two_profiles(config: Path, words: list[str]) -> None:
    for arguments in ([*words, "add", "32", "--profile", "acme"], ["add", "32", *words, "--profile=acme"]):
        refused = run_shell(*arguments, "--dry-run")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "--profile cannot be used multiple times" in refused.stderr


@pytest.mark.parametrize("words", [["--data", "--profile"], ["--data", "--profile=z"], ["--data=--profile"]])
def test_data_that_looks_like_the_option_is_not_a_profile(config: Path, words: list[str]) -> None:
    signed = run_shell("sign", "POST", "/x", *words, "--profile", "acme")
    assert signed.returncode == 0, signed.stderr


@pytest.mark.parametrize("command", [["sandbox", "--", "true"], ["profile", "list"]])
def test_shell_refuses_a_profile_for_commands_without_a_portal(config: Path, command: list[str]) -> None:
    for words in (["--profile", "acme", *command], [command[0], "--profile", "acme", *command[1:]]):
        completed = run_shell(*words)
        assert completed.returncode == 2
        assert "--profile cannot be used with this command" in completed.stderr


@pytest.mark.parametrize(
    "command", [["sandbox"], ["completions"], ["profile"], ["profile", "list"], ["profile", "add"]]
)
def test_help_of_commands_without_a_portal_does_not_list_the_option(command: list[str]) -> None:
    assert "--profile <NAME>" not in run_shell(*command, "--help").stdout
    assert "--profile <NAME>" in run_shell("list", "--help").stdout


def test_note_is_checked_behind_a_profile(config: Path) -> None:
    for words in (["--profile", "acme"], ["--profile=acme"]):
        completed = run_shell(*words, "add", "32", "--note", "--dry-run")
        assert "--note has no value" in completed.stderr


def test_exported_variables_replace_a_profile(config: Path, lmtokens_portal: Portal) -> None:
    exported = run_shell("add", "32", "-o", "env")
    assert exported.returncode == 0
    script = (
        f"export LM_PROFILE=acme; {exported.stdout}\n{sys.executable} -c 'import lmtokens; print(lmtokens.Client())'"
    )
    completed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert "from environment (LM_ACCESS_ID, LM_ACCESS_KEY)" in completed.stdout, completed.stderr


def test_no_secret_of_a_profile_is_shown(config: Path) -> None:
    write_profiles(config, "acme", acme=ACME, gov=GOV)
    code = """
import lmtokens, traceback
client = lmtokens.Client()
print(repr(client), str(client), vars(lmtokens.default_client().__class__).keys())
try:
    lmtokens.Client("other")
except lmtokens.LMTokensError as error:
    traceback.print_exception(type(error), error, error.__traceback__)
    print(vars(error))
"""
    shown = [run_python(code), run_shell("profile", "list"), run_shell("profile", "show", "gov")]
    shown += [run_shell("-v"), run_shell("add", "32", "--dry-run"), run_shell("add", "32", "--company", "other")]
    for completed in shown:
        assert ACCESS_KEY not in completed.stdout + completed.stderr
        assert BEARER not in completed.stdout + completed.stderr
