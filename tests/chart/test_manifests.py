"""What the chart renders is valid Kubernetes, for the least, the recommended and the fullest values."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from deploy import pages
from deploy.local.settings import PUBLISHERS
from services.catalog import events as catalog_events
from services.chassis import config
from services.orders import events as orders_events
from services.warehouse import events as warehouse_events
from services.webhooks import events as webhook_events
from tests.chart.rendering import (
    CHART,
    NAMESPACE,
    VALUES,
    manifests,
    named,
    pod_specs,
    run_helm,
    template,
)

KUBERNETES = ("1.27", "1.34")
CUSTOM = {"ScaledObject": "keda.sh/v1alpha1", "ServiceMonitor": "monitoring.coreos.com/v1"}
"""Kinds that operators bring, with the version that we write; Kubernetes' own schemas do not know them."""

SETTINGS = dict(pages.SERVICES)

WITH_GRPC = [service for service, settings in SETTINGS.items() if "grpc_port" in settings.model_fields]
"""Those that others call; each has a database."""

every_values = pytest.mark.parametrize("values", VALUES)


@every_values
def test_the_chart_passes_the_strict_lint(values: str) -> None:
    done = run_helm("lint", "--strict", CHART, "--values", VALUES[values])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout


@every_values
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(values: str, version: str) -> None:
    found = manifests(values)
    assert found
    for manifest in found:
        if manifest["kind"] in CUSTOM:
            assert manifest["apiVersion"] == CUSTOM[manifest["kind"]]
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


@every_values
def test_names_are_unique_and_everything_is_in_the_release_namespace(values: str) -> None:
    found = manifests(values)
    names = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(names) == len(set(names))
    assert {one["metadata"]["namespace"] for one in found} == {NAMESPACE}


@every_values
def test_every_pod_is_fit_for_the_restricted_standard(values: str) -> None:
    for name, pod in pod_specs(values):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"], name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" in container["resources"]["requests"], name


@every_values
def test_every_variable_is_one_that_the_service_reads(values: str) -> None:
    for service, settings in SETTINGS.items():
        known = config.variables(settings)
        given = named(manifests(values, "ConfigMap"), service)["data"]
        # What all services are told together, some may not know.
        assert given.keys() - known.keys() <= {"GRPC_REFLECTION"}
        assert all(isinstance(value, str) for value in given.values())
        deployment = named(manifests(values, "Deployment"), service)
        secrets = secret_files(deployment["spec"]["template"]["spec"])
        assert secrets <= known.keys()
        required = {name for name, field in known.items() if field.is_required()}
        assert required <= given.keys() | secrets


def secret_files(pod: dict[str, Any]) -> set[str]:
    """The names under which a pod finds its secrets."""
    volume = next(one for one in pod["volumes"] if one["name"] == "secrets")
    return {item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]}


