"""Credential sources: arguments, then the environment, then a prompt. Profiles are in ``test_profiles``."""

from __future__ import annotations

import logging
import re
import sys
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import ConfigurationError, CredentialsError
from support import (
    ACCESS_ID,
    ACCESS_KEY,
    SHELL,
    fake_kernel,
    run_at_terminal,
    run_notebook,
    run_python,
    run_shell,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

OTHER_ID = "exampleAccessId00002"
BEARER = "lmb_invented-bearer"
PAIR = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
ACME = "<lmtokens.Client https://acme.logicmonitor.com/santaba/rest,"


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize("name", ["LM_COMPANY", "LM_ACCOUNT", "LM_PORTAL"])
@pytest.mark.parametrize("value", ["acme", "acme.logicmonitor.com", "https://acme.logicmonitor.com/santaba/uiv4"])
def test_company_from_the_environment(setenv: Any, name: str, value: str) -> None:
    setenv(**{name: value}, **PAIR)
    assert repr(lmtokens.Client()) == f"{ACME} LMv1 from environment (LM_ACCESS_ID, LM_ACCESS_KEY)>"


@pytest.mark.parametrize(("id_name", "key_name"), [("LM_ACCESS_ID", "LM_ACCESS_KEY"), ("LM_API_ID", "LM_API_KEY")])
def test_access_id_and_key_from_the_environment(
    setenv: Any, lmtokens_portal: Portal, id_name: str, key_name: str
) -> None:
    token = lmtokens_portal.create_token(1)
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        setenv(**{name: ""})
    setenv(**{id_name: token.access_id, key_name: token.access_key.reveal()})
    client = lmtokens.Client()
    assert f"LMv1 from environment ({id_name}, {key_name})" in repr(client)
    client.add_token(32)
    assert lmtokens_portal.record[-1].token_id == token.id


def test_bearer_token_from_the_environment(setenv: Any, lmtokens_portal: Portal) -> None:
    setenv(LM_ACCESS_ID="", LM_ACCESS_KEY="", LM_BEARER_TOKEN=lmtokens_portal.bearer_token.reveal())
    client = lmtokens.Client()
    assert "bearer from environment (LM_BEARER_TOKEN)" in repr(client)
    client.add_token(32)
    assert lmtokens_portal.record[-1].signature == "bearer-valid"


def test_bearer_token_as_access_key_needs_no_id(setenv: Any) -> None:
    setenv(LM_COMPANY="acme", LM_ACCESS_KEY=BEARER)
    assert repr(lmtokens.Client()) == f"{ACME} bearer from environment (LM_ACCESS_KEY)>"
    assert repr(lmtokens.Client(access_key=BEARER)) == f"{ACME} bearer from arguments>"


def test_domain_from_the_environment(setenv: Any) -> None:
    setenv(LM_COMPANY="acme", LM_DOMAIN_NAME="lmgov.us", **PAIR)
    assert "https://acme.lmgov.us/santaba/rest" in repr(lmtokens.Client())
    assert "https://acme.logicmonitor.com/" in repr(lmtokens.Client(domain="logicmonitor.com"))


def test_base_url_may_be_combined_with_a_company(setenv: Any) -> None:
    setenv(LM_COMPANY="acme", LM_BASE_URL="http://127.0.0.1:9/santaba/rest", **PAIR)
    assert "acme at http://127.0.0.1:9/santaba/rest" in repr(lmtokens.Client())
    # A program with a fixed company can be pointed to a sandbox.
    assert "other at http://127.0.0.1:9/santaba/rest" in repr(lmtokens.Client("other"))
    assert "https://example.com/santaba/rest" in repr(lmtokens.Client(base_url="https://example.com/santaba/rest"))


@pytest.mark.parametrize("construct", [lmtokens.Client, lmtokens.AsyncClient, lmtokens.configure, lmtokens.LMv1Auth])
def test_base_url_of_a_client_is_that_of_its_portal(setenv: Any, construct: Any) -> None:
    setenv(LM_COMPANY="acme", **PAIR)
    assert construct().base_url == "https://acme.logicmonitor.com/santaba/rest"
    assert construct(base_url="http://127.0.0.1:9/santaba/rest/").base_url == "http://127.0.0.1:9/santaba/rest"
    with pytest.raises(AttributeError):
        construct().base_url = "https://example.com/santaba/rest"


def test_base_url_needs_no_company(setenv: Any) -> None:
    setenv(LM_BASE_URL="http://127.0.0.1:9/santaba/rest", **PAIR)
    assert "Client http://127.0.0.1:9/santaba/rest," in repr(lmtokens.Client())


def test_timeout_from_the_environment(setenv: Any, lmtokens_portal: Portal) -> None:
    setenv(LM_TIMEOUT="0.2")
    lmtokens_portal.fail("delay", seconds=40, times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError, match=r"within 0\.2 s"):
        lmtokens.add_token(32)


def test_timeout_argument_takes_precedence(setenv: Any, lmtokens_portal: Portal) -> None:
    setenv(LM_TIMEOUT="0.001")
    lmtokens_portal.fail("delay", seconds=0.1)
    assert lmtokens.Client(timeout=60).add_token(32).id


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon", "30s", "1,5", "0x10", "86401"])
def test_invalid_timeout_from_the_environment_is_rejected(setenv: Any, value: str) -> None:
    setenv(LM_COMPANY="acme", LM_TIMEOUT=value, **PAIR)
    with pytest.raises(ConfigurationError, match="invalid LM_TIMEOUT; expected a number of seconds"):
        lmtokens.Client()


def test_arguments_take_precedence_over_the_environment(setenv: Any) -> None:
    setenv(LM_COMPANY="other", LM_BEARER_TOKEN=BEARER, LM_ACCESS_ID=OTHER_ID, LM_ACCESS_KEY="invented-other-key")
    client = lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)
    assert repr(client) == f"{ACME} LMv1 from arguments>"
    assert repr(lmtokens.Client("acme", bearer_token=BEARER)) == f"{ACME} bearer from arguments>"


