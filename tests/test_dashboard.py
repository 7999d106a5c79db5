"""The Grafana dashboard and the alerts of Prometheus ask for what the server exposes, and for nothing else."""

import json
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from support.metered import metered, samples_of
from support.process import leveret
from support.promql import asked_for
from support.web import Client, eventually

DEPLOY = Path(__file__).parent.parent / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
OF_SCRAPES = {"instance", "job"}  # labels that Prometheus itself adds
OF_PROMETHEUS = {"up"}  # metrics that it makes

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
each_query = pytest.mark.parametrize(
    ("title", "target"), QUERIES, ids=[f"{title}-{target['refId']}" for title, target in QUERIES]
)
VARIABLES = [variable for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]


def rules():
    """The expressions of the alerts: what stands behind `expr:`, on its line or indented below it."""
    return re.findall(r"^ +expr: (?:>-\n)?((?:.|\n(?= {10,}))+)", ALERTS.read_text(), re.MULTILINE)


def labels_of(samples):
    """The labels of each metric."""
    found = {}
    for name, *labels in samples:
        found.setdefault(name, set()).update(label for label, _ in labels)
    return found


@pytest.fixture(scope="module")
def limited():
    """The labels of each metric, of a server that has refused somebody because of a limit."""
    with (
        leveret("--store", "memory://", "--set", "limits.messages=0") as server,
        closing(Client(server.port)) as client,
    ):
        assert client("PUT", "/v1.1/a/q/1", b"body").status == 429
        return labels_of(samples_of(client("GET", "/metrics").text))


@pytest.fixture(scope="module")
def exposed(tmp_path_factory, limited):
    """The labels of each metric, of servers on which all has happened that the dashboard tells of."""
    with metered(tmp_path_factory.mktemp("data")) as server:
        poll = Client(server.port)
        poll._connection.request("POST", "/v1.1/a/q?limit=1&hide=60&wait=20")
        eventually(lambda: server.scrape()["leveret_parked_polls",] == 1)
        server.client("PUT", "/v1.1/a/q/1", b"body")
        poll._connection.getresponse().read()
        poll.close()
        return limited | labels_of(server.scrape())  # where nothing is limited there are no refusals


def check(exposed, expression):
    """That all of it is exposed, but for what Prometheus adds."""
    asked = asked_for(expression)
    assert asked.selected, f"no metric in {expression}"
    for metric, labels in asked.selected.items():
        if metric not in OF_PROMETHEUS:
            assert metric in exposed, expression
            assert labels - OF_SCRAPES <= exposed[metric], expression
            assert asked.grouped - OF_SCRAPES <= exposed[metric], expression


@each_query
def test_a_query_of_the_dashboard_asks_for_what_is_exposed(exposed, title, target):
    check(exposed, target["expr"])


@each_query
def test_a_legend_names_labels_that_its_query_keeps(exposed, title, target):
    asked = asked_for(target["expr"])
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    kept = asked.grouped or set.union(*(exposed[metric] for metric in asked.selected), OF_SCRAPES)
    assert named <= kept


@pytest.mark.parametrize("variable", VARIABLES, ids=[variable["name"] for variable in VARIABLES])
def test_a_variable_of_the_dashboard_has_values(exposed, variable):
    metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
    check(exposed, metric)
    assert label in exposed[next(iter(asked_for(metric).selected))] | OF_SCRAPES


def test_queries_name_variables_that_there_are():
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
    assert used == names == {"datasource", "instance", "account"}


def test_each_query_is_for_the_chosen_instances():
    for title, target in QUERIES:
        assert all("instance" in labels for labels in asked_for(target["expr"]).selected.values()), title


def test_panels_have_a_number_of_their_own_and_lie_on_the_grid():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize("expression", rules())
def test_an_alert_asks_for_what_is_exposed(exposed, expression):
    check(exposed, expression)


def test_all_alerts_were_found():
    assert len(rules()) == ALERTS.read_text().count("- alert:") > 5


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
def test_promtool_finds_nothing_wrong_with_the_alerts():
    done = subprocess.run(
        ["promtool", "check", "rules", ALERTS], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
def test_promtool_reads_all_queries_of_the_dashboard(tmp_path):
    records = [
        {"record": f"query:{number}", "expr": target["expr"].replace("$__rate_interval", "5m")}
        for number, (_, target) in enumerate(QUERIES)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))  # which is YAML as well
    done = subprocess.run(["promtool", "check", "rules", path], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("expression", "selected", "grouped"),
    [
        ("up", {"up": set()}, set()),
        ('up{job="a, b{c}", x!~"d"}', {"up": {"job", "x"}}, set()),
        ("sum by (a, le) (rate(m_total[5m] offset 1h)) / 2e3", {"m_total": set()}, {"a", "le"}),
        ("sum(m{a='1'}) without (b) > bool on (c) group_left n", {"m": {"a"}, "n": set()}, {"b", "c"}),
        ("topk(3, m) and n unless -o", {"m": set(), "n": set(), "o": set()}, set()),
        ("m  # not this\n> 0.5", {"m": set()}, set()),
    ],
)
def test_what_an_expression_asks_for(expression, selected, grouped):
    asked = asked_for(expression)
    assert (asked.selected, asked.grouped) == (selected, grouped)


def test_what_is_no_expression():
    with pytest.raises(ValueError, match="no token"):
        asked_for("m ? n")
