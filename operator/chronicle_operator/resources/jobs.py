"""Jobs: initialising the database cluster, and making its users and schema.

A Job cannot be changed, so its name carries a hash of its template: what differs is another Job. All of them can run
twice without harm, which is what happens when a machine dies under one.
"""

from __future__ import annotations

from typing import Any

from chronicle_contract.database_users import API, STATUS, USERS
from chronicle_contract.labels import DOMAIN
from chronicle_operator.resources import cockroachdb, names, service_pod
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import labels, metadata
from chronicle_operator.resources.podkit import (
    CHRONICLE_USER,
    COCKROACH_USER,
    CONTAINER_SECURITY,
    LAST_WORDS,
    certificate_volume,
    environment,
    mount,
    pod_security,
    pull_secrets,
    scratch,
    secret_volume,
)

SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}

# `cockroach init` fails where the cluster is initialised already, which is what a second run must call a success.
INIT = """\
until said=$("$@" 2>&1); do
  case "$said" in *"already been initialized"*) break ;; esac
  echo "$said"; sleep 2
done
echo "$said"
"""

# The SQL client of 20.1 refuses a key that its group can read, and knows no exemption: it gets a copy of its own.
OWN_CERTIFICATES = "/tmp/certs"  # noqa: S108 - inside the pod
COPY_CERTIFICATES = f"""\
umask 077
mkdir -p {OWN_CERTIFICATES}
cp -fL {cockroachdb.CERTIFICATES}/* {OWN_CERTIFICATES}/
"""

# Each argument but the first is a group of statements.
EXECUTE = """\
client=$1; shift
for statements in "$@"; do $client --execute="$statements"; done
"""

# Through a file and standard input: neither the pod's spec nor its list of processes shows the licence.
LICENCE = "/etc/chronicle/licence"
SET_LICENCE = f"""\
licence=$(cat {LICENCE}/licence)
case "$licence" in *"'"*) echo "the licence holds a quote: it is none" >&2; exit 1 ;; esac
printf "SET CLUSTER SETTING enterprise.license = '%s';\\n" "$licence" | $client
"""