def test_lmv1_takes_precedence_over_a_bearer_token(setenv: Any, lmtokens_portal: Portal) -> None:
    setenv(LM_BEARER_TOKEN=lmtokens_portal.bearer_token.reveal())
    lmtokens.add_token(32)
    assert lmtokens_portal.record[-1].signature == "valid"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"LM_ACCESS_ID": ACCESS_ID}, "LM_ACCESS_KEY is missing: LM_ACCESS_ID is set without it"),
        ({"LM_ACCESS_KEY": ACCESS_KEY}, "LM_ACCESS_ID is missing: LM_ACCESS_KEY is set without it"),
        ({"LM_API_ID": ACCESS_ID}, "LM_API_KEY is missing: LM_API_ID is set without it"),
        ({"LM_API_KEY": ACCESS_KEY}, "LM_API_ID is missing: LM_API_KEY is set without it"),
        ({"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ""}, "LM_ACCESS_KEY is missing"),
        ({"LM_ACCESS_ID": ACCESS_ID, "LM_BEARER_TOKEN": BEARER}, "LM_ACCESS_KEY is missing"),
        # An access id and a key under different aliases are not combined.
        ({"LM_ACCESS_ID": ACCESS_ID, "LM_API_KEY": ACCESS_KEY}, "LM_ACCESS_KEY is missing"),
        ({**PAIR, "LM_API_ID": ACCESS_ID}, "LM_API_KEY is missing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_incomplete_pair_from_the_environment_names_the_missing_variable(
    setenv: Any, variables: dict[str, str], message: str
) -> None:
    setenv(LM_COMPANY="acme", **variables)
    with pytest.raises(CredentialsError, match=message):
        lmtokens.Client()


@pytest.mark.parametrize("given", ["access_id", "access_key"])
def test_incomplete_pair_of_arguments_is_not_completed_from_the_environment(setenv: Any, given: str) -> None:
    setenv(LM_COMPANY="acme", **PAIR)
    missing = {"access_id": "access_key", "access_key": "access_id"}[given]
    with pytest.raises(CredentialsError, match=f"{missing} is missing"):
        lmtokens.Client(**{given: {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}[given]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"LM_COMPANY": "acme", "LM_ACCOUNT": "other"}, "LM_COMPANY and LM_ACCOUNT"),
        ({"LM_ACCOUNT": "acme", "LM_PORTAL": "other"}, "LM_ACCOUNT and LM_PORTAL"),
        ({"LM_COMPANY": "acme", **PAIR, "LM_API_ID": OTHER_ID, "LM_API_KEY": ACCESS_KEY}, "LM_ACCESS_ID and LM_API_ID"),
        ({"LM_COMPANY": "acme", **PAIR, "LM_API_ID": ACCESS_ID, "LM_API_KEY": "x"}, "LM_ACCESS_KEY and LM_API_KEY"),
    ],
)
def test_aliases_with_different_values_are_rejected(setenv: Any, variables: dict[str, str], names: str) -> None:
    setenv(**{**PAIR, **variables})
    with pytest.raises(ConfigurationError, match=f"{names} have different values") as caught:
        lmtokens.Client()
    assert not any(value in str(caught.value) for value in (ACCESS_ID, OTHER_ID, ACCESS_KEY))


