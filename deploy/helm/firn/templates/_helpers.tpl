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
{{- $s := .Values.security -}}
{{- if and $s.tls.secret $s.tls.issuer.name }}{{ fail "security.tls.secret and security.tls.issuer.name exclude each other" }}{{ end -}}
{{- if and (eq (include "firn.needsTLS" .) "yes") (not (include "firn.tlsSecret" .)) }}{{ fail "security.tls.secret or security.tls.issuer.name is missing: TLS needs a certificate" }}{{ end -}}
{{- if and (ne $s.tls.clientAuth "none") (ne $s.protocol "ssl") }}{{ fail "security.tls.clientAuth means nothing unless security.protocol is ssl" }}{{ end -}}
{{- if and (eq $s.authorizer "none") (or $s.superUsers $s.allowEveryoneIfNoAclFound) }}{{ fail "security.superUsers and security.allowEveryoneIfNoAclFound mean nothing without security.authorizer: acl" }}{{ end -}}
{{- if and .Values.external.enabled (not .Values.external.advertise) }}{{ fail "external.advertise is missing: under which host:port clients find node $(NODE)" }}{{ end -}}
{{- end -}}

{{- define "firn.needsTLS" -}}
{{- if or (hasSuffix "ssl" .Values.security.protocol) .Values.security.https }}yes{{ end -}}
{{- end -}}

{{- /* The secret with the certificate, if any listener has TLS. */ -}}
{{- define "firn.tlsSecret" -}}
{{- if include "firn.needsTLS" . -}}
{{- $issued := ternary (printf "%s-tls" (include "firn.name" .)) "" (ne .Values.security.tls.issuer.name "") -}}
{{- .Values.security.tls.secret | default $issued -}}
{{- end -}}
{{- end -}}

{{- /* What Kafka clients are told that node $(NODE) is called. */ -}}
{{- define "firn.advertise" -}}
{{- ternary .Values.external.advertise (printf "$(POD).%s-nodes.%s.svc:9092" (include "firn.name" .) .Release.Namespace) .Values.external.enabled -}}
{{- end -}}