# The right to look at nodes and ranges: from 23.2 on ($2) or before ($3). What counts is the version that the cluster
# has agreed on, which lags behind the binaries' until an upgrade is finalized. Any failure is one: nothing is granted
# instead.
GRANTS = """\
client=$1
said=$($client --format=tsv --execute="SHOW CLUSTER SETTING version")
version=$(echo "$said" | tail -n 1)
major=${version%%.*}
minor=${version#*.}
minor=${minor%%[!0-9]*}
if [ $((major * 100 + minor)) -ge 2302 ]; then
  $client --execute="$2"
else
  $client --execute="$3"
fi
"""


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return the init and the migration Job."""
    return [] if ledger.spec.hibernated else [init(ledger), migration(ledger)]


def init(ledger: LedgerContext) -> Manifest:
    """Return the Job that makes one cluster of the nodes."""
    container = _cockroach(
        ledger,
        "init",
        command=["/bin/sh", "-c", INIT, "init"],
        args=[cockroachdb.COMMAND, "init", _host(ledger), cockroachdb.security_flag(ledger)],
    )
    # The template is a function of what cannot change, so that an upgrade of the image makes no second Job.
    return _job(ledger, "init", {"containers": [container]}, user=COCKROACH_USER, ignore=("image",))


def migration(ledger: LedgerContext) -> Manifest:
    """Return the Job that makes database, users and schema, and grants each user what its process needs and no more.

    Users come before the schema, so three containers run one after the other: the first and the last as root, with the
    database's own client; the second, our image, as the owner of the schema alone. It grants rights on tables: no
    process may change or delete what was posted.
    """
    database, owner = names.DATABASE, names.MIGRATION_USER
    before = (
        f"CREATE DATABASE IF NOT EXISTS {database};"
        + "".join(f" CREATE USER IF NOT EXISTS {user};" for user in (owner, *USERS))
        + f" GRANT ALL ON DATABASE {database} TO {owner};"
    )
    # GET /health tells of nodes and ranges, from tables of `crdb_internal`, as a user that reads nothing else. Before
    # 23.2 members of admin alone may read them. The API's user was one in earlier versions of the operator.
    look = f"GRANT SYSTEM VIEWCLUSTERMETADATA TO {STATUS}; REVOKE admin FROM {STATUS}; REVOKE admin FROM {API};"
    look_before = f"GRANT admin TO {STATUS}; REVOKE admin FROM {API};"
    grants = [f"--grant={role}={user}" for user, roles in USERS.items() for role in roles]
    migrate = {
        "name": "migrate",
        "image": ledger.spec.api.image,
        "imagePullPolicy": ledger.spec.api.image_pull_policy,
        "args": ["migrate", *grants],
        "env": environment({"CHRONICLE_DATABASE_URL": service_pod.database_url(ledger, names.MIGRATION_USER)}),
        "resources": SMALL,
        # CockroachDB's certificates are readable by its own group; this container joins it by number.
        "securityContext": {**CONTAINER_SECURITY, "runAsUser": CHRONICLE_USER, "runAsGroup": COCKROACH_USER},
        "terminationMessagePolicy": LAST_WORDS,
        "volumeMounts": [
            mount("tmp", "/tmp", writable=True),  # noqa: S108 - inside the pod
            *([mount("database-certs", service_pod.DATABASE_CERTIFICATES)] if ledger.spec.tls_managed else []),
        ],
    }
    spec = {
        "initContainers": [_licensed(ledger, _sql(ledger, "users", EXECUTE, before)), migrate],
        "containers": [_sql(ledger, "grants", GRANTS, look, look_before)],
    }
    return _job(ledger, "migration", spec, user=COCKROACH_USER)


def _host(ledger: LedgerContext) -> str:
    return f"--host={cockroachdb.pod_addresses(ledger)[0]}"


def _licensed(ledger: LedgerContext, container: Manifest) -> Manifest:
    """Return the container with the licence, which it alone mounts, and with the script that sets it."""
    if ledger.licence is None:
        return container
    shell, options, script, *rest = container["command"]
    return {
        **container,
        "command": [shell, options, script + SET_LICENCE, *rest],
        "volumeMounts": [*container["volumeMounts"], mount("licence", LICENCE)],
    }


def _sql(ledger: LedgerContext, name: str, script: str, *statements: str) -> Manifest:
    """Return a container whose script executes groups of statements, each in a session of its own, as root."""
    tls = ledger.spec.tls_managed
    host = f"--host={names.service_address(names.cockroach_public(ledger.name), ledger.namespace)}:{names.SQL_PORT}"
    security = f"--certs-dir={OWN_CERTIFICATES}" if tls else "--insecure"
    return _cockroach(
        ledger,
        name,
        command=["/bin/sh", "-euc", (COPY_CERTIFICATES if tls else "") + script, "sql"],
        args=[f"{cockroachdb.COMMAND} sql {host} {security}", *statements],
    )


def _cockroach(ledger: LedgerContext, name: str, *, args: list[str], command: list[str]) -> Manifest:
    tls = ledger.spec.tls_managed
    return {
        "name": name,
        "image": ledger.spec.cockroachdb.image,
        "command": command,
        "args": args,
        "env": environment(cockroachdb.KEY_CHECK_OFF if tls else {}),
        "resources": SMALL,
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": LAST_WORDS,
        "volumeMounts": [
            mount("tmp", "/tmp", writable=True),  # noqa: S108 - inside the pod
            *([mount("certs", cockroachdb.CERTIFICATES)] if tls else []),
        ],
    }


def _job(
    ledger: LedgerContext, component: str, containers: Manifest, *, user: int, ignore: tuple[str, ...] = ()
) -> Manifest:
    # In memory: it may hold a copy of a key.
    volumes = [scratch(size="64Mi", in_memory=True)]
    if ledger.spec.tls_managed:
        root = names.root_certificate(ledger.name)
        volumes.append(certificate_volume("certs", root, "client.root.crt", "client.root.key"))
        if component == "migration":
            volumes.append(service_pod.database_volume(ledger, names.MIGRATION_USER))
    reference = ledger.spec.cockroachdb.license_secret_ref
    licensed = component == "migration" and ledger.licence is not None
    if licensed and reference:
        volumes.append(secret_volume("licence", reference.name, {reference.key: "licence"}))
    pod: dict[str, Any] = {
        "serviceAccountName": service_pod.account(ledger, "jobs"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **pull_secrets(ledger),
        "restartPolicy": "OnFailure",
        "securityContext": pod_security(user),
        **containers,
        "volumes": volumes,
    }
    hashed = {key: value for key, value in pod.items() if key != "containers"}
    hashed["containers"] = [
        {key: value for key, value in it.items() if key not in ignore} for it in containers["containers"]
    ]
    described: Manifest = {"labels": labels(ledger, component)}
    if licensed:  # another licence is another Job
        described["annotations"] = {f"{DOMAIN}/hash-licence": ledger.licence}
        hashed["annotations"] = described["annotations"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(ledger, names.hashed(f"{ledger.name}-{component}", hashed), component),
        "spec": {"backoffLimit": 20, "template": {"metadata": described, "spec": pod}},
    }
