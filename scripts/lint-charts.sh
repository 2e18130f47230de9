#!/usr/bin/env bash
# Lint the chart, render it in each of its forms, and check what comes out against the API's field names.
# Without helm on PATH: says so and succeeds, since everything else of `make lint` needs Python alone.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v helm >/dev/null; then
  echo "charts not linted: helm is not on PATH (install it, and run scripts/lint-charts.sh)"
  exit 0
fi

chart=charts/chronicle-operator
helm lint --strict --quiet "$chart"
render() {
  helm template chronicle "$chart" --kube-version 1.31.0 --namespace chronicle-system "$@" | "${PYTHON:-.venv/bin/python}" tests/support/kubernetes_schema.py "helm template $*"
}
render
render --set watch.allNamespaces=true
render --set 'watch.namespaces={ledger-a,ledger-b}' --set crds.install=false --set 'imagePullSecrets[0].name=registry'
render --set test.tls=false,test.keys=false --set extraLabels.team=ledgers --set rbac.create=false,serviceAccount.create=false
for bad in image.pullPolicy=Sometimes watch.namespace=typo resync=1; do
  if helm template chronicle "$chart" --kube-version 1.31.0 --set "$bad" >/dev/null 2>&1; then
    echo "values.schema.json accepts $bad" >&2
    exit 1
  fi
done
echo "chart linted, rendered in four forms and checked; bad values are refused"