def test_aliases_with_equal_values_are_accepted(setenv: Any) -> None:
    setenv(LM_COMPANY="acme", LM_ACCOUNT="acme", LM_API_ID=ACCESS_ID, LM_API_KEY=ACCESS_KEY, **PAIR)
    assert repr(lmtokens.Client()).startswith(ACME)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": f"{ACCESS_KEY}\n"}, "from LM_ACCESS_ID and LM_ACCESS_KEY"),
        ({"LM_ACCESS_ID": ACCESS_KEY, "LM_ACCESS_KEY": ACCESS_ID}, "from LM_ACCESS_ID and LM_ACCESS_KEY"),
        ({"LM_BEARER_TOKEN": f"{BEARER} "}, "from LM_BEARER_TOKEN"),
    ],
)
def test_invalid_credentials_name_their_variables(setenv: Any, variables: dict[str, str], message: str) -> None:
    setenv(LM_COMPANY="acme", **variables)
    with pytest.raises(CredentialsError, match=message):
        lmtokens.Client()


def test_failed_default_client_is_not_cached(setenv: Any, lmtokens_portal: Portal) -> None:
    setenv(LM_ACCESS_KEY="")
    with pytest.raises(CredentialsError):
        lmtokens.add_token(32)
    setenv(LM_ACCESS_KEY=lmtokens_portal.access_key.reveal())
    assert lmtokens.add_token(32).id


def test_default_client_is_cached(setenv: Any, lmtokens_portal: Portal) -> None:
    first = lmtokens.default_client()
    setenv(LM_ACCESS_KEY="")
    assert lmtokens.default_client() is first
    assert lmtokens.add_token(32).id


def test_configure_replaces_the_default_client(lmtokens_portal: Portal) -> None:
    before = lmtokens.default_client()
    token = lmtokens_portal.create_token(1)
    configured = lmtokens.configure(access_id=token.access_id, access_key=token.access_key)
    assert lmtokens.default_client() is configured
    assert configured is not before
    lmtokens.add_token(32)
    assert lmtokens_portal.record[-1].token_id == token.id


def test_failed_configure_changes_nothing(lmtokens_portal: Portal) -> None:
    configured = lmtokens.configure()
    with pytest.raises(CredentialsError):
        lmtokens.configure(access_id=ACCESS_ID)
    assert lmtokens.default_client() is configured


def test_existing_client_ignores_changes_of_the_environment(setenv: Any, lmtokens_portal: Portal) -> None:
    client = lmtokens.Client()
    setenv(LM_ACCESS_ID=OTHER_ID, LM_ACCESS_KEY=ACCESS_KEY, LM_BASE_URL="http://127.0.0.1:9/santaba/rest")
    assert client.add_token(32).id


ELSEWHERE = "https://lm.example.com/santaba/rest"
OVERRIDDEN = f"acme at {ELSEWHERE} (LM_BASE_URL overrides company)"


@pytest.mark.parametrize("construct", [lmtokens.Client, lmtokens.AsyncClient, lmtokens.configure, lmtokens.LMv1Auth])
def test_base_url_that_overrides_an_explicit_company_is_reported_once(
    setenv: Any, construct: Any, caplog: pytest.LogCaptureFixture
) -> None:
    setenv(LM_BASE_URL=ELSEWHERE, **PAIR)
    client = construct("acme")
    assert OVERRIDDEN in repr(client)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("lmtokens", "WARNING")
    assert f"LM_BASE_URL overrides company: requests go to {ELSEWHERE}" in record.getMessage()
    caplog.clear()
    both = construct("acme", domain="lmgov.us")
    assert "(LM_BASE_URL overrides company and domain)" in repr(both)
    assert "company and domain" in caplog.text
    caplog.clear()
    # Nothing explicit loses.
    setenv(LM_COMPANY="other")
    assert "overrides" not in repr(construct())
    assert "overrides" not in repr(construct("acme", base_url=ELSEWHERE))
    setenv(LM_BASE_URL="https://acme.logicmonitor.com/santaba/rest")
    assert "overrides" not in repr(construct("acme.logicmonitor.com"))
    assert caplog.records == []


