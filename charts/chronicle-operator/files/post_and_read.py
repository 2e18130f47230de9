"""Post a transfer to a ledger and read it back: what `helm test` runs. The standard library alone."""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
import uuid

URL = os.environ["LEDGER_URL"]
KEY_FILE = os.environ.get("LEDGER_KEY_FILE")
CA_FILE = os.environ.get("LEDGER_CA_FILE")
TLS = ssl.create_default_context(cafile=CA_FILE) if CA_FILE else None


def call(method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
    """Return the answer as JSON; end the test with what the ledger said where it refuses."""
    headers = {"Content-Type": "application/json"}
    if KEY_FILE:
        with open(KEY_FILE, encoding="utf-8") as file:
            headers["Authorization"] = f"Bearer {file.read().strip()}"
    if method == "POST":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30, context=TLS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"{method} {path}: {error}; is the ledger Ready? kubectl get chronicleledgers")


def main() -> None:
    """Two accounts, a deposit, a transfer; then what the accounts and the transaction say."""
    source, destination = (call("POST", "/v1/accounts", {"currency": "EUR"})["id"] for _ in range(2))
    call("POST", f"/v1/accounts/{source}/deposits", {"amount": 1000})
    sent = call("POST", "/v1/transfers", {"source": source, "destination": destination, "amount": 250})
    read = call("GET", f"/v1/transactions/{sent['id']}")
    if read["entries"] != sent["entries"]:
        sys.exit(f"posted {sent['entries']}, read {read['entries']}")
    balances = [call("GET", f"/v1/accounts/{it}")["balance"] for it in (source, destination)]
    if balances != [750, 250]:
        sys.exit(f"the balances are {balances}, they should be [750, 250]")
    print(f"transfer {sent['id']} posted and read back; balances {balances[0]} and {balances[1]}")


main()
