"""The Jobs that make a backup and that put one back. Pure.

Each step is a container that runs one command of `chronicle backup`, so that Kubernetes itself tells how far a Job is.
The pods have no token and write no object: the operator reads the outcome from the containers' last words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from chronicle_contract.database_users import BACKUP as DATABASE_USER
from chronicle_operator.crd.spec import BackupDestination, LocalSecret, SecretKey, Switch, seconds
from chronicle_operator.resources import LedgerContext, Manifest, names, nats, service_pod
from chronicle_operator.resources.labels import labels, metadata
from chronicle_operator.resources.network_policies import BACKUP, RESTORE
from chronicle_operator.resources.podkit import (
    CHRONICLE_USER,
    CONTAINER_SECURITY,
    LAST_WORDS,
    environment,
    mount,
    pod_security,
    pull_secrets,
    scratch,
    secret_volume,
)

CREATE, VERIFY, PRUNE = "create", "verify", "prune"
SIGNING_KEY = "/etc/chronicle/seal"
ENCRYPTION_KEY = "/etc/chronicle/backup-key"
FOLDER = "/backups"
LONGEST_BACKUP_SECONDS = 12 * 60 * 60
LONGEST_RESTORE_SECONDS = 48 * 60 * 60
KEPT_SECONDS = 24 * 60 * 60
"""How long a Job stays for its log."""

STATEMENT_SECONDS, REQUEST_SECONDS = 60, 120
"""Longer than the service's own: a page may wait for a busy database, and nobody waits for a backup."""

RESOURCES: Manifest = {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}

# What is printed is the outcome, also of a refusal; where nothing is, Kubernetes takes the end of the log.
TELL = 'exec chronicle backup "$@" --json > /dev/termination-log'
# A verification prints the whole chain, which is longer than last words may be: only its refusal is told.
TELL_REFUSAL = """\
code=0
chronicle backup "$@" --json > /tmp/said || code=$?
[ "$code" = 0 ] || cat /tmp/said > /dev/termination-log
exit "$code"
"""


@dataclass(frozen=True)
class Place:
    """Where backups lie: a URL, or a folder of a claim."""

    url: str | None = None
    claim_name: str | None = None
    path: str | None = None

    @property
    def address(self) -> str:
        """Return the URL that `chronicle backup` is given."""
        return self.url or f"file://{FOLDER}/{self.path}"

    def document(self) -> dict[str, str]:
        """Return it as a status has it."""
        found = {"url": self.url, "claimName": self.claim_name, "path": self.path}
        return {key: value for key, value in found.items() if value}


def place(destination: BackupDestination, ledger: str) -> Place:
    """Return where the backups of this ledger lie; without a path in a folder of its name."""
    if destination.claim is None:
        return Place(url=destination.url)
    return Place(claim_name=destination.claim.claim_name, path=destination.claim.path or ledger)


def place_of(document: Mapping[str, str]) -> Place:
    """Return the place that a status notes."""
    return Place(document.get("url"), document.get("claimName"), document.get("path"))


@dataclass(frozen=True)
class Source:
    """What to put back. `keys` may have signed it."""

    place: Place
    id: str | None = None
    to: str | None = None
    keys: Sequence[str] = ()
    credentials: LocalSecret | None = None
    encryption: SecretKey | None = None
    head: str | None = None
    """What the ledger's head was, where that is known from elsewhere than the backup."""


def backup_job_name(ledger: LedgerContext, backup_uid: str) -> str:
    """Return the name of a backup's Job: the same for the same backup, so that it cannot start twice."""
    return names.hashed(f"{ledger.name}-backup", {"ledger": ledger.uid, "backup": backup_uid})


def restore_job_name(ledger: LedgerContext, attempt: int) -> str:
    """Return the name of the Job of one attempt."""
    return names.hashed(f"{ledger.name}-restore", {"ledger": ledger.uid, "attempt": attempt})


def backup_job(ledger: LedgerContext, backup_uid: str, *, full: bool, former_keys: Sequence[str]) -> Manifest:
    """Return the Job that makes one backup, verifies it and deletes what is beyond retention.

    `former_keys` signed earlier backups of this ledger. Raises ValueError where the spec has no `backup`.
    """
    wanted = ledger.spec.backup
    if wanted is None:
        raise ValueError("spec.backup is not set")
    where = place(wanted.destination, ledger.name)
    key = f"--encryption-key-file={ENCRYPTION_KEY}/key"
    encrypted = [key] if wanted.encryption_key_secret_ref else []
    former = [f"--public-key={it}" for it in former_keys]
    steps = [
        (
            CREATE,
            TELL,
            [
                *(CREATE, where.address, f"--key-file={SIGNING_KEY}/sealer.pem", *encrypted, *former),
                *(["--full"] if full else []),
                *([f"--rate={wanted.rate}"] if wanted.rate else []),
            ],
        )
    ]
    if wanted.verify is Switch.ENABLED:
        own = f"--public-key={SIGNING_KEY}/public.hex"
        steps.append((VERIFY, TELL_REFUSAL, [VERIFY, where.address, *encrypted, own, *former]))
    keep = [f"--keep={wanted.retention.count}"] if wanted.retention.count else []
    keep += [f"--keep-for={ceil(seconds(wanted.retention.age) / 60)}m"] if wanted.retention.age else []
    if keep:
        steps.append((PRUNE, TELL, [PRUNE, where.address, *keep]))
    return _job(
        ledger,
        BACKUP,
        backup_job_name(ledger, backup_uid),
        steps,
        where,
        user=DATABASE_USER,
        signs=True,
        credentials=wanted.credentials_secret_ref,
        encryption=wanted.encryption_key_secret_ref,
        longest=LONGEST_BACKUP_SECONDS,
    )


