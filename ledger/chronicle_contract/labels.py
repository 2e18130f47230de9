"""Labels and annotations by which the operator marks what it makes, and by which a run finds it."""

from __future__ import annotations

DOMAIN = "ledger.chronicle.dev"
"""The group of the resource, and what the names of our own labels begin with."""

APPLICATION = "chronicle-ledger"
MANAGER = "chronicle-operator"
"""The operator's own name, as a field manager too."""

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
VERSION = "app.kubernetes.io/version"
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"

REGION = f"{DOMAIN}/region"
UID = f"{DOMAIN}/ledger-uid"
"""The ledger's uid: what tells its pods from those of another chart that is released under the same name."""

LEDGER = f"{DOMAIN}/ledger"
RUN = f"{DOMAIN}/run"
"""On an experiment: the ledger that it is about, and the run that made it. `RUN` is also on a run's own objects."""