def test_company_that_a_sandbox_overrides_is_shown_without_a_warning(
    lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture
) -> None:
    client = lmtokens.Client("acme", domain="lmgov.us")
    shown = f"acme at {lmtokens_portal.base_url} (LM_BASE_URL overrides company and domain)"
    assert shown in repr(client)
    who = client.whoami()
    assert (who.overridden_arguments, who.portal_from) == (["company", "domain"], "environment (LM_BASE_URL)")
    assert shown in repr(who)
    assert lmtokens.whoami().overridden_arguments == []
    assert caplog.records == []


def test_log_handler_that_fails_does_not_stop_a_client(setenv: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise RuntimeError("a log handler failed")

    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    monkeypatch.setattr(logging.getLogger("lmtokens"), "log", fail)
    setenv(LM_BASE_URL=ELSEWHERE, **PAIR)
    assert OVERRIDDEN in repr(lmtokens.Client("acme"))
    assert len(unraisable) == 1


def test_shell_reports_a_company_that_the_base_url_overrides(lmtokens_portal: Portal) -> None:
    command = ["add", "32", "--dry-run", "--company", "acme"]
    at_sandbox = run_shell(*command)
    assert at_sandbox.returncode == 0
    assert at_sandbox.stderr == "LM_BASE_URL overrides --company\n"
    elsewhere = run_shell(*command, "--domain", "lmgov.us", environment={"LM_BASE_URL": ELSEWHERE})
    assert elsewhere.returncode == 0
    assert elsewhere.stdout.startswith(f"POST {ELSEWHERE}/")
    warning = f"warning: LM_BASE_URL overrides --company and --domain: requests go to {ELSEWHERE}"
    assert elsewhere.stderr.count("LM_BASE_URL") == 1
    assert warning in elsewhere.stderr
    assert run_shell("add", "32", "--dry-run").stderr == ""
    refused = run_shell("sweep", "--company", "acme", environment={"LM_BASE_URL": "https://127.0.0.2:1/santaba/rest"})
    assert "warning" not in refused.stderr


@pytest.mark.parametrize("first", ["acme", "ACME", "https://acme.logicmonitor.com/santaba/uiv4/settings"])
@pytest.mark.parametrize("second", ["acme.logicmonitor.com", "acme.logicmonitor.com.", "acme.logicmonitor.com:443/"])
def test_aliases_may_spell_one_portal_differently(setenv: Any, first: str, second: str) -> None:
    setenv(LM_COMPANY=first, LM_PORTAL=second, **PAIR)
    assert repr(lmtokens.Client()).startswith(ACME)
    completed = run_shell("add", "32", "--dry-run")
    assert completed.stdout.startswith("POST https://acme.logicmonitor.com/santaba/rest/")


COPIED = {
    "double quotation marks": ('"{}"', "quotation marks"),
    "single quotation marks": ("'{}'", "quotation marks"),
    "typographic quotation marks": ("\u201c{}\u201d", "quotation marks"),
    "byte order mark": ("\ufeff{}", r"U\+FEFF"),
    "zero-width space": ("{}\u200b", r"U\+200B"),
    "no-break space": ("\u00a0{}", "white space"),
    "carriage return": ("{}\r", "carriage return"),
    "scheme": ("Bearer {}", "word Bearer"),
    "line of a file": ("export LM_ACCESS_KEY={}", "assignment"),
}


@pytest.mark.parametrize(("form", "reason"), COPIED.values(), ids=COPIED.keys())
def test_copied_credentials_are_refused_before_sending(
    setenv: Any, lmtokens_portal: Portal, form: str, reason: str
) -> None:
    def refuses(call: Any) -> None:
        with pytest.raises(CredentialsError, match=reason) as caught:
            call()
        assert not any(value in str(caught.value) for value in (ACCESS_ID, ACCESS_KEY, BEARER))

    pair = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
    for name, value in pair.items():
        given = {**pair, name: form.format(value)}
        refuses(lambda given=given: lmtokens.Client("acme", **given))
        refuses(lambda given=given: lmtokens.AsyncClient("acme", **given))
        refuses(lambda given=given: lmtokens.LMv1Auth("acme", **given))
        refuses(lambda given=given: lmtokens.sign("GET", "/setting/admins", **given))
        given = {f"LM_{name.upper()}": value for name, value in given.items()}
        refused = run_shell("add", "32", environment=given)
        assert refused.returncode == 4, refused.stderr
        assert re.search(reason, refused.stderr)
    refuses(lambda: lmtokens.Client("acme", bearer_token=form.format(BEARER)))
    setenv(LM_ACCESS_ID="", LM_ACCESS_KEY="", LM_BEARER_TOKEN=form.format(BEARER))
    refuses(lmtokens.Client)
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    "name", ["LM_BASE_URL", "LM_TIMEOUT", "SSL_CERT_FILE", "LM_PROFILE", "LM_COMPANY", "LM_DOMAIN_NAME"]
)
@pytest.mark.parametrize("value", ['"https://example.com/santaba/rest"', "'30'", "\u201c30\u201d"])
@pytest.mark.usefixtures("_no_ca_variables")
def test_quoted_setting_is_named(setenv: Any, name: str, value: str) -> None:
    setenv(**{"LM_COMPANY": "acme", **PAIR, name: value})
    with pytest.raises(ConfigurationError, match=f"invalid {name}: is wrapped in quotation marks"):
        lmtokens.Client()


