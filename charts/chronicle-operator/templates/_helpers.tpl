{{- define "chronicle-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | regexFind "^.*[a-z0-9]" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | regexFind "^.*[a-z0-9]" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | regexFind "^.*[a-z0-9]" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of what belongs to no namespace: releases of one name in two namespaces do not meet. */}}
{{- define "chronicle-operator.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "chronicle-operator.fullname" .) -}}
{{- end -}}

{{/* Whose CustomResourceDefinition it is, where it is there and not this release's; empty otherwise. */}}
{{- define "chronicle-operator.crdOwner" -}}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "chronicleledgers.ledger.chronicle.dev" -}}
{{- if $crd -}}
{{- $notes := $crd.metadata.annotations | default dict -}}
{{- $name := get $notes "meta.helm.sh/release-name" -}}
{{- $namespace := get $notes "meta.helm.sh/release-namespace" -}}
{{- if not $name -}}
somebody who installed it without Helm
{{- else if or (ne $name .Release.Name) (ne $namespace .Release.Namespace) -}}
{{- printf "the release %s in the namespace %s" $name $namespace -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "chronicle-operator.selector" -}}
app.kubernetes.io/name: chronicle-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "chronicle-operator.labels" -}}
{{ include "chronicle-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: chronicle-ledger
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "chronicle-operator.account" -}}
{{- default (include "chronicle-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "chronicle-operator.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s%s@%s" $image.repository (ternary (printf ":%s" $image.tag) "" (ne $image.tag "")) $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The namespaces of ledgers, as JSON. */}}
{{- define "chronicle-operator.namespaces" -}}
{{- if .Values.watch.namespaces -}}{{ toJson .Values.watch.namespaces }}{{- else -}}{{ toJson (list .Release.Namespace) }}{{- end -}}
{{- end -}}

{{/* Where the ledger of `helm test` is, and where NOTES put a first one. */}}
{{- define "chronicle-operator.testNamespace" -}}
{{- default (first (include "chronicle-operator.namespaces" . | fromJsonArray)) .Values.test.namespace -}}
{{- end -}}

{{- define "chronicle-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "chronicle-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}
