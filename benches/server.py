"""nginx as the portal: TLS on loopback, static responses, and no limit on the requests of a connection."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from peers import CREATE, LIST, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

REST = "/santaba/rest"
TOKENS = 10_000

# Clients continue a list with `filter=id>N` or with `offset=N`. The ids are 1 to TOKENS.
CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    default_type application/json;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
    open_file_cache max=100;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $args $page {{
        ~filter=id%3E(?<last_id>[0-9]+) after-$last_id;
        ~offset=(?<offset>[0-9]+) offset-$offset;
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.pem;
        location = {create} {{ return 200 '{created}'; }}
        location = {list} {{ root {folder}; rewrite ^ /pages/$page.json break; }}
    }}
}}
"""


def token(number: int, **members: object) -> dict[str, object]:
    """Return a token as the portal's lists show it."""
    return {
        "id": number,
        "accessId": f"invented{number:012}",
        "accessKey": None,
        "adminId": 32,
        "adminName": "api-user",
        "roles": ["administrator"],
        "status": 2,
        "note": "ci",
        "createdBy": "admin",
        "createdOn": 1_700_000_000 + number,
        "lastUsedOn": 0,
        "lastAuthIp": "",
        "userPermission": "write",
        **members,
    }


@contextmanager
def serve() -> Iterator[dict[str, str]]:
    """Run nginx; yield the environment variables with which a client uses it."""
    with tempfile.TemporaryDirectory(prefix="lmtokens-bench-") as name:
        folder = Path(name)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        write_certificates(folder)
        write_pages(folder / "pages")
        configuration = CONFIGURATION.format(
            # Else the workers of a server that root starts could not read the folder.
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            folder=folder,
            port=port,
            create=REST + CREATE,
            list=REST + LIST,
            created=json.dumps(token(248, accessKey="invented-key".ljust(48, "-"))),
        )
        (folder / "nginx.conf").write_text(configuration, encoding="ascii")
        command = [nginx() or "nginx", "-p", name, "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command) as server:
            try:
                wait_until_ready(port, server)
                yield {
                    "LM_COMPANY": "example",
                    "LM_BASE_URL": f"https://127.0.0.1:{port}{REST}",
                    "LM_ACCESS_ID": "exampleAccessId00001",
                    "LM_ACCESS_KEY": "invented-access-key",
                    "SSL_CERT_FILE": str(folder / "trusted.pem"),
                    "REQUESTS_CA_BUNDLE": str(folder / "trusted.pem"),
                }
            finally:
                server.terminate()


def nginx() -> str | None:
    """Return the path of nginx, which Debian keeps outside the PATH of users."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def write_certificates(folder: Path) -> None:
    """Write the server's certificate, and a bundle of the authority and the system's certificates.

    A client that loads the bundle does the work that it does on a user's machine.
    """
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    system = ssl.create_default_context().get_ca_certs(binary_form=True)
    bundle = [authority.cert_pem.bytes().decode(), *map(ssl.DER_cert_to_PEM_cert, system)]
    (folder / "trusted.pem").write_text("".join(bundle), encoding="ascii")


def write_pages(folder: Path) -> None:
    """Write the pages of a list, for clients that continue after an id and for those that continue at an offset."""
    folder.mkdir()
    for skipped in range(0, TOKENS, PAGE_SIZE):
        items = [token(number) for number in range(skipped + 1, skipped + PAGE_SIZE + 1)]
        for name, total in (("after", TOKENS - skipped), ("offset", TOKENS)):
            page = json.dumps({"total": total, "items": items, "searchId": None}, separators=(",", ":"))
            (folder / f"{name}-{skipped}.json").write_text(page, encoding="ascii")


def wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until nginx accepts connections."""
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"nginx exited with status {server.returncode}")