@every_values
def test_probes_ports_and_addresses_are_those_that_a_service_listens_on(values: str) -> None:
    for service, settings in SETTINGS.items():
        fields = settings.model_fields
        pod = named(manifests(values, "Deployment"), service)["spec"]["template"]["spec"]
        container = pod["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        public = "port" if service == "gateway" else "grpc_port"
        assert ports["admin"] == fields["admin_port"].default
        assert ports["http" if service == "gateway" else "grpc"] == fields[public].default
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
        assert pod["terminationGracePeriodSeconds"] > float(
            named(manifests(values, "ConfigMap"), service)["data"][f"{service.upper()}_DRAIN_GRACE_S"]
        )


@every_values
def test_the_gateway_finds_every_replica_of_a_service_by_its_headless_name(values: str) -> None:
    given = named(manifests(values, "ConfigMap"), "gateway")["data"]
    for service in WITH_GRPC:
        found = named(manifests(values, "Service"), service)
        assert found["spec"]["clusterIP"] == "None"
        port = next(one for one in found["spec"]["ports"] if one["name"] == "grpc")["port"]
        address = given[f"{service.upper()}_ADDRESS"]
        assert address.startswith(f"dns:///{found['metadata']['name']}.{NAMESPACE}.svc.")
        assert address.endswith(f":{port}")


@every_values
def test_setup_runs_before_and_needs_nothing_that_comes_with_the_release(values: str) -> None:
    jobs = manifests(values, "Job")
    assert len(jobs) == len(WITH_GRPC)
    for job in jobs:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        pod = job["spec"]["template"]["spec"]
        assert "serviceAccountName" not in pod
        container = pod["containers"][0]
        assert container["args"] == ["setup"]
        assert not [one for one in container.get("envFrom", []) if "configMapRef" in one]
        variables = {one["name"] for one in container["env"]}
        assert {"KAFKA_BOOTSTRAP", "SECRETS_DIR"} <= variables
        publishes = job["metadata"]["name"].removesuffix("-setup").rpartition("-")[2] in PUBLISHERS
        assert ({"TOPIC_PARTITIONS", "TOPIC_REPLICATION"} <= variables) == publishes


def test_setup_may_have_an_address_of_its_own() -> None:
    job = named(manifests("everything", "Job"), "orders-setup")
    volume = next(one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "secrets")
    owner = {"name": "orders-owner", "items": [{"key": "direct-uri", "path": "ORDERS_DSN"}]}
    assert {"secret": owner} in volume["projected"]["sources"]
    assert "uri" not in [one["secret"]["items"][0]["key"] for one in volume["projected"]["sources"]]


def test_every_certificate_is_mounted_where_its_variable_says() -> None:
    both = {"grpc": "internal", "kafka": "brokers"}
    for service in SETTINGS:
        wanted = both | ({"http": "public"} if service == "gateway" else {"postgres": "databases"})
        if service == "orders":
            wanted["grpc"] = "orders-internal"
        pods = [named(manifests("everything", "Deployment"), service)["spec"]["template"]["spec"]]
        if service in WITH_GRPC:
            pods.append(named(manifests("everything", "Job"), f"{service}-setup")["spec"]["template"]["spec"])
        for pod in pods:
            mounted = {
                mount["mountPath"].rpartition("/")[2]: volume["secret"]["secretName"]
                for mount in pod["containers"][0]["volumeMounts"]
                for volume in pod["volumes"]
                if volume["name"] == mount["name"]
                and mount["mountPath"].startswith("/etc/sampan/certificates/")
            }
            assert mounted == wanted
        given = named(manifests("everything", "ConfigMap"), service)["data"]
        files = {value for name, value in given.items() if name.endswith("_FILE")}
        assert {path.split("/")[4] for path in files} == wanted.keys() - {"postgres"}
        assert given["GRPC_TLS_KEY_FILE"] == "/etc/sampan/certificates/grpc/tls.key"


@every_values
def test_a_deployment_states_replicas_only_where_nothing_scales_it(values: str) -> None:
    scaled = [
        one["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for one in manifests(values, kind)
    ]
    assert len(scaled) == len(set(scaled)), "two scalers pull at one deployment"
    for deployment in manifests(values, "Deployment"):
        assert ("replicas" in deployment["spec"]) == (deployment["metadata"]["name"] not in scaled)


def test_scaling_by_lag_watches_the_groups_and_topics_of_the_code() -> None:
    def watched(service: str) -> set[tuple[str, str]]:
        triggers = named(manifests("everything", "ScaledObject"), service)["spec"]["triggers"]
        lag = [one["metadata"] for one in triggers if one["type"] == "kafka"]
        return {(one["consumerGroup"], one["topic"]) for one in lag}

    assert watched("orders") == {
        (orders_events.FULFILMENTS_GROUP, orders_events.FULFILMENTS_TOPIC),
        (orders_events.CATALOG_GROUP, catalog_events.PRODUCTS_TOPIC),
    }
    assert watched("warehouse") == {(warehouse_events.GROUP, warehouse_events.ORDERS_TOPIC)}
    assert watched("webhooks") == {(webhook_events.GROUP, topic) for topic in webhook_events.TOPICS}


@every_values
def test_policies_let_only_the_gateway_call_the_services(values: str) -> None:
    for service in WITH_GRPC:
        policy = named(manifests(values, "NetworkPolicy"), service)["spec"]
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        callers = next(rule for rule in policy["ingress"] if rule["ports"][0]["port"] == "grpc")["from"]
        components = {one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in callers}
        assert components == {"gateway"}


REFUSED: dict[str, tuple[list[str], str]] = {
    "an unknown value": (["--set", "kafka.bootstrp=kafka:9092"], "bootstrp"),
    "a variable that is no string": (["--set", "config.TRACE_SAMPLE_RATIO=1"], "TRACE_SAMPLE_RATIO"),
    "brokers without a port": (["--set", "kafka.bootstrap=kafka"], "bootstrap"),
    "no brokers": (["--set", "kafka.bootstrap="], "name your Kafka's brokers"),
    "a service without its secret": (["--set", "services.orders.secrets.ORDERS_DSN=null"], "ORDERS_DSN"),
    "no replica": (["--set", "defaults.replicas=0"], "replicas"),
    "a digest that is none": (["--set", "services.orders.digest=latest"], "digest"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_values_are_refused(case: str) -> None:
    done = template("--values", VALUES["minimal"], *REFUSED[case][0])
    assert done.returncode != 0, done.stdout
    assert REFUSED[case][1] in done.stderr