@pytest.mark.parametrize("name", ["ca_bundle", "client_cert", "proxy", "company", "domain", "base_url"])
def test_quoted_argument_is_named(name: str) -> None:
    arguments: dict[str, Any] = {"company": "acme", "access_id": ACCESS_ID, "access_key": ACCESS_KEY}
    with pytest.raises(ConfigurationError, match=f"invalid {name}: .*quotation marks") as caught:
        lmtokens.Client(**{**arguments, name: '"markerPart"'})
    assert "markerPart" not in str(caught.value)


@pytest.mark.parametrize("value", ["********", "None", "YOUR_ACCESS_KEY", "((lm_access_key))", "/run/secrets/lm_key"])
def test_mask_and_placeholder_are_not_sent(setenv: Any, lmtokens_portal: Portal, value: str) -> None:
    setenv(LM_ACCESS_ID=ACCESS_ID, LM_ACCESS_KEY=value)
    with pytest.raises(CredentialsError, match="invalid access_key") as caught:
        lmtokens.add_token(32)
    assert value not in str(caught.value)
    assert run_shell("add", "32").returncode == 4
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    "variables",
    [
        {"LM_DOMAIN_NAME": "nonsense"},
        {"LM_COMPANY": "My Portal"},
        {"LM_COMPANY": "acme", "LM_PORTAL": "other"},
    ],
)
def test_unused_variable_does_not_stop_a_client(
    setenv: Any, lmtokens_portal: Portal, variables: dict[str, str]
) -> None:
    setenv(**variables)
    assert lmtokens_portal.client().add_token(32).id
    assert lmtokens.add_token(32).id


class FakeUser:
    """The input functions of a notebook, with prepared replies."""

    def __init__(self, *replies: str) -> None:
        self.prompts: list[tuple[str, str]] = []
        self._replies = list(replies)

    def plain(self, prompt: str = "") -> str:
        self.prompts.append(("plain", prompt))
        return self._replies.pop(0)

    def secret(self, prompt: str = "") -> str:
        self.prompts.append(("secret", prompt))
        return self._replies.pop(0)


def fake_notebook(monkeypatch: pytest.MonkeyPatch, *replies: str) -> FakeUser:
    user = FakeUser(*replies)
    fake_kernel(monkeypatch)
    monkeypatch.setattr("builtins.input", user.plain)
    monkeypatch.setattr("getpass.getpass", user.secret)
    return user


def test_notebook_prompts_for_everything_if_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    user = fake_notebook(monkeypatch, "acme", ACCESS_ID, ACCESS_KEY)
    assert repr(lmtokens.Client()) == f"{ACME} LMv1 from prompt>"
    assert user.prompts == [
        ("plain", "LogicMonitor company (acme in acme.logicmonitor.com): "),
        ("plain", "Access id for acme.logicmonitor.com (empty for a bearer token): "),
        ("secret", "Access key for acme.logicmonitor.com (not shown): "),
    ]


