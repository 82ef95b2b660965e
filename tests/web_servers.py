"""nginx, Apache and Caddy as docs/deploy/web-server has them, running without privileges on a port of loopback."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.certificates import write_certificate
from tests.support import ROOT, eventually, free_port, need

NAME, USER, PASSWORD = "tlsrpt.example.com", "operator", "a password of the operator's"
_FILES = ROOT / "docs/deploy/web-server"
_LETSENCRYPT = f"/etc/letsencrypt/live/{NAME}"
Change = Callable[[str], str]


@contextlib.contextmanager
def running(server: str, http: int, dashboard: int, change: Change = lambda text: text) -> Iterator[int]:
    """The port of ``server`` (nginx, apache or caddy) in front of the two ports. ``change`` makes its documented file wrong."""
    # Apache and nginx read these as the unprivileged account that they serve as; pytest's folders are root's alone.
    folder = Path(tempfile.mkdtemp(prefix=f"starttally-{server}-"))
    folder.chmod(0o755)
    port = free_port()
    try:
        certificate, key = write_certificate(folder, NAME)
        (folder / "passwords").write_text(f"{USER}:{_hashed()}\n")
        command, text = {"nginx": _nginx, "apache": _apache, "caddy": _caddy}[server](folder, port)
        for documented, ours in (
            (f"{_LETSENCRYPT}/fullchain.pem", str(certificate)),
            (f"{_LETSENCRYPT}/privkey.pem", str(key)),
            ("127.0.0.1:8080", f"127.0.0.1:{http}"),
            ("127.0.0.1:8501", f"127.0.0.1:{dashboard}"),
        ):
            assert server == "caddy" or documented in text, documented
            text = text.replace(documented, ours)
        (folder / "site.conf").write_text(change(text))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=_environment(folder))
        try:
            eventually(lambda: _listens(process, port, folder), 30)
            yield port
        finally:
            process.terminate()
            process.wait(20)
    finally:
        shutil.rmtree(folder)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}


def _hashed() -> str:
    made = subprocess.run(["openssl", "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True)
    return made.stdout.strip()


def _listens(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> bool:
    assert process.poll() is None, (folder / "log").read_text()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _nginx(folder: Path, port: int) -> tuple[list[str], str]:
    program = need("nginx", "nginx-light")
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid;\nworker_processes 1;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}include {folder}/site.conf;\n}}\n"
    )
    text = (_FILES / "nginx.conf").read_text()
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;").replace("listen [::]:443 ssl;", "")
    text = text.replace("/etc/nginx/starttally.htpasswd", str(folder / "passwords"))
    return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"], text


# What Debian enables by itself, and what the file's own a2enmod names.
_USUAL = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "reqtimeout", "alias")


def _apache(folder: Path, port: int) -> tuple[list[str], str]:
    program = need("apache2", "apache2")
    text = (_FILES / "apache.conf").read_text()
    named = re.search(r"a2enmod ([\w ]+) &&", text)
    assert named is not None
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in (*_USUAL, "socache_shmcb", *named[1].split())
    )
    (folder / "apache2.conf").write_text(
        f"ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nDefaultRuntimeDir {folder}\nErrorLog /dev/stderr\n"
        f"{modules}User www-data\nGroup www-data\nListen 127.0.0.1:{port}\nInclude {folder}/site.conf\n"
    )
    text = text.replace("*:443", f"127.0.0.1:{port}").replace(
        "/etc/apache2/starttally.htpasswd", str(folder / "passwords")
    )
    return [program, "-f", str(folder / "apache2.conf"), "-DFOREGROUND"], text


def _caddy(folder: Path, port: int) -> tuple[list[str], str]:
    program = need("caddy", "caddy")
    run = [program, "hash-password", "--plaintext", PASSWORD]
    hashed = subprocess.run(run, check=True, capture_output=True, text=True, env=_environment(folder)).stdout.strip()
    text = (_FILES / "Caddyfile").read_text().replace("$2a$14$...", hashed)
    version = subprocess.run(
        [program, "version"], check=True, capture_output=True, text=True, env=_environment(folder)
    ).stdout
    if [int(part) for part in re.findall(r"\d+", version)[:2]] < [2, 8]:
        text = text.replace("basic_auth {", "basicauth {")  # as the file says
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers {\n\t\tprotocols h1 h2\n\t}\n}\n"
    site = f"https://{NAME}:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/cert.pem {folder}/key.pem\n"
    text = text.replace(f"{NAME} {{\n", site)
    return [program, "run", "--config", str(folder / "site.conf"), "--adapter", "caddyfile"], options + text
