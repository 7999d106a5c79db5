"""What is in deploy/ holds together: each file passes its own tool, and says of the server what the server's code says.

A tool that is missing skips its test and is named: the extra `deploy` brings hadolint and the schemas of Kubernetes,
the system's packages bring systemd-analyze.
"""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from leveret import __version__
from leveret.cli.main import cli
from leveret.modules import STORE_BROKEN
from leveret.server import ServerConfig
from scalestack.http.module import HttpConfig
from scalestack.net.module import NetConfig
from support.process import leveret

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
UNIT = DEPLOY / "systemd/leveret.service"
KUBERNETES = DEPLOY / "kubernetes"
NGINX = (DEPLOY / "nginx/leveret.conf").read_text()
CADDY = (DEPLOY / "caddy/Caddyfile").read_text()
HAPROXY = (DEPLOY / "haproxy/haproxy.cfg").read_text()


def tool(name):
    """The path of a program: beside this Python, or the system's."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/sbin:/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command, cwd=None):
    """What a tool that is content says; an error with it where it is not."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def settings(*options, environ=None):
    """What `leveret config` has in force with these options, by key; an error where it is not content."""
    done = CliRunner().invoke(cli, ["config", *options], env=environ)
    assert done.exit_code == 0, done.output
    found = {}
    section = ""
    for line in done.output.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif " = " in line:
            key, _, value = line.partition(" = ")
            found[f"{section}.{key.strip()}"] = value.rpartition("#")[0].strip()
    return found


# The settings


def uncommented(text):
    """Settings, with those that are commented out."""
    all_of_it = re.sub(r"^# (?=\w+ = |\[[\w.]+\])", "", text, flags=re.MULTILINE)
    assert all_of_it.count("\n# ") < text.count("\n# ") - 3
    return all_of_it


def of_file(path, text):
    path.write_text(text)
    return settings("--config", str(path))


def test_the_example_of_settings_asks_for_keys_and_is_for_a_proxy_on_the_same_machine():
    found = settings("--config", str(DEPLOY / "leveret.toml"))
    assert (found["server.auth"], found["http.host"]) == ('"keys"', '"127.0.0.1"')


def test_what_is_commented_out_in_it_would_be_taken_and_listens_elsewhere_with_tls_alone(tmp_path):
    found = of_file(tmp_path / "leveret.toml", uncommented((DEPLOY / "leveret.toml").read_text()))
    assert (found["server.auth"], found["http.host"]) == ('"keys"', '"0.0.0.0"')
    assert found["http.tls_certificate"].endswith('.crt"')
    assert found["http.tls_key"].endswith('.key"')
    assert found["limits.requests"] == "500.0"


def test_tls_of_the_unit_is_what_opens_it_to_other_machines():
    lines = re.findall(r"^Environment=(.+)", (DEPLOY / "systemd/tls.conf").read_text(), re.MULTILINE)
    environ = dict(each.replace("%d", "/run").split("=", 1) for line in lines for each in line.split())
    found = settings("--config", str(DEPLOY / "leveret.toml"), environ=environ)
    assert (found["http.host"], found["http.tls_key"]) == ('"0.0.0.0"', '"/run/tls.key"')


# The image


