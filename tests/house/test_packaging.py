"""What a stranger installs: locks, Makefile, image, compose file, CI script, licence. Docker itself is not needed."""

import ipaddress
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from ruamel.yaml import YAML
from starlette.routing import Route

from dashboard.entrance import access
from ingest.doors.http import app
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.spool.maildir import Spool
from tests.commands import commands
from tests.support import ROOT, eventually, need

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def pins(lock: str) -> dict[tuple[str, str], str]:
    """Each pin of a lock: version by name and marker."""
    collected = {}
    for line in (ROOT / lock).read_text().splitlines():
        match = PIN.fullmatch(line)
        if match:
            collected[match["name"], match["marker"] or ""] = match["version"]
    return collected


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# Locks


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_with_hashes_and_nothing_else(lock: str):
    """So no address of a registry, no path of the machine that wrote it, no option can be in it."""
    lines = (ROOT / lock).read_text().splitlines()
    strange = [line for line in lines if not PIN.fullmatch(line) and not HASH.fullmatch(line)]
    assert strange == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str):
    lines = (ROOT / lock).read_text().splitlines()
    bare = [
        line
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if PIN.fullmatch(line) and "--hash" not in after
    ]
    assert bare == []


def requirements_of(group: str) -> list[str]:
    collected = []
    for line in PROJECT["dependency-groups"][group]:
        collected += requirements_of(line["include-group"]) if isinstance(line, dict) else [line]
    return collected


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements-build.lock", requirements_of("build") + PROJECT["build-system"]["requires"]),
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements-dev.lock", PROJECT["project"]["dependencies"] + requirements_of("dev")),
    ],
)
def test_a_lock_answers_pyproject(lock: str, wanted: list[str]):
    """Whoever changes a dependency runs `make lock`."""
    locked: dict[str, list[str]] = {}
    for (name, _marker), version in pins(lock).items():
        locked.setdefault(name, []).append(version)
    for text in wanted:
        requirement = Requirement(text)
        versions = locked.get(normal(requirement.name), [])
        assert versions, f"{text} is not in {lock}"
        assert all(Version(version) in requirement.specifier for version in versions), f"{text}: {lock} has {versions}"


def test_development_runs_on_the_versions_that_users_get():
    development = pins("requirements-dev.lock")
    assert pins("requirements.lock").items() <= development.items()
    assert pins("requirements-build.lock").items() <= development.items()


# The wheel and the licence


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - inside == set()
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_the_licence_is_the_one_that_is_declared():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


# The image


DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_is_installed_from_the_lock():
    assert re.search(r"pip wheel --require-hashes --no-deps .*-r requirements\.lock", DOCKERFILE)
    assert "pip install --require-hashes --no-deps -r requirements-build.lock" in DOCKERFILE


def test_the_image_runs_without_root_rights():
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    assert re.findall(r"^USER (.+)$", last_stage, re.MULTILINE) == ["starttally"]
    assert "STOPSIGNAL SIGTERM" in last_stage


def test_base_images_are_named_with_a_version():
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) + [
        service["image"] for service in COMPOSE["services"].values()
    ]
    assert [image for image in images if not re.search(r":\d[\w.-]+$", image)] == []


def test_the_health_check_asks_a_path_that_the_door_answers(tmp_path: Path):
    asked = re.search(r"HEALTHCHECK(.|\n)*?127\.0\.0\.1:(\d+)(/\w+)", DOCKERFILE)
    assert asked is not None
    door = app.application(Settings(min_free_bytes=0), Spool(tmp_path / "spool"))
    assert asked[3] in [route.path for route in door.routes if isinstance(route, Route)]
    assert int(asked[2]) == Settings().http_listen.port


def test_the_image_gets_what_it_copies():
    """.dockerignore shuts everything out; each source of COPY is let in again, and each package is copied."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    assert copied <= allowed
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied
    assert [name for name in allowed if not (ROOT / name).exists()] == []


# The compose file

COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES = COMPOSE["services"]
OURS = ("doors", "worker", "dashboard", "migrate")
VARIABLE = re.compile(r"\$\{(\w+)(?::[?-][^}]*)?\}")
FILLED = {
    "STARTTALLY_HOSTNAME": "tlsrpt.example.com",
    "STARTTALLY_RECIPIENTS": "tlsrpt@tlsrpt.example.com",
    "STARTTALLY_DOMAINS": "",
    "STARTTALLY_ACCESS": "operator=*; alice=example.com *.example.com",
    "POSTGRES_PASSWORD": "5ecret",
    "ACME_EMAIL": "postmaster@example.com",
    "DASHBOARD_USER": "operator",
    "DASHBOARD_PASSWORD_HASH": "$2a$14$hash",
}


def environment_of(service: str) -> dict[str, str]:
    """A service's environment with .env filled in."""
    given = SERVICES[service].get("environment", {})
    return {name: VARIABLE.sub(lambda match: FILLED[match[1]], str(value)) for name, value in given.items()}