@pytest.mark.parametrize(("may_ask", "prompts"), [(True, 2), (False, 0)])
def test_notebook_that_cannot_prompt_is_not_asked(monkeypatch: pytest.MonkeyPatch, may_ask: bool, prompts: int) -> None:
    user = fake_notebook(monkeypatch, ACCESS_ID, ACCESS_KEY)
    fake_kernel(monkeypatch, may_prompt=may_ask)
    with nullcontext() if may_ask else pytest.raises(lmtokens.CredentialsError, match="LM_ACCESS_ID"):
        lmtokens.Client("acme")
    assert len(user.prompts) == prompts


def test_notebook_that_is_executed_by_a_program_says_what_to_set(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell(f"import lmtokens; lmtokens.Client({company})") for company in ("", "'acme'")]
    run_notebook(nbformat.v4.new_notebook(cells=cells), tmp_path, allow_errors=True)
    raised = [(cell.outputs[0].ename, cell.outputs[0].evalue.split("\n")[1]) for cell in cells]
    assert raised == [
        (
            "ConfigurationError",
            'hint: pass company="acme" (for acme.logicmonitor.com) or profile=, or set LM_COMPANY',
        ),
        (
            "CredentialsError",
            "hint: pass access_id= and access_key= (or bearer_token=) or profile=, "
            "or set LM_ACCESS_ID and LM_ACCESS_KEY (or LM_BEARER_TOKEN)",
        ),
    ]


def test_notebook_prompts_only_for_missing_settings(monkeypatch: pytest.MonkeyPatch, lmtokens_portal: Portal) -> None:
    monkeypatch.delenv("LM_ACCESS_ID")
    monkeypatch.delenv("LM_ACCESS_KEY")
    user = fake_notebook(monkeypatch, lmtokens_portal.access_id, lmtokens_portal.access_key.reveal())
    assert lmtokens.add_token(32).id
    assert [how for how, _ in user.prompts] == ["plain", "secret"]
    # The default client is cached, so there is no second prompt.
    assert lmtokens.add_token(32).id
    assert len(user.prompts) == 2


def test_notebook_prompts_for_a_bearer_token_if_the_id_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    user = fake_notebook(monkeypatch, "acme", "", BEARER)
    assert repr(lmtokens.Client()) == f"{ACME} bearer from prompt>"
    assert "Bearer" in user.prompts[2][1]


def test_no_prompt_if_nothing_is_missing(monkeypatch: pytest.MonkeyPatch, setenv: Any) -> None:
    user = fake_notebook(monkeypatch)
    setenv(LM_COMPANY="acme", **PAIR)
    lmtokens.Client()
    assert user.prompts == []


def test_no_prompt_for_an_incomplete_pair(monkeypatch: pytest.MonkeyPatch, setenv: Any) -> None:
    user = fake_notebook(monkeypatch)
    setenv(LM_COMPANY="acme", LM_ACCESS_ID=ACCESS_ID)
    with pytest.raises(CredentialsError, match="LM_ACCESS_KEY is missing"):
        lmtokens.Client()
    assert user.prompts == []


@pytest.mark.parametrize("value", ["true", "1", "false"])
def test_no_prompt_in_a_notebook_if_ci_is_set(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    user = fake_notebook(monkeypatch)
    monkeypatch.setenv("CI", value)
    with pytest.raises(ConfigurationError, match="company is missing"):
        lmtokens.Client()
    with pytest.raises(CredentialsError, match="no credentials"):
        lmtokens.Client("acme")
    assert user.prompts == []


def test_no_prompt_outside_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    user = fake_notebook(monkeypatch)
    errors: list[BaseException] = []

    def create_client() -> None:
        try:
            lmtokens.Client("acme")
        except CredentialsError as error:
            errors.append(error)

    thread = threading.Thread(target=create_client)
    thread.start()
    thread.join()
    assert "no credentials" in str(errors[0])
    assert user.prompts == []


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_interrupted_prompt_ends_the_call(monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]) -> None:
    fake_notebook(monkeypatch)

    def end(prompt: str) -> str:
        raise raised

    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(raised):
        lmtokens.Client("acme")


def test_interrupt_while_reading_the_environment_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(dict[str, str]):
        def get(self, name: str, default: object = None) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.environ", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        lmtokens.Client("acme")


