{{/* What templates of both doors share. A "door" is a dict of root (the chart's dot), component and values. */}}

{{- define "keyferry.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Names of objects: this and "-provider" or "-sync"; room is left for them. */}}
{{- define "keyferry.fullname" -}}
{{- $name := include "keyferry.name" . }}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $whole | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "keyferry.provider" -}}
{{ include "keyferry.fullname" . }}-provider
{{- end }}

{{- define "keyferry.sync" -}}
{{ include "keyferry.fullname" . }}-sync
{{- end }}

{{- define "keyferry.syncAccount" -}}
{{ .Values.sync.serviceAccount.name | default (include "keyferry.sync" .) }}
{{- end }}

{{- define "keyferry.selector" -}}
app.kubernetes.io/name: {{ include "keyferry.name" .root | toYaml }}
app.kubernetes.io/instance: {{ toYaml .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "keyferry.labels" -}}
app.kubernetes.io/name: {{ include "keyferry.name" .root | toYaml }}
app.kubernetes.io/instance: {{ toYaml .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/* Labels of a door's pods: podLabels change nothing of what selects them. */}}
{{- define "keyferry.podLabels" -}}
{{- $own := include "keyferry.selector" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- toYaml (merge $own (.values.podLabels | default dict)) }}
{{- end }}

{{- define "keyferry.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Settings as flags: {staleLimit: 1h} is --stale-limit=1h. Numbers of a values file are floats: 4194304, not 4.194304e+06. */}}
{{- define "keyferry.settings" -}}
{{- range $name, $value := . }}
{{- $flag := kebabcase $name }}
{{- if kindIs "bool" $value }}
- {{ $value | ternary "--" "--no-" }}{{ $flag }}
{{- else }}
- {{ printf "--%s=%v" $flag (kindIs "float64" $value | ternary (int64 $value) $value) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Seconds of a duration such as 1h30m. */}}
{{- define "keyferry.seconds" -}}
{{- $text := toString . }}
{{- $hours := regexFind "[0-9]+h" $text | trimSuffix "h" | default "0" | int }}
{{- $minutes := regexFind "[0-9]+m" $text | trimSuffix "m" | default "0" | int }}
{{- $seconds := regexFind "[0-9.]+s" $text | trimSuffix "s" | default "0" | float64 | ceil | int }}
{{- add (mul $hours 3600) (mul $minutes 60) $seconds }}
{{- end }}

{{- define "keyferry.awsEnv" -}}
{{- with .root.Values.aws }}
{{- if .region }}
- name: AWS_REGION
  value: {{ .region | quote }}
{{- end }}
{{- if .useFipsEndpoint }}
- name: AWS_USE_FIPS_ENDPOINT
  value: "true"
{{- end }}
{{- if .useDualstackEndpoint }}
- name: AWS_USE_DUALSTACK_ENDPOINT
  value: "true"
{{- end }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The socket is served within a second; until an old provider lets go of it, its follower waits. */}}
{{- define "keyferry.probes" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: metrics
  initialDelaySeconds: 2
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 300
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/*
Rights of a door. rules: of namespaces, in Roles where the door is held to some; clusterRules: of the cluster.
*/}}
{{- define "keyferry.roles" -}}
{{- $name := printf "%s-%s" (include "keyferry.fullname" .root) .component }}
{{- $rules := list .clusterRules (empty .namespaces | ternary .rules "") | compact | join "\n" }}
{{- if $rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $name }}
  labels:
    {{- include "keyferry.labels" . | nindent 4 }}
rules:
  {{- $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "keyferry.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ toYaml .account }}
    namespace: {{ toYaml .root.Release.Namespace }}
{{- end }}
{{- range .namespaces }}
{{ include "keyferry.role" (merge (dict "name" $name "namespace" .) $) }}
{{- end }}
{{- end }}

{{/* Rights in one namespace. */}}
{{- define "keyferry.role" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ toYaml .namespace }}
  labels:
    {{- include "keyferry.labels" . | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ toYaml .namespace }}
  labels:
    {{- include "keyferry.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ toYaml .account }}
    namespace: {{ toYaml .root.Release.Namespace }}
{{- end }}