def test_the_compose_file_is_valid():
    """By Docker's own word where its compose plugin is installed, and by the schema of the compose specification."""
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*checker, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        done = subprocess.run(
            [docker, "compose", "config", "--quiet"],
            cwd=ROOT,
            env=os.environ | FILLED,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", OURS)
def test_a_service_runs_a_command_that_exists(service: str):
    assert " ".join(["starttally", *SERVICES[service]["command"]]) in commands()


@pytest.mark.parametrize("service", OURS)
def test_a_service_starts_with_its_settings(service: str, monkeypatch: pytest.MonkeyPatch):
    """An unknown name or a value that is not allowed would stop it: the real loader is asked."""
    for name, value in environment_of(service).items():
        monkeypatch.setenv(name, value)
    loaded = settings_module.load()
    assert str(loaded.spool).startswith("/var/lib/starttally/") or service == "migrate"


@pytest.mark.parametrize("service", ["worker", "dashboard", "migrate"])
def test_the_services_share_one_postgresql(service: str):
    assert environment_of(service)["STARTTALLY_DATABASE_URL"] == "postgresql://starttally:5ecret@postgres/starttally"


def test_what_a_deployer_must_fill_in_is_explained():
    """Each variable of the compose file stands in .env.example, and nothing else does."""
    example = re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    used = {match[1] for match in VARIABLE.finditer((ROOT / "docker-compose.yml").read_text())}
    assert set(example) == used == set(FILLED)


def test_no_secret_has_a_default():
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in ("POSTGRES_PASSWORD", "DASHBOARD_PASSWORD_HASH"):
        assert set(re.findall(rf"\$\{{{secret}([^}}]*)\}}", text)) == {":?set it in .env"}
        assert f"\n{secret}=\n" in (ROOT / ".env.example").read_text()


def test_only_the_doors_and_caddy_are_reachable():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"doors": ["25:8025"], "caddy": ["80:80", "443:443", "443:443/udp"]}


def test_the_doors_cannot_reach_the_database():
    """They face strangers."""
    assert set(SERVICES["doors"]["networks"]).isdisjoint(SERVICES["postgres"]["networks"])
    assert "STARTTALLY_DATABASE_URL" not in environment_of("doors")


def test_the_dashboard_has_no_way_out():
    assert all(COMPOSE["networks"][name]["internal"] for name in SERVICES["dashboard"]["networks"])


def test_the_doors_wait_for_nothing():
    """Without the database reports are taken into the spool, without a certificate they come without STARTTLS."""
    assert "depends_on" not in SERVICES["doors"]


def test_senders_over_ipv6_keep_their_addresses():
    """And Caddy, whose X-Forwarded-For the HTTP door believes, has one known address of either kind."""
    network = COMPOSE["networks"]["doors"]
    assert network["enable_ipv6"] is True
    given = environment_of("doors")
    assert given["STARTTALLY_SMTP_LISTEN"].startswith("[::]")
    assert given["STARTTALLY_HTTP_LISTEN"].startswith("[::]")
    caddy = set(SERVICES["caddy"]["networks"]["doors"].values())
    assert caddy == {word.strip() for word in given["STARTTALLY_HTTP_PROXIES"].split(",")}
    for place in network["ipam"]["config"]:
        subnet, given_out = ipaddress.ip_network(place["subnet"]), ipaddress.ip_network(place["ip_range"])
        (address,) = [
            ipaddress.ip_address(word) for word in caddy if ipaddress.ip_address(word).version == subnet.version
        ]
        assert address in subnet
        assert address not in given_out


