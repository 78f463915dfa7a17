{{- define "komainu.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What a pod is chosen by; never changes. Takes a list: the root and the component. */}}
{{- define "komainu.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "komainu.labels" -}}
{{- $root := first . -}}
{{ include "komainu.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: komainu
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "komainu.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "komainu.leader.account" -}}
{{- $name := .Values.leader.serviceAccount.name -}}
{{- if .Values.leader.serviceAccount.create -}}
{{- default (printf "%s-leader" (include "komainu.fullname" .)) $name -}}
{{- else -}}
{{- required "leader.serviceAccount.name: write the name of the ServiceAccount, as leader.serviceAccount.create is false" $name -}}
{{- end -}}
{{- end }}

{{- define "komainu.worker.account" -}}
{{- $name := .Values.worker.serviceAccount.name -}}
{{- if .Values.worker.serviceAccount.create -}}
{{- default (printf "%s-worker" (include "komainu.fullname" .)) $name -}}
{{- else -}}
{{- required "worker.serviceAccount.name: write the name of the ServiceAccount, as worker.serviceAccount.create is false" $name -}}
{{- end -}}
{{- end }}

{{- define "komainu.credentials" -}}
{{- default (printf "%s-credentials" (include "komainu.fullname" .)) .Values.credentials.existingSecret -}}
{{- end }}

{{- define "komainu.leader.tls" -}}
{{- if ne .Values.leader.tls.mode "Off" -}}true{{- end -}}
{{- end }}

{{- define "komainu.leader.scheme" -}}
{{- if include "komainu.leader.tls" . -}}https{{- else -}}http{{- end -}}
{{- end }}

{{- define "komainu.leader.certificate" -}}
{{- if eq .Values.leader.tls.mode "Secret" -}}
{{- required "leader.tls.secretName: write the name of the Secret with the leaders' certificate, as leader.tls.mode is Secret" .Values.leader.tls.secretName -}}
{{- else -}}
{{- include "komainu.fullname" . }}-leader-tls
{{- end -}}
{{- end }}

{{/* The names in a leader's certificate: the Service, and each leader behind the headless one. */}}
{{- define "komainu.leader.hosts" -}}
{{- $name := include "komainu.fullname" . -}}
- {{ $name }}-leader.{{ .Release.Namespace }}.svc
- {{ $name }}-leader.{{ .Release.Namespace }}
- {{ $name }}-leader
- "*.{{ $name }}-leaders.{{ .Release.Namespace }}.svc"
- localhost
{{- end }}

{{/* The Secrets in a comma-separated list of namespace/name that listeners name. */}}
{{- define "komainu.listeners.secrets" -}}
{{- $found := list -}}
{{- range .Values.listeners -}}
{{- with .tls -}}
{{- range concat (default list .certificates) (default list .clientAuthorities) -}}
{{- $found = append $found (include "komainu.secret" (list $ .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | join "," -}}
{{- end }}

{{/* A Secret as namespace/name; one without a namespace is in that of the release. */}}
{{- define "komainu.secret" -}}
{{- $root := first . -}}
{{- if contains "/" (last .) -}}{{ last . }}{{- else -}}{{ $root.Release.Namespace }}/{{ last . }}{{- end -}}
{{- end }}
