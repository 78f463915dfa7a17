{{/* What pod security "restricted" asks for. */}}
{{- define "komainu.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.podUser }}
{{ toYaml . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "komainu.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What a process shows the leaders. They know it by its ServiceAccount; the API server takes no such token. */}}
{{- define "komainu.token" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          audience: komainu
          expirationSeconds: 3600
{{- end }}

{{/* What leaders' certificates are signed by, without their key. */}}
{{- define "komainu.authority" -}}
- name: authority
  secret:
    secretName: {{ include "komainu.leader.certificate" . }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}

{{/* The ports of nodes that listeners take; empty if there are none. */}}
{{- define "komainu.hostPorts" -}}
{{- range .Values.listeners }}{{ with .hostPort }}{{ . }} {{ end }}{{ end -}}
{{- end }}

{{- define "komainu.sleep" -}}
{{- if . -}}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end -}}
{{- end }}

{{/* Takes a list: the port's name, and its scheme. */}}
{{- define "komainu.probes" -}}
{{- $to := dict "port" (first .) "scheme" (upper (last .)) -}}
startupProbe:
  httpGet:
    {{- toYaml (merge (dict "path" "/live") $to) | nindent 4 }}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    {{- toYaml (merge (dict "path" "/live") $to) | nindent 4 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    {{- toYaml (merge (dict "path" "/ready") $to) | nindent 4 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{/* Where pods go. Takes a list: the root, the component, and whether to spread if nothing is said. */}}
{{- define "komainu.placement" -}}
{{- $root := first . -}}
{{- $of := index $root.Values (index . 1) -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $of.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $of.topologySpreadConstraints | nindent 2 }}
{{- else if last . }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "komainu.selector" (list $root (index $ 1)) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}
