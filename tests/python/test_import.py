"""Names, modules and side effects of ``import lmtokens``."""

from __future__ import annotations

import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import lmtokens
import pytest
from api_variants import OPERATIONS
from lmtokens import _lmtokens
from support import HANG_TIMEOUT

PACKAGE = Path(lmtokens.__file__).parent

PUBLIC = {
    *OPERATIONS,
    "APIError",
    "AsyncBulkRun",
    "AsyncClient",
    "AsyncTemporaryToken",
    "Audit",
    "AuditReason",
    "AuthenticationError",
    "BadRequestError",
    "BulkRun",
    "Client",
    "CreatedToken",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "CredentialsError",
    "DeliveryError",
    "Field",
    "Filter",
    "Finding",
    "JournalEntry",
    "LMTokensError",
    "LMv1Auth",
    "NewToken",
    "NotFoundError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ResponseError",
    "Rotation",
    "RotationError",
    "RowResult",
    "Secret",
    "SelfLockoutError",
    "ServerError",
    "Severity",
    "Summary",
    "SignatureCause",
    "SignatureExplanation",
    "SweptToken",
    "TLSError",
    "TemporaryToken",
    "Token",
    "TokenIterator",
    "TokenStatus",
    "TokenType",
    "TransportError",
    "TwoFactorRequiredError",
    "User",
    "Where",
    "Whoami",
    "__version__",
    "configure",
    "default_client",
    "deliver",
    "errors",
    "explain_signature",
    "read_journal",
    "sign",
    "to_dataframe",
    "where",
}

CLIENT_ARGUMENTS = (
    "company=None, *, access_id=None, access_key=None, bearer_token=None, profile=None, domain=None, base_url=None, "
    "timeout=None, ca_bundle=None, client_cert=None, proxy=None, credentials=None, max_attempts=3, deadline=None, "
    "on_limit='wait', max_wait=120.0, on_wait=None"
)


def run_bare(code: str) -> str:
    """Run code in an interpreter without site-packages and return its output."""
    command = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE.parent)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=True).stdout


def test_import_adds_only_its_own_modules() -> None:
    added = run_bare(
        "import sys\n"
        "sys.path.append(sys.argv[1])\n"
        "before = set(sys.modules)\n"
        "import lmtokens\n"
        "print(*sorted(set(sys.modules) - before - {'atexit'}))\n"
    )
    # atexit is built into the interpreter: it costs microseconds.
    assert set(added.split()) == {"lmtokens", "lmtokens.errors", "lmtokens._lmtokens"}


def test_classes_are_created_on_first_use() -> None:
    created = run_bare(
        "import sys\n"
        "sys.path.append(sys.argv[1])\n"
        "import lmtokens\n"
        "from lmtokens import _lmtokens\n"
        "classes = lambda: {name for name, value in vars(_lmtokens).items() if isinstance(value, type)}\n"
        "print(classes(), 'Client' in vars(lmtokens))\n"
        "assert lmtokens.Client is lmtokens.Client is _lmtokens.Client\n"
        "print(classes())\n"
        "assert all(isinstance(getattr(_lmtokens, name), object) for name in _lmtokens.__all__)\n"
        "print(len(classes()) > 25, len(set(_lmtokens.__all__)) == len(_lmtokens.__all__))\n"
    )
    assert created.splitlines() == ["set() False", "{'Client'}", "True True"]


@pytest.mark.parametrize("name", ["Clients", "where_", "_Client", "ToFile", "\udc80", "tokens\n"])
def test_unknown_names_are_attribute_errors(name: str) -> None:
    with pytest.raises(AttributeError, match=r"^module 'lmtokens' has no attribute "):
        getattr(lmtokens, name)
    if name != "ToFile":
        with pytest.raises(AttributeError, match=r"^module 'lmtokens\._lmtokens' has no attribute "):
            getattr(_lmtokens, name)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_first_call_starts_a_thread_but_import_does_not() -> None:
    counts = run_bare(
        "import sys, os\n"
        "sys.path.append(sys.argv[1])\n"
        "count = lambda: len(os.listdir('/proc/self/task'))\n"
        "before = count()\n"
        "import lmtokens\n"
        "imported = count()\n"
        "client = lmtokens.Client('acme', access_id='exampleAccessId00001', access_key='invented-key',\n"
        "                         base_url='http://127.0.0.1:9/santaba/rest')\n"
        "constructed = count()\n"
        "try: client.add_token(32)\n"
        "except lmtokens.ConnectError: pass\n"
        "print(before, imported, constructed, count())\n"
    )
    before, imported, constructed, called = map(int, counts.split())
    assert before == imported == constructed == 1
    # Proves that the count includes our threads.
    assert called > 1