def instructions():
    """Those of the Dockerfile in their order, each a name and its text."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line]


def of_the_image(name):
    """The text of the last instruction of this name."""
    return [text for each, text in instructions() if each == name][-1]


def in_the_context(path):
    """Whether .dockerignore lets this in: the last pattern that matches it, or a directory that it is in, says so."""
    answer = True
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        if pattern.startswith("#") or not pattern:
            continue
        wanted = pattern.removeprefix("!")
        depth = wanted.count("/") + 1
        if fnmatch("/".join(path.split("/")[:depth]), wanted):
            answer = pattern.startswith("!")
    return answer


def test_hadolint_has_nothing_to_say_about_the_dockerfile():
    assert run(tool("hadolint"), "--no-color", "--failure-threshold", "style", str(DOCKERFILE)) == ""


def test_the_image_runs_as_a_number_that_is_not_roots():
    user, _, group = of_the_image("USER").partition(":")
    assert int(user) == int(group) > 1000
    assert f"install -d -o {user} -g {group} -m 0700 {of_the_image('VOLUME')}" in of_the_image("RUN")


def test_what_the_image_is_made_of_is_there_and_gets_into_the_context():
    for name, text in instructions():
        if name == "COPY" and not text.startswith("--from"):
            *sources, _ = text.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                assert in_the_context(source), source
    assert not in_the_context("tests")
    assert not in_the_context(".git")
    assert not in_the_context("deploy/leveret.toml")


def test_the_server_takes_the_command_of_the_image():
    assert json.loads(of_the_image("ENTRYPOINT")) == ["leveret"]
    command, *options = json.loads(of_the_image("CMD"))
    assert command == "serve"
    found = settings(*options)
    assert (found["http.host"], found["server.auth"]) == ('"0.0.0.0"', '"keys"')
    assert found["server.data"] == f'"{of_the_image("VOLUME")}"'
    assert of_the_image("EXPOSE") == str(HttpConfig.port) == found["http.port"]


def test_commands_in_the_container_find_what_the_server_has():
    variables = dict(text.split("=", 1) for text in shlex.split(of_the_image("ENV")))
    own = {name: value for name, value in variables.items() if name.startswith("LEVERET_")}
    assert settings(environ=own)["server.data"] == f'"{of_the_image("VOLUME")}"'
    assert variables["PYTHON_GIL"] == "0"


def test_the_check_of_the_image_tells_a_server_that_lives_from_one_that_does_not():
    command = json.loads(of_the_image("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    with leveret("--store", "memory://") as server:
        check = [sys.executable, *command[1:-1], command[-1].replace(str(HttpConfig.port), str(server.port))]
        assert check[-1] != command[-1]
        assert subprocess.run(check, check=False, timeout=30).returncode == 0
        wrong = [*check[:-1], check[-1].replace("/health/live", "/health/dead")]
        assert subprocess.run(wrong, check=False, timeout=30).returncode == 1


def test_the_versions_in_the_image_are_those_that_the_package_allows():
    """`make deploy-lock` writes them anew."""
    lines = (DEPLOY / "requirements.txt").read_text()
    locked = {found[1]: found[2] for found in re.finditer(r"^([\w.-]+)==(\S+)", lines, re.MULTILINE)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for text in project["project"]["dependencies"]:
        wanted = Requirement(text)
        assert wanted.name in locked, f"{text}: run make deploy-lock"
        assert wanted.specifier.contains(locked[wanted.name], prereleases=True), f"{text}: run make deploy-lock"
    built = (DEPLOY / "build-requirements.txt").read_text()
    for text in project["build-system"]["requires"]:
        assert re.search(rf"^{Requirement(text).name}==", built, re.MULTILINE), f"{text}: run make deploy-lock"
    for locks in (lines, built):
        assert locks.count("\n    --hash=") >= len(re.findall(r"^\w.*==", locks, re.MULTILINE))


# systemd


@pytest.fixture(scope="module")
def unit():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def test_systemd_understands_the_unit(tmp_path):
    text = UNIT.read_text().replace("/opt/leveret/bin/leveret", sys.executable)
    (tmp_path / "leveret.service").write_text(text)
    (tmp_path / "leveret.service.d").mkdir()
    shutil.copy(DEPLOY / "systemd/tls.conf", tmp_path / "leveret.service.d")
    assert run(tool("systemd-analyze"), "verify", "--man=no", str(tmp_path / "leveret.service")) == ""


def test_systemd_finds_the_unit_well_protected():
    run(tool("systemd-analyze"), "security", "--offline=true", "--threshold=12", "--no-pager", str(UNIT))


def test_the_unit_gives_the_server_the_time_that_it_takes(unit):
    assert int(unit["TimeoutStopSec"]) > ServerConfig.grace + 5


def test_the_unit_leaves_to_a_person_what_needs_one(unit):
    assert unit["RestartPreventExitStatus"].split() == ["2", str(STORE_BROKEN)]


def test_the_unit_allows_as_many_descriptors_as_the_server_may_have_connections(unit):
    assert int(unit["LimitNOFILE"]) > NetConfig.max_connections + 1000


def test_the_server_takes_the_command_of_the_unit(unit):
    command = unit["ExecStart"].replace("${CONFIGURATION_DIRECTORY}", str(DEPLOY)).replace("${STATE_DIRECTORY}", "/var")
    program, serve, *options = shlex.split(command)
    assert (program, serve) == ("/opt/leveret/bin/leveret", "serve")
    assert settings(*options)["server.auth"] == '"keys"'


# Kubernetes


@pytest.fixture(scope="module")
def manifests():
    """By kind, those that `kubectl apply -k` takes, and the one that it doesn't."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml", "servicemonitor.yaml"]) == sorted(
        path.name for path in KUBERNETES.iterdir()
    )
    found = [yaml.safe_load((KUBERNETES / name).read_text()) for name in [*listed, "servicemonitor.yaml"]]
    return {each["kind"]: each for each in found}