def test_end_of_input_at_the_prompt_is_a_credentials_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_notebook(monkeypatch)

    def end(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(CredentialsError, match="EOFError"):
        lmtokens.Client("acme")


ONE_LINER = "import lmtokens; print('created', lmtokens.add_token(32).id)"


def test_no_prompt_without_a_terminal() -> None:
    completed = run_python("import lmtokens; lmtokens.Client('acme')", stdin=f"{ACCESS_ID}\n{ACCESS_KEY}\n")
    assert "CredentialsError: no credentials" in completed.stderr
    assert "Access id" not in completed.stdout + completed.stderr


def prompt_dialogue(portal: Portal) -> list[tuple[str, str]]:
    return [
        ("company", f"{portal.company}\n"),
        ("Access id", f"{portal.access_id}\n"),
        ("Access key", f"{portal.access_key.reveal()}\n"),
    ]


def test_terminal_echoes_company_and_id_but_not_the_key(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY", "LM_COMPANY", "LM_BASE_URL"):
        monkeypatch.delenv(name)
    # Without LM_BASE_URL the company leads to the vendor's domain, so this only constructs a client.
    typed = run_at_terminal(
        [sys.executable, "-c", "import lmtokens; print(lmtokens.Client())"], prompt_dialogue(lmtokens_portal)
    )
    assert typed.status == 0, typed.shown
    assert f"acme.logicmonitor.com): {lmtokens_portal.company}" in typed.shown
    assert lmtokens_portal.access_id in typed.shown
    assert "LMv1 from prompt" in typed.shown
    assert lmtokens_portal.access_key.reveal() not in typed.shown


def test_terminal_prompts_for_missing_credentials(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    typed = run_at_terminal([sys.executable, "-c", ONE_LINER], prompt_dialogue(lmtokens_portal)[1:])
    assert f"created {lmtokens_portal.tokens[-1].id}" in typed.shown
    assert lmtokens_portal.access_key.reveal() not in typed.shown


def test_no_prompt_at_a_terminal_if_ci_is_set(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    typed = run_at_terminal([sys.executable, "-c", ONE_LINER], [], environment={"CI": "true"})
    assert "CredentialsError" in typed.shown
    assert "Access id" not in typed.shown


@pytest.mark.parametrize("prompt", ["Access id", "Access key"])
def test_ctrl_c_at_the_prompt_raises_keyboard_interrupt(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch, prompt: str
) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    dialogue = [("Access id", "\x03")] if prompt == "Access id" else [("Access id", f"{ACCESS_ID}\n"), (prompt, "\x03")]
    code = f"try:\n    exec({ONE_LINER!r})\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    typed = run_at_terminal([sys.executable, "-c", code], dialogue)
    assert typed.shown.rstrip().endswith("interrupted")
    assert lmtokens_portal.record == []


def test_shell_prompts_at_a_terminal(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    typed = run_at_terminal([*SHELL, "add", "32"], prompt_dialogue(lmtokens_portal)[1:])
    created = lmtokens_portal.tokens[-1]
    assert typed.status == 0, typed.shown
    assert created.access_key.reveal() in typed.shown
    assert lmtokens_portal.access_key.reveal() not in typed.shown


def test_prompts_of_a_program_are_not_written_to_standard_output(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    dialogue = prompt_dialogue(lmtokens_portal)[1:]
    # The terminal's line editing works: \x7f is the backspace key.
    dialogue[0] = (dialogue[0][0], "slip\x7f\x7f\x7f\x7f" + dialogue[0][1])
    typed = run_at_terminal([sys.executable, "-c", ONE_LINER], dialogue, redirect_stdout=True)
    assert "Access id" in typed.shown
    assert typed.stdout == f"created {lmtokens_portal.tokens[-1].id}\n", typed.shown


def test_prompts_of_the_shell_are_not_written_to_standard_output(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY"):
        monkeypatch.delenv(name)
    typed = run_at_terminal(
        [*SHELL, "add", "32", "-o", "env"], prompt_dialogue(lmtokens_portal)[1:], redirect_stdout=True
    )
    assert "Access id" in typed.shown
    assert "Access id" not in typed.stdout
    created = lmtokens_portal.tokens[-1]
    assert f"export LM_ACCESS_ID='{created.access_id}'\n" in typed.stdout
    assert f"export LM_ACCESS_KEY='{created.access_key.reveal()}'\n" in typed.stdout