def test_all_lists_the_public_names() -> None:
    assert set(lmtokens.__all__) == PUBLIC
    assert len(lmtokens.__all__) == len(PUBLIC)
    assert all(hasattr(lmtokens, name) for name in lmtokens.__all__)


def test_public_names_are_in_all() -> None:
    public = {
        name for name, value in vars(lmtokens).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public <= PUBLIC


def test_errors_module_exports_every_error_class() -> None:
    defined = {name for name, value in vars(lmtokens.errors).items() if isinstance(value, type)}
    assert defined == set(lmtokens.errors.__all__)


def test_version_matches_the_distribution() -> None:
    assert lmtokens.__version__ == importlib.metadata.version("lmtokens")


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("add_token", "(admin_id, note=None, status=2, *, type='lmv1', deliver=None, expires=None)"),
        ("sign", "(method, resource_path, body=b'', *, access_id, access_key, timestamp_ms=None)"),
        ("list_tokens", "(admin_id=None, *, type=None, filter=None, page_size=1000)"),
        ("find_token", "(token)"),
        ("update_token", "(token, note=None, status=None, *, force=False)"),
        ("enable_token", "(token)"),
        ("disable_token", "(token, *, force=False)"),
        ("delete_token", "(token, *, force=False)"),
        ("temporary_token", "(admin_id, note=None, *, expires=3600, type='lmv1')"),
        ("whoami", "()"),
        ("configure", f"({CLIENT_ARGUMENTS})"),
        ("default_client", "()"),
        ("Client", f"({CLIENT_ARGUMENTS})"),
        ("Secret", "(text)"),
    ],
)
def test_signature_is_as_documented(name: str, signature: str) -> None:
    if isinstance(getattr(lmtokens, name), type) and sys.version_info < (3, 10):
        pytest.skip("inspect cannot read signatures of native classes before Python 3.10")
    assert str(inspect.signature(getattr(lmtokens, name))) == signature


@pytest.mark.parametrize("operation", OPERATIONS)
def test_client_method_has_the_signature_of_the_function(operation: str) -> None:
    bound = inspect.signature(getattr(lmtokens.Client, operation)).parameters
    assert list(bound.values())[1:] == list(inspect.signature(getattr(lmtokens, operation)).parameters.values())


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_public_name_has_a_docstring(name: str) -> None:
    value = getattr(lmtokens, name)
    assert (value.__doc__ or "").strip()
    if isinstance(value, type):
        # A docstring inherited from the base class does not describe this class.
        assert value.__doc__ not in {base.__doc__ for base in value.__mro__[1:]}


@pytest.mark.parametrize("name", ["Client", "Secret", "Token", "TokenStatus", "TokenType"])
def test_public_member_has_a_docstring(name: str) -> None:
    members = {member: value for member, value in vars(getattr(lmtokens, name)).items() if not member.startswith("_")}
    assert members
    assert [member for member, value in members.items() if not (value.__doc__ or "").strip()] == []


@pytest.mark.parametrize("operation", [*OPERATIONS, "sign", "configure"])
def test_docstring_documents_arguments_result_and_errors(operation: str) -> None:
    function = getattr(lmtokens, operation)
    text = inspect.getdoc(function) or ""
    parameters = inspect.signature(function).parameters
    sections = {"Args:"} if parameters else set()
    # delete_token returns None.
    sections |= {"Raises:"} if operation == "delete_token" else {"Returns:", "Raises:"}
    assert sections <= set(text.split())
    assert [name for name in parameters if name not in text] == []


def test_stubs_are_installed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_lmtokens.pyi").is_file()


def test_distribution_declares_no_dependency() -> None:
    required = importlib.metadata.requires("lmtokens") or []
    assert [name for name in required if "extra ==" not in name] == []
