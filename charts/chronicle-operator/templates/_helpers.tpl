{{- define "chronicle-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "chronicle-operator.selector" -}}
app.kubernetes.io/name: chronicle-operator
app.kubernetes.io/instance: {{ .Release.Name }}
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
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
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
