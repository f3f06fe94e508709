"""Builds every overlay and checks what comes of it: `manifests.py BINARY`.

Strict schemas of Kubernetes 1.30 and 1.36 for its own kinds, closed schemas for the others, and our rules:
the restricted profile, memory, times to end, probes, ports, and that the configuration can be used with
the secrets there are. Each kind of mistake is then made on purpose and must be refused."""

import copy
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

import jsonschema
import kubernetes_validate
import yaml

HERE = pathlib.Path(__file__).parent
DEPLOY = HERE.parent
VERSIONS = ["1.30.0", "1.36.0"]
MI, GI = 1 << 20, 1 << 30


def closed(schema):
    """The schema, with objects that take no other keys than those it names."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema and "additionalProperties" not in schema and \
                not schema.pop("x-kubernetes-preserve-unknown-fields", False):
            schema["additionalProperties"] = False
    elif isinstance(schema, list):
        schema = [closed(value) for value in schema]
    return schema


def shape(**spec):
    """A schema of our own for what we use of a kind."""
    any_of = {"type": "object"}
    return closed({"properties": {"apiVersion": {}, "kind": {}, "metadata": any_of,
                                  "spec": {"properties": spec, "required": list(spec)}}, "required": ["spec"]})


ENDPOINTS = {"type": "array", "items": {"properties": {"port": {"type": "string"}, "path": {}, "interval": {}}, "required": ["port"]}}
RULE = {"properties": {name: {} for name in ["alert", "record", "expr", "for", "labels", "annotations"]}, "required": ["expr"]}
SELECTOR = {"properties": {"matchLabels": {"type": "object"}}, "required": ["matchLabels"]}
GROUPS = {"type": "array", "items": {"properties": {"name": {}, "rules": {"type": "array", "items": RULE}}, "required": ["name", "rules"]}}
SCALED = closed(json.loads((HERE / "crds/ScaledObject.json").read_text()))
SCALED["properties"]["metadata"] = {"type": "object"}
OTHERS = {
    "ScaledObject": SCALED,
    "PrometheusRule": shape(groups=GROUPS),
    "ServiceMonitor": shape(selector=SELECTOR, endpoints=ENDPOINTS),
    "PodMonitor": shape(selector=SELECTOR, podMetricsEndpoints=ENDPOINTS),
}
# The parameters of the trigger, from KEDA's own list of scalers (2.18).
METRICS_API = {"targetValue", "activationTargetValue", "url", "format", "valueLocation", "unsafeSsl",
               "aggregateFromKubeServiceEndpoints", "aggregationType", "timeout"}


def build(overlay):
    output = subprocess.run(["kubectl", "kustomize", str(overlay)], capture_output=True, text=True)
    if output.returncode:
        sys.exit(f"{overlay}: {output.stderr}")
    return [one for one in yaml.safe_load_all(output.stdout) if one]


def faults(objects):
    """What is wrong with the objects of an overlay."""
    for one in objects:
        yield from (f"{one['kind']} {one['metadata']['name']}: {fault}" for fault in malformed(json.dumps(one)))
    workloads = {one["metadata"]["name"]: one for one in objects if one["kind"] in ("Deployment", "StatefulSet")}
    for name, workload in workloads.items():
        yield from (f"{name}: {fault}" for fault in restricted(workload["spec"]["template"]["spec"], name))
    for name in ("sluice-uploader", "sluice-worker"):
        yield from (f"{name}: {fault}" for fault in role(name, workloads.get(name), objects))
    for scaled in (one for one in objects if one["kind"] == "ScaledObject"):
        target = workloads.get(scaled["spec"]["scaleTargetRef"]["name"])
        if target is None or "replicas" in target["spec"]:
            yield "ScaledObject: its target is missing, or its number is set elsewhere"
        for trigger in scaled["spec"]["triggers"]:
            if trigger["type"] != "metrics-api" or set(trigger["metadata"]) - METRICS_API:
                yield f"ScaledObject: {trigger['type']} does not take {sorted(trigger['metadata'])}"


@functools.lru_cache(maxsize=None)
def malformed(text):
    """What the schema of its kind says against an object."""
    one, found = json.loads(text), []
    if one["kind"] in OTHERS:
        errors = jsonschema.Draft202012Validator(OTHERS[one["kind"]]).iter_errors(one)
        return [f"{error.json_path}: {error.message}" for error in errors]
    for version in VERSIONS:
        try:
            # A kind that it does not know is a warning.
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                kubernetes_validate.validate(one, version, strict=True)
        except Exception as error:
            found.append(f"Kubernetes {version}: {str(error).splitlines()[0]}")
    return found


def restricted(pod, name):
    """The profile `restricted` of Pod Security Standards, and a locked root of our own programs."""
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "pods run as root or without seccomp"
    if pod.get("automountServiceAccountToken") is not False:
        yield "the token of its account is mounted"
    for container in pod.get("initContainers", []) + pod["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{container['name']}: privileges may grow"
        if "sluice" in container["image"] and not own.get("readOnlyRootFilesystem"):
            yield f"{container['name']}: its root can be written"
        if "limits" not in container.get("resources", {}) or "requests" not in container["resources"]:
            yield f"{container['name']}: without requests and limits"


def bytes_of(quantity):
    number, unit = quantity[:-2], quantity[-2:]
    return int(number) * {"Mi": MI, "Gi": GI}[unit]


def configured(objects, file):
    maps = {one["metadata"]["name"]: one for one in objects if one["kind"] == "ConfigMap"}
    found = [one["data"][file] for name, one in maps.items() if name.startswith("sluice-config") and file in one["data"]]
    return found[0] if found else None


def role(name, workload, objects):
    import tomllib
    if workload is None:
        yield "is missing"
        return
    pod = workload["spec"]["template"]["spec"]
    main = pod["containers"][0]
    file = f"{main['name']}.toml"
    text = configured(objects, file)
    if text is None:
        yield f"{file} is missing"
        return
    settings = tomllib.loads(text).get("worker", {})
    grace = pod.get("terminationGracePeriodSeconds", 30)
    listen = tomllib.loads(text).get("listen", "0.0.0.0:8080")
    if main["name"] == "worker":
        listen = settings.get("listen", "")
        # As sluice/src/roles.rs: the longest call and 10 s; 20 more for what ends with it.
        least = settings.get("call_timeout_seconds", 120) + 30
        children = settings["text_children"]
        memory = 256 * MI + children * settings.get("text_memory_bytes_max", GI)
    else:
        pause = main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        # As uploader/src/http.rs: 25 s for requests under way.
        least, memory = pause + 25 + 5, 256 * MI
        if not pause:
            yield "requests come while it stops: preStop does not sleep"
    if grace < least:
        yield f"{grace} s to end are less than {least}"
    if bytes_of(main["resources"]["limits"]["memory"]) < memory:
        yield f"its memory is less than {memory // MI} Mi, which its children may need"
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    if listen.rpartition(":")[2] != str(ports["http"]):
        yield f"it listens on {listen}, not on the port {ports['http']}"
    for kind, path in (("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        probe = main.get(kind, {}).get("httpGet", {})
        if probe.get("path") != path or probe.get("port") != "http":
            yield f"{kind} does not ask for {path}"
    labels = workload["spec"]["template"]["metadata"]["labels"]
    of = lambda kind, at: [one for one in objects if one["kind"] == kind and
                           at(one["spec"]).get("matchLabels", {}).items() <= labels.items() and at(one["spec"]).get("matchLabels")]
    if not of("PodDisruptionBudget", lambda spec: spec["selector"]):
        yield "has no PodDisruptionBudget"
    policies = of("NetworkPolicy", lambda spec: spec["podSelector"])
    opened = {port["port"] for one in policies for rule in one["spec"].get("ingress", []) for port in rule["ports"]}
    if opened != {ports["http"]}:
        yield f"NetworkPolicies open {sorted(opened)}, not {ports['http']}"
    denies = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if not any(one["kind"] == "NetworkPolicy" and one["spec"] == denies for one in objects):
        yield "nothing is denied by default"


def secrets_of(pod, objects, mount):
    """The files that a container of the pod finds in its volume of this name."""
    volume = next(one for one in pod["volumes"] if one["name"] == mount)
    sources = volume.get("projected", {}).get("sources") or [{"secret": {"name": volume["secret"]["secretName"], **volume["secret"]}}]
    files = {}
    for source in (source["secret"] for source in sources):
        data = next(one["data"] for one in objects if one["kind"] == "Secret" and one["metadata"]["name"] == source["name"])
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            if item["key"] not in data:
                sys.exit(f"the secret {source['name']} has no {item['key']}")
            files[item["path"]] = "secret-of-a-check"
    return files


def usable(binary, objects):
    """`sluice config check` takes each configuration with the addresses and secrets of the overlay."""
    addresses = next(one["data"] for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"].startswith("sluice-addresses"))
    pods = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment"}
    for file, pod, volume in (("uploader.toml", "sluice-uploader", "secrets"), ("migrate.toml", "sluice-uploader", "owner"),
                              ("worker.toml", "sluice-worker", "secrets")):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in secrets_of(pods[pod], objects, volume).items():
                (pathlib.Path(folder) / name).write_text(content)
            config = pathlib.Path(folder) / "sluice.toml"
            config.write_text(configured(objects, file).replace("/run/secrets/", f"{folder}/"))
            run = subprocess.run([binary, "--config", str(config), "config", "check"], capture_output=True, text=True,
                                 env={"PATH": os.environ["PATH"], **addresses}, cwd=folder)
            if run.returncode:
                yield f"{file}: {run.stderr}"
            if "secret-of-a-check" in run.stdout + run.stderr:
                yield f"{file}: a secret is shown"


def mutated(objects, kind, name, change):
    changed = copy.deepcopy(objects)
    change(next(one for one in changed if one["kind"] == kind and one["metadata"]["name"] == name))
    return changed


def pod_of(one):
    return one["spec"]["template"]["spec"]


def mistakes():
    """Mistakes, each of which must be refused: kind, name, and what to do to the object."""
    def rename(at, old, new):
        def change(one):
            place = at(one)
            place[new] = place.pop(old)
        return change
    worker, uploader = ("Deployment", "sluice-worker"), ("Deployment", "sluice-uploader")
    main = lambda one: pod_of(one)["containers"][0]
    yield *worker, rename(pod_of, "terminationGracePeriodSeconds", "terminationGracePeriodSecond")
    yield *worker, lambda one: pod_of(one).update(terminationGracePeriodSeconds=60)
    yield *worker, lambda one: main(one)["resources"]["limits"].update(memory="2Gi")
    yield *worker, lambda one: main(one)["securityContext"].update(allowPrivilegeEscalation=True)
    yield *worker, lambda one: main(one)["securityContext"].pop("readOnlyRootFilesystem")
    yield *worker, rename(lambda one: main(one)["securityContext"], "capabilities", "capability")
    yield *worker, lambda one: main(one)["ports"][0].update(containerPort=9091)
    yield *worker, lambda one: one["spec"].update(replicas=3)
    yield *uploader, lambda one: pod_of(one)["securityContext"].update(runAsNonRoot=False)
    yield *uploader, lambda one: main(one)["readinessProbe"]["httpGet"].update(path="/ready")
    yield *uploader, lambda one: main(one)["livenessProbe"]["httpGet"].update(path="/readyz")
    yield *uploader, lambda one: main(one).pop("lifecycle")
    yield *uploader, lambda one: pod_of(one).update(terminationGracePeriodSeconds=30)
    scaled = ("ScaledObject", "sluice-worker")
    yield *scaled, rename(lambda one: one["spec"], "maxReplicaCount", "maxReplicas")
    yield *scaled, lambda one: one["spec"]["scaleTargetRef"].update(name="sluice-workers")
    yield *scaled, rename(lambda one: one["spec"]["triggers"][0]["metadata"], "valueLocation", "valueLocations")
    yield "PodDisruptionBudget", "sluice-worker", rename(lambda one: one["spec"], "maxUnavailable", "maxUnavailabel")
    yield "NetworkPolicy", "worker", lambda one: one["spec"]["ingress"][0]["ports"][0].update(port=9091)
    yield "NetworkPolicy", "default-deny", lambda one: one["spec"].update(policyTypes=["Ingress"])
    yield "PrometheusRule", "sluice", lambda one: rename(lambda one: one["spec"]["groups"][1]["rules"][0], "expr", "exp")(one)
    yield "PodMonitor", "sluice-worker", rename(lambda one: one["spec"], "podMetricsEndpoints", "endpoints")


def main(binary):
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        copied = pathlib.Path(folder) / "deploy"
        shutil.copytree(DEPLOY, copied)
        production = copied / "kubernetes/overlays/production"
        for example in production.glob("*.env.example"):
            shutil.copy(example, example.with_suffix(""))
        built = {}
        for overlay in sorted((copied / "kubernetes/overlays").iterdir()):
            objects = built[overlay.name] = build(overlay)
            wrong += [f"{overlay.name}: {fault}" for fault in [*faults(objects), *usable(binary, objects)]]
        for kind, name, change in mistakes():
            objects = mutated(built["production"], kind, name, change)
            if not list(faults(objects)):
                wrong.append(f"a mistake in {kind} {name} is not seen: {change.__code__.co_firstlineno}")
        # A secret or a setting that changes rolls the pods: its name does.
        secrets = production / "secrets.env"
        secrets.write_text(secrets.read_text().replace("REDIS_PASSWORD=CHANGE-ME", "REDIS_PASSWORD=changed"))
        pods = lambda objects: [pod_of(one) for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == "sluice-worker"]
        if pods(build(production)) == pods(built["production"]):
            wrong.append("production: a changed secret does not roll the workers")
        made = {name: (copied / "monitoring" / name).read_text() for name in ("sluice.json", "rule.yaml")}
        subprocess.run([sys.executable, str(copied / "monitoring/board.py")], check=True)
        wrong += [f"monitoring/{name} is old: run deploy/monitoring/board.py" for name, text in made.items()
                  if (copied / "monitoring" / name).read_text() != text]
    for fault in wrong:
        print(f"deploy/check: {fault}", file=sys.stderr)
    print(f"deploy/check: {len(built)} overlays, {len(list(mistakes()))} mistakes refused" if not wrong else "", end="\n" if not wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
