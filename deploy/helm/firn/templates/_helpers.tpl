{{- define "firn.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "firn.selector" -}}
app.kubernetes.io/name: firn
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "firn.labels" -}}
{{ include "firn.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "firn.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "firn.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "firn.maxReplicas" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicas .Values.autoscaling.enabled -}}
{{- end -}}

{{- /* Settings of a node that follow from the values. */ -}}
{{- define "firn.check" -}}
{{- if not .Values.store }}{{ fail "store is missing: the bucket, as s3://my-bucket/firn?region=eu-west-1" }}{{ end -}}
{{- if and .Values.coordinator.url .Values.coordinator.secret.name }}{{ fail "coordinator.url and coordinator.secret.name exclude each other" }}{{ end -}}
{{- $alone := not (or .Values.coordinator.url .Values.coordinator.secret.name) -}}
{{- if and $alone (gt (include "firn.maxReplicas" . | int) 1) }}{{ fail "several nodes need coordinator.url or coordinator.secret.name: without Redis only one may run" }}{{ end -}}
{{- if and .Values.external.enabled (not .Values.external.advertise) }}{{ fail "external.advertise is missing: under which host:port clients find node $(NODE)" }}{{ end -}}
{{- end -}}
