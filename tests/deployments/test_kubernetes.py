"""That what we send to a cluster is valid there, confined, and takes no orders from the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.version import Version
from prefect.utilities.templating import apply_values, find_placeholders

TEMPLATES = ("cpu", "gpu")
# Addresses that documents may use and nobody has (RFC 5737).
NOBODYS = ("192.0.2.", "198.51.100.", "203.0.113.")


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest, deployments: Path) -> dict[str, Any]:
    path = deployments / "kubernetes" / f"job-{request.param}.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def rendered(template: dict[str, Any], **variables: Any) -> dict[str, Any]:
    """The job that Prefect's worker makes of a template: defaults, then what a flow run sets."""
    jsonschema.validate(variables, template["variables"])
    properties = template["variables"]["properties"]
    values = {name: each["default"] for name, each in properties.items()} | variables
    job: dict[str, Any] = apply_values(template["job_configuration"], values)["job_manifest"]
    return job


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def only(manifests: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    found = [
        each
        for each in manifests
        if each["kind"] == kind and name in ("", each["metadata"]["name"])
    ]
    assert len(found) == 1, (kind, name)
    return found[0]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def test_every_manifest_is_what_the_api_server_takes(
    manifests: list[dict[str, Any]], is_valid: Any
) -> None:
    assert len(manifests) > 10
    for manifest in manifests:
        is_valid(manifest)


def test_a_key_that_kubernetes_does_not_have_is_found(
    manifests: list[dict[str, Any]], is_valid: Any
) -> None:
    worker = json.loads(json.dumps(only(manifests, "Deployment")))
    worker["spec"]["template"]["spec"]["securityContext"]["runAsNotRoot"] = True
    with pytest.raises(AssertionError, match="runAsNotRoot"):
        is_valid(worker)


@pytest.mark.parametrize("capacity", ["reserved", "on_demand", "spot"])
def test_a_rendered_job_is_valid_and_whole(
    template: dict[str, Any], is_valid: Any, capacity: str
) -> None:
    job = rendered(template, capacity=capacity, cpu="500m", memory="1Gi", limit_seconds=600)
    assert not find_placeholders(job)
    is_valid(job)
    assert job["spec"]["activeDeadlineSeconds"] == 600
    assert pod_of(job)["containers"][0]["resources"]["limits"]["cpu"] == "500m"


@pytest.mark.parametrize(
    "variables",
    [
        {"command": "sh -c evil"},
        {"image": "evil"},
        {"env": {"MILLRACE_CLEARANCE": "restricted"}},
        {"service_account_name": "admin"},
        {"capacity": "free"},
        {"namespace": "kube system"},
        {"cpu": "-1"},
    ],
)
def test_no_job_variable_says_what_runs_or_as_whom(
    template: dict[str, Any], variables: dict[str, Any]
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        rendered(template, **variables)


def test_what_runs_stands_in_the_template_and_holds_no_variable(template: dict[str, Any]) -> None:
    job = template["job_configuration"]["job_manifest"]
    work = pod_of(job)["containers"][0]
    assert work["args"] == ["python", "-m", "millrace.flows.entry"]
    assert "command" not in work, "the image's entry point decides what may run"
    for part in ("args", "env", "envFrom", "image", "securityContext", "volumeMounts"):
        assert not find_placeholders(work[part]), part
    assert not find_placeholders(pod_of(job)["serviceAccountName"])
    assert "env" not in template["job_configuration"]


def test_prefects_worker_takes_the_template(template: dict[str, Any]) -> None:
    # It refuses another name of the container, and sets labels app.kubernetes.io/… of its own over
    # those of the template, so that no policy may stand on them.
    job = rendered(template)
    assert pod_of(job)["containers"][0]["name"] == "prefect-job"
    assert not any(
        label.startswith(("app.kubernetes.io/", "prefect.io/"))
        for label in job["spec"]["template"]["metadata"]["labels"]
    )


def test_a_job_is_confined_and_has_time_to_let_go(template: dict[str, Any]) -> None:
    pod = pod_of(rendered(template))
    work = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert work["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["terminationGracePeriodSeconds"] >= 30
    assert pod["restartPolicy"] == "Never"
    assert all(set(volume) == {"name", "emptyDir"} for volume in pod["volumes"])
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"])
    assert work["resources"]["limits"] == work["resources"]["requests"]
    assert {"cpu", "memory", "ephemeral-storage"} <= work["resources"]["limits"].keys()


def test_the_variable_capacity_chooses_the_nodes(template: dict[str, Any]) -> None:
    for capacity in ("on_demand", "spot"):
        pod = pod_of(rendered(template, capacity=capacity))
        tolerated = [
            each["value"] for each in pod["tolerations"] if each["key"] == "millrace/capacity"
        ]
        assert tolerated == [capacity]
        required = pod["affinity"]["nodeAffinity"]
        terms = required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert {"key": "millrace/capacity", "operator": "In", "values": [capacity]} in terms[0][
            "matchExpressions"
        ]


def test_a_gpu_job_asks_for_its_gpus_and_their_class(deployments: Path) -> None:
    template = json.loads((deployments / "kubernetes" / "job-gpu.json").read_text())
    pod = pod_of(rendered(template, gpus=2, device="l40s"))
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert "l40s" in json.dumps(pod["affinity"])


def test_secrets_are_references_and_what_is_referred_to_has_one_name(
    template: dict[str, Any], manifests: list[dict[str, Any]]
) -> None:
    work = pod_of(rendered(template))["containers"][0]
    plain = {each["name"]: each["value"] for each in work["env"] if "value" in each}
    assert plain == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}, "the automation counts these"
    pool = only(manifests, "ConfigMap", "millrace-pool")
    assert {"configMapRef": {"name": pool["metadata"]["name"]}} in work["envFrom"]
    assert not re.search("auth|key|secret|password", json.dumps(list(pool["data"])), re.IGNORECASE)
    accounts = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    assert pod_of(rendered(template))["serviceAccountName"] in accounts


def test_the_worker_is_confined_and_cannot_read_secrets(manifests: list[dict[str, Any]]) -> None:
    pod = only(manifests, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    rules = only(manifests, "Role")["rules"]
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert resources == {"jobs", "pods", "pods/log", "pods/status", "events"}
    assert not any("*" in rule["verbs"] for rule in rules)


def test_the_worker_has_the_version_of_prefect_that_we_are_locked_to(
    manifests: list[dict[str, Any]],
) -> None:
    import prefect

    image = only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    version = image.partition(":")[2].partition("-")[0]
    assert Version(version) == Version(prefect.__version__)


def test_jobs_reach_names_the_server_and_the_store_and_nothing_else(
    manifests: list[dict[str, Any]], template: dict[str, Any]
) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in manifests
                if each["kind"] == "NetworkPolicy"}  # fmt: skip
    assert policies["nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = rendered(template)["spec"]["template"]["metadata"]["labels"]
    mine = [
        rule
        for spec in policies.values()
        if selects(spec["podSelector"], labels)
        for rule in spec.get("egress", [])
    ]
    blocks = [to["ipBlock"]["cidr"] for rule in mine for to in rule["to"] if "ipBlock" in to]
    assert len(mine) == 3
    assert len(blocks) == 2
    assert all(cidr.startswith(NOBODYS) for cidr in blocks), "closed until somebody opens it"
    assert not any("ingress" in spec for spec in policies.values())


def test_the_cluster_refuses_what_the_templates_do_not_do(
    manifests: list[dict[str, Any]], template: dict[str, Any]
) -> None:
    policy = only(manifests, "ValidatingAdmissionPolicy")["spec"]
    rules = " ".join(each["expression"] for each in policy["validations"])
    pod = pod_of(rendered(template))
    work = pod["containers"][0]
    assert str(work["args"]) in rules
    assert f"'{pod['serviceAccountName']}'" in rules
    for source in work["envFrom"]:
        assert f"'{next(iter(source.values()))['name']}'" in rules
    images = only(manifests, "ConfigMap", "millrace-admission")["data"]["images"]
    assert work["image"].startswith(images)
    binding = only(manifests, "ValidatingAdmissionPolicyBinding")["spec"]
    assert binding["validationActions"] == ["Deny"]
    assert binding["paramRef"]["parameterNotFoundAction"] == "Deny"
    assert policy["failurePolicy"] == "Fail"