def restore_job(ledger: LedgerContext, attempt: int, source: Source) -> Manifest:
    """Return the Job of one attempt to put a backup back. It begins again what an earlier attempt left."""
    arguments = [RESTORE, source.place.address, *([source.id] if source.id else []), "--restart"]
    arguments += [f"--to={source.to}"] if source.to else []
    arguments += [f"--encryption-key-file={ENCRYPTION_KEY}/key"] if source.encryption else []
    arguments += [f"--public-key={it}" for it in source.keys]
    return _job(
        ledger,
        RESTORE,
        restore_job_name(ledger, attempt),
        [(RESTORE, TELL, arguments)],
        source.place,
        user=names.MIGRATION_USER,  # who owns the tables
        signs=False,
        credentials=source.credentials,
        encryption=source.encryption,
        longest=LONGEST_RESTORE_SECONDS,
    )


def _job(
    ledger: LedgerContext,
    component: str,
    name: str,
    steps: Sequence[tuple[str, str, Sequence[str]]],
    where: Place,
    *,
    user: str,
    signs: bool,
    credentials: LocalSecret | None,
    encryption: SecretKey | None,
    longest: int,
) -> Manifest:
    spec = ledger.spec
    volumes = [scratch(size=service_pod.SCRATCH)]
    mounts = [mount("tmp", "/tmp", writable=True)]  # noqa: S108 - inside the pod

    def add(volume: Manifest, path: str, *, writable: bool = False) -> None:
        volumes.append(volume)
        mounts.append(mount(volume["name"], path, writable=writable))

    variables = {
        "CHRONICLE_DATABASE_URL": service_pod.database_url(ledger, user),
        "CHRONICLE_STATEMENT_TIMEOUT": str(STATEMENT_SECONDS),
        "CHRONICLE_REQUEST_DEADLINE": str(REQUEST_SECONDS),
    }
    if spec.tls_managed:
        add(service_pod.database_volume(ledger, user), service_pod.DATABASE_CERTIFICATES)
    if signs:
        files = {"sealer.pem": "sealer.pem", "public.hex": "public.hex"}
        add(secret_volume("seal-key", names.seal_key(ledger.name), files), SIGNING_KEY)
    if encryption:
        add(secret_volume("backup-key", encryption.name, {encryption.key: "key"}), ENCRYPTION_KEY)
    if where.claim_name:
        claim = {"claimName": where.claim_name, **({} if signs else {"readOnly": True})}
        add({"name": "backups", "persistentVolumeClaim": claim}, FOLDER, writable=signs)
    if component == RESTORE:
        variables |= _stream(ledger)
        password = names.nats_password(ledger.name)
        add(secret_volume("nats-auth", password, {"password": "password"}), service_pod.NATS_PASSWORD)
        if spec.tls_managed:
            authority = secret_volume("nats-certs", names.nats_certificate(ledger.name), {"ca.crt": "ca.crt"})
            add(authority, service_pod.NATS_CERTIFICATES)
    containers = [
        {
            "name": step,
            "image": spec.api.image,
            "imagePullPolicy": spec.api.image_pull_policy,
            "command": ["/bin/sh", "-c", script, component],
            "args": list(arguments),
            "env": environment(variables),
            **({"envFrom": [{"secretRef": {"name": credentials.name}}]} if credentials else {}),
            "resources": RESOURCES,
            "securityContext": CONTAINER_SECURITY,
            "terminationMessagePolicy": LAST_WORDS,
            "volumeMounts": mounts,
        }
        for step, script, arguments in steps
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(ledger, name, component),
        "spec": {
            "backoffLimit": 0,  # a refusal stays one; the operator tries the rest again
            "activeDeadlineSeconds": longest,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {"labels": labels(ledger, component)},
                "spec": {
                    "serviceAccountName": service_pod.account(ledger, "jobs"),
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    **pull_secrets(ledger),
                    "restartPolicy": "Never",
                    "securityContext": pod_security(CHRONICLE_USER),
                    **({"initContainers": containers[:-1]} if len(containers) > 1 else {}),
                    "containers": containers[-1:],
                    "volumes": volumes,
                },
            },
        },
    }


def _stream(ledger: LedgerContext) -> dict[str, str]:
    """Return with what the stream is filled: the user for people, since it is to be made and read, too."""
    found = {
        "CHRONICLE_NATS_URLS": ",".join(nats.client_urls(ledger)),
        "CHRONICLE_NATS_USER": names.NATS_USER,
        "CHRONICLE_NATS_PASSWORD_FILE": f"{service_pod.NATS_PASSWORD}/password",
        "CHRONICLE_NATS_REPLICAS": "3",
    }
    if ledger.spec.tls_managed:
        found["CHRONICLE_NATS_CA_FILE"] = f"{service_pod.NATS_CERTIFICATES}/ca.crt"
    return found