def test_the_others_wait_for_the_migration():
    for service in ("worker", "dashboard"):
        assert SERVICES[service]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_nothing_of_the_host_is_mounted():
    """Data lives in named volumes, and each is defined."""
    used = {mount.partition(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_files_that_compose_reads_exist():
    assert [config["file"] for config in COMPOSE["configs"].values() if not (ROOT / config["file"]).is_file()] == []


def test_the_image_carries_the_version_of_the_project():
    assert {SERVICES[service]["image"] for service in OURS} == {f"starttally:{PROJECT['project']['version']}"}


@pytest.mark.parametrize("service", OURS)
def test_our_services_run_with_little(service: str):
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["read_only"] is True


def test_caddy_lets_strangers_to_the_http_door_only():
    """The site has two handlers: reports, and everything else behind the password."""
    text = (ROOT / "docs/deploy/Caddyfile").read_text()
    assert re.search(r"@reports path /v1/tlsrpt /v1/tlsrpt/\n", text)
    handlers = dict(re.findall(r"\thandle ?(@?\w*) ?\{\n(.*?)\n\t\}", text, re.DOTALL))
    assert handlers["@reports"].split() == ["reverse_proxy", "doors:8080"]
    assert handlers[""].index("basic_auth") < handlers[""].index("reverse_proxy dashboard:8501")
    assert text.count("reverse_proxy") == 2


def fixed_address(network: str) -> tuple[str, ipaddress.IPv4Network]:
    """Caddy's address on a network, which no other container may be given, and the network's addresses."""
    address = SERVICES["caddy"]["networks"][network]["ipv4_address"]
    given_out = COMPOSE["networks"][network]["ipam"]["config"][0]
    subnet = ipaddress.IPv4Network(given_out["subnet"])
    assert ipaddress.ip_address(address) in subnet
    assert ipaddress.ip_address(address) not in ipaddress.ip_network(given_out["ip_range"])
    return address, subnet


def test_caddy_is_the_proxy_that_the_dashboard_believes(monkeypatch: pytest.MonkeyPatch):
    """Its address is fixed, is not one that another container may get first, and it names the user as the settings say."""
    for name, value in environment_of("dashboard").items():
        monkeypatch.setenv(name, value)
    loaded = settings_module.load()
    address, subnet = fixed_address("pages")
    assert [str(network) for network in loaded.dashboard_proxies] == [f"{address}/32"]
    sent = re.findall(r"header_up (\S+) \{http\.auth\.user\.id\}", (ROOT / "docs/deploy/Caddyfile").read_text())
    assert sent == [loaded.dashboard_user_header]
    headers = [(sent[0].lower().encode(), b"operator")]
    assert access.admit(loaded, address, "/", headers) == "operator"
    with pytest.raises(access.RefusedVisitor):
        access.admit(loaded, str(subnet[2]), "/", headers)


def test_caddy_is_the_proxy_that_the_doors_believe(monkeypatch: pytest.MonkeyPatch):
    """Else all uploads would count as one client's."""
    for name, value in environment_of("doors").items():
        monkeypatch.setenv(name, value)
    for name in ("STARTTALLY_TLS_CERTIFICATE", "STARTTALLY_TLS_KEY"):
        monkeypatch.delenv(name)
    address, _ = fixed_address("doors")
    assert f"{address}/32" in map(str, settings_module.load().http_proxies)


def test_the_health_check_of_the_dashboard_needs_no_user(monkeypatch: pytest.MonkeyPatch):
    """It runs inside of the container, not behind Caddy."""
    for name, value in environment_of("dashboard").items():
        monkeypatch.setenv(name, value)
    asked = re.search(r"http://127\.0\.0\.1:8501(/[\w/]+)", SERVICES["dashboard"]["healthcheck"]["test"][-1])
    assert asked is not None
    assert access.admit(settings_module.load(), "127.0.0.1", asked[1], []) == ""


def test_caddy_finds_the_services_where_they_listen():
    assert environment_of("doors")["STARTTALLY_HTTP_LISTEN"].endswith(":8080")
    assert environment_of("dashboard")["STARTTALLY_DASHBOARD_LISTEN"].endswith(":8501")
    for service in ("doors", "dashboard"):
        assert set(SERVICES[service]["networks"]) & set(SERVICES["caddy"]["networks"])


# The script that hands Caddy's certificate to the SMTP door


@pytest.fixture
def handing_over(tmp_path: Path):
    """The script at work over two folders: Caddy's, and the door's."""
    if sys.platform != "linux":
        pytest.skip("the script is for the image's shell; BSD's mv has no -T")
    source, target = tmp_path / "caddy" / "authority" / "tlsrpt.example.com", tmp_path / "door"
    source.mkdir(parents=True)
    target.mkdir()
    environment = os.environ | {
        "NAME": "tlsrpt.example.com",
        "FROM": str(tmp_path / "caddy"),
        "TO": str(target),
        "GROUP": str(os.getgid()),
        "EVERY": "0.1",
    }
    script = ["/bin/sh", str(ROOT / "docs/deploy/certificate.sh")]
    process = subprocess.Popen(script, env=environment, stdout=subprocess.DEVNULL)
    yield source, target / "current"
    process.terminate()
    assert process.wait(10) == 0


def test_a_certificate_reaches_the_door_once_it_is_there(handing_over: tuple[Path, Path]):
    source, current = handing_over
    (source / "tlsrpt.example.com.crt").write_text("chain")
    (source / "tlsrpt.example.com.key").write_text("key")
    eventually(lambda: (current / "key.pem").exists())
    assert (current / "chain.pem").read_text(), (current / "key.pem").read_text() == ("chain", "key")


def test_the_key_is_for_its_group_only(handing_over: tuple[Path, Path]):
    source, current = handing_over
    (source / "tlsrpt.example.com.crt").write_text("chain")
    (source / "tlsrpt.example.com.key").write_text("key")
    eventually(lambda: (current / "key.pem").exists())
    assert (current / "key.pem").stat().st_mode & 0o777 == 0o440
    assert current.stat().st_mode & 0o777 == 0o750


def test_a_renewal_reaches_the_door(handing_over: tuple[Path, Path]):
    source, current = handing_over
    (source / "tlsrpt.example.com.crt").write_text("chain")
    (source / "tlsrpt.example.com.key").write_text("key")
    eventually(lambda: (current / "key.pem").exists())
    (source / "tlsrpt.example.com.crt").write_text("renewed chain")
    (source / "tlsrpt.example.com.key").write_text("renewed key")
    eventually(lambda: (current / "key.pem").read_text() == "renewed key")
    eventually(lambda: (current / "chain.pem").read_text() == "renewed chain")
    eventually(lambda: len(list(current.parent.glob("pair.*"))) == 1)


# Makefile and CI


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """GNU make over our Makefile in a folder of its own."""
    shutil.copy(ROOT / "Makefile", folder)
    program = need("make", "make")
    # The tests run under make themselves; its flags are not for this one.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def python_that(folder: Path, answer: str) -> Path:
    """A stand-in for Python: a shell script that sees what it is asked."""
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


def test_make_alone_lists_the_targets(tmp_path: Path):
    listed = make(tmp_path)
    assert listed.returncode == 0
    for target in ("run", "test", "lint", "format", "bench", "docs", "lock", "clean"):
        assert f"make {target} " in listed.stdout


def test_an_old_python_is_refused_in_words(tmp_path: Path):
    done = make(tmp_path, "run", f"PYTHON={python_that(tmp_path, 'exit 1')}")
    assert done.returncode != 0
    assert "is not Python 3.11 or later" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_no_python_at_all_is_said_in_words(tmp_path: Path):
    done = make(tmp_path, "run", "PYTHON=")
    assert done.returncode != 0
    assert "needs Python 3.11 or later" in done.stderr


def test_a_python_without_venv_is_refused_with_the_remedy(tmp_path: Path):
    """Debian splits the venv module off."""
    stand_in = python_that(tmp_path, 'case "$*" in *ensurepip*) exit 1;; *) exit 0;; esac')
    done = make(tmp_path, "run", f"PYTHON={stand_in}")
    assert done.returncode != 0
    assert "sudo apt install python3-venv" in done.stderr


def test_bench_does_not_pretend(tmp_path: Path):
    """A benchmark that ends with an error is named, and make fails."""
    skipped = [word for target in (".venv/.development", ".venv/.runtime", ".venv/.python") for word in ("-o", target)]
    done = make(tmp_path, "bench", 'OPTIONS="nothing-of-that-name"', f"VENV={ROOT / '.venv' / 'bin'}", *skipped)
    assert done.returncode != 0


def test_ci_without_its_programs_and_without_apt_says_what_is_missing(tmp_path: Path):
    """It must not run half of the tests and call that a success."""
    for name in ("bash", "dirname", "env", "sort", "python3", "perl"):
        program_path = shutil.which(name)
        if program_path:
            (tmp_path / name).symlink_to(program_path)
    done = subprocess.run(
        [tmp_path / "bash", str(ROOT / ".ci/run")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "only root can install them" in done.stderr
    assert "swaks" in done.stderr
