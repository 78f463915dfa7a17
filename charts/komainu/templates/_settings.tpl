{{/* The settings of leaders, as docs/settings.md names them. What differs from pod to pod comes by the environment. */}}
{{- define "komainu.leader.settings" -}}
{{- $name := include "komainu.fullname" . -}}
admin:
  address: {{ ternary "::" "0.0.0.0" .Values.ipv6 | quote }}
  port: 9000
  {{- if include "komainu.leader.tls" . }}
  tls:
    certificate: /etc/komainu/tls/tls.crt
    key: /etc/komainu/tls/tls.key
  {{- end }}
dataDirectory: /var/lib/komainu
listeners:
  {{- range .Values.listeners }}
  - name: {{ .name }}
    port: {{ .port }}
    advertisedPort: {{ .servicePort }}
    protocol: {{ default "HTTP" .protocol }}
    {{- if .proxyProtocol }}
    proxyProtocol: true
    {{- end }}
    {{- if hasKey . "http2" }}
    http2: {{ .http2 }}
    {{- end }}
    {{- with .tls }}
    tls:
      {{- with .certificates }}
      certificates:
        {{- range . }}
        - {{ include "komainu.secret" (list $ .) }}
        {{- end }}
      {{- end }}
      {{- with .clientCertificates }}
      clientCertificates: {{ . }}
      {{- end }}
      {{- with .clientAuthorities }}
      clientAuthorities:
        {{- range . }}
        - {{ include "komainu.secret" (list $ .) }}
        {{- end }}
      {{- end }}
      {{- if .forwardClientCertificate }}
      forwardClientCertificate: true
      {{- end }}
    {{- end }}
  {{- end }}
cluster:
  {{- include "komainu.mtls" . | nindent 2 }}
  leader:
    replicas: {{ .Values.leader.replicas }}
    tokenFile: /var/run/secrets/komainu/token
kubernetes:
  {{- with .Values.watchNamespaces }}
  namespaces:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  lease: {{ $name }}-leader
  leaders:
    serviceAccount: {{ .Release.Namespace }}/{{ include "komainu.leader.account" . }}
  workers:
    serviceAccount: {{ .Release.Namespace }}/{{ include "komainu.worker.account" . }}
    selector: {{ include "komainu.selector" (list . "worker") | fromYaml | include "komainu.selector.text" | quote }}
{{- with .Values.store }}
{{- if .url }}
store:
  url: {{ .url | quote }}
  prefix: {{ .prefix | quote }}
  pollEvery: {{ .pollEvery }}
  {{- if .existingSecret }}
  passwordFile: /etc/komainu/store-password/password
  {{- end }}
  {{- if .tls.existingSecret }}
  tls:
    {{- if .tls.authority }}
    authorities: /etc/komainu/store/ca.crt
    {{- end }}
    {{- if .tls.clientCertificate }}
    certificate: /etc/komainu/store/tls.crt
    key: /etc/komainu/store/tls.key
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
log:
  format: json
{{- end }}

{{- define "komainu.worker.settings" -}}
{{- $name := include "komainu.fullname" . -}}
admin:
  address: {{ ternary "::" "0.0.0.0" .Values.ipv6 | quote }}
  port: 9001
dataDirectory: /var/lib/komainu
proxy:
  threads: {{ .Values.worker.threads }}
  drainDelay: {{ .Values.worker.drain.delaySeconds }}s
  drainTimeout: {{ .Values.worker.drain.timeoutSeconds }}s
cluster:
  {{- include "komainu.mtls" . | nindent 2 }}
  leader:
    urls:
      {{- /* One for each leader, so that a worker goes on to another one as soon as one fails. */}}
      {{- range until (int .Values.leader.replicas) }}
      - {{ include "komainu.leader.scheme" $ }}://{{ $name }}-leader-{{ . }}.{{ $name }}-leaders.{{ $.Release.Namespace }}.svc:9000
      {{- end }}
  worker:
    tokenFile: /var/run/secrets/komainu/token
log:
  format: json
{{- end }}

{{- define "komainu.mtls" -}}
mtls:
  enabled: {{ eq (include "komainu.leader.tls" .) "true" }}
  {{- if include "komainu.leader.tls" . }}
  trustedCerts: [/etc/komainu/authority/ca.crt]
  {{- end }}
{{- end }}

{{- define "komainu.selector.text" -}}
{{- $terms := list -}}
{{- range $key, $value := . -}}
{{- $terms = append $terms (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $terms -}}
{{- end }}

{{/* Takes the name of the template with the settings, the root, and the values' own settings, which win. */}}
{{- define "komainu.settings" -}}
{{- $written := include (first .) (index . 1) | fromYaml -}}
{{- toYaml (mergeOverwrite $written (deepCopy (last .))) -}}
{{- end }}