@pytest.fixture(scope="module")
def pod(manifests):
    return manifests["StatefulSet"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    (only,) = pod["containers"]
    return only


@pytest.mark.parametrize("version", ["1.30", "1.34", "1.37"])  # the least that docs/deploying.md names is the first
def test_kubernetes_has_a_schema_that_each_manifest_fits(manifests, version):
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for kind, manifest in manifests.items():
        if kind != "ServiceMonitor":
            schemas.validate(manifest, version, strict=True)


def test_kustomize_puts_the_manifests_together():
    assert run(tool("kubectl"), "kustomize", str(KUBERNETES)).count("\nkind: ") == 5


def test_the_pod_has_no_right_that_it_does_not_need(pod, container):
    """The profile "restricted" of Kubernetes' Pod Security Standards, and a file system that can't be written."""
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == of_the_image("USER")
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_pod_is_asked_whether_it_lives_and_is_ready(container):
    (port,) = container["ports"]
    assert port["containerPort"] == HttpConfig.port
    with leveret("--store", "memory://") as server:
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[name]["httpGet"]
            assert probe["port"] == port["name"]
            assert run(tool("curl"), "-fsS", "--noproxy", "*", f"http://127.0.0.1:{server.port}{probe['path']}")


def test_the_pod_has_the_time_that_its_server_takes_to_stop(pod, container):
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > before + ServerConfig.grace + 5


def test_the_server_takes_the_command_and_the_settings_of_the_pod(manifests, pod, container, tmp_path):
    for name, text in manifests["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
    serve, *options = container["args"]
    assert serve == "serve"
    places = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    options = [option.replace(places["config"], str(tmp_path)) for option in options]
    found = settings(*options, environ={"LEVERET_EVENT__THREADS": "2"})
    assert [each["name"] for each in container["env"]] == ["LEVERET_EVENT__THREADS"]
    assert (found["http.host"], found["server.auth"]) == ('"0.0.0.0"', '"keys"')
    assert found["server.data"] == f'"{places["data"]}"' == f'"{of_the_image("VOLUME")}"'


def test_what_is_commented_out_in_the_settings_of_the_pod_would_be_taken(manifests, tmp_path):
    found = of_file(tmp_path / "leveret.toml", uncommented(manifests["ConfigMap"]["data"]["leveret.toml"]))
    assert (found["http.host"], found["limits.requests"]) == ('"0.0.0.0"', "500.0")


def test_the_pods_image_is_this_version(container):
    assert container["image"] == f"leveret:{__version__}"


def test_the_manifests_find_each_other(manifests, container):
    label = manifests["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service"]["spec"]["selector"] == label
    for kind in ("StatefulSet", "PodDisruptionBudget", "ServiceMonitor"):
        assert manifests[kind]["spec"]["selector"]["matchLabels"] == label
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == label
    (port,) = manifests["Service"]["spec"]["ports"]
    assert port["targetPort"] == container["ports"][0]["name"]
    assert [each["port"] for each in manifests["ServiceMonitor"]["spec"]["endpoints"]] == [port["name"]]


# Proxies; tests/test_proxies.py runs them.


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smh])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


@pytest.mark.parametrize(
    "found",
    [
        re.search(r"keepalive_timeout (\w+);", NGINX),
        re.search(r"keepalive (\w+) ", CADDY),
        re.search(r"pool-purge-delay (\w+)", HAPROXY),
    ],
)
def test_a_proxy_closes_an_idle_connection_before_the_server_does(found):
    assert seconds(found[1]) + 10 <= HttpConfig.idle_timeout


@pytest.mark.parametrize(
    "found", [re.search(r"client_max_body_size +(\d+)m;", NGINX), re.search(r"max_size (\d+)Mi", CADDY)]
)
def test_a_proxy_takes_the_bodies_that_the_server_takes(found):
    assert int(found[1]) << 20 == HttpConfig.max_body


def test_nginx_takes_the_heads_that_the_server_takes():
    assert int(re.search(r"large_client_header_buffers +\d+ (\d+)k;", NGINX)[1]) << 10 >= HttpConfig.max_head


def test_haproxy_takes_the_heads_that_the_server_takes():
    assert int(re.search(r"tune.bufsize (\d+)", HAPROXY)[1]) >= HttpConfig.max_head
    assert int(re.search(r"tune.http.maxhdr (\d+)", HAPROXY)[1]) > HttpConfig.max_headers
