{{/* In each namespace that is watched. */}}
{{- define "komainu.rules.watched" -}}
- apiGroups: [komainu.dev]
  resources: [backends, routes]
  verbs: [list, watch]
- apiGroups: [komainu.dev]
  resources: [backends/status, routes/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [referencegrants]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.rbac.secrets.all }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{/* The uid of this namespace names the cluster. */}}
{{- define "komainu.rules.identity" -}}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- end }}

{{- define "komainu.rules.nodes" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get]
{{- end }}

{{/* Takes names of Secrets. A list or watch of one object has its name, too. */}}
{{- define "komainu.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    {{- toYaml . | nindent 4 }}
  verbs: [list, watch]
{{- end }}

{{/* In the release's own namespace: who writes statuses, and the workers that count. */}}
{{- define "komainu.rules.own" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "komainu.fullname" . }}-leader]
  verbs: [get, update]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end }}
