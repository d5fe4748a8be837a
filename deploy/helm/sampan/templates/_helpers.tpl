{{/* Names: <release>-sampan, or the release alone where it says sampan already. */}}
{{- define "sampan.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sampan.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sampan.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The services, and what of each no value changes: ports, whether it has a database and so a setup, whether it
publishes and so has topics, and its consumer groups with their topics. A service is added here, in values.yaml and in values.schema.json. */}}
{{- define "sampan.facts" -}}
gateway:
  ports: {http: 8080, admin: 9100}
  database: false
  publishes: false
  lag: []
catalog:
  ports: {grpc: 50051, admin: 9101}
  database: true
  publishes: true
  lag: []
orders:
  ports: {grpc: 50052, admin: 9102}
  database: true
  publishes: true
  lag:
    - {group: orders.fulfilments, topic: sampan.warehouse.fulfilments.v1}
    - {group: orders.catalog, topic: sampan.catalog.products.v1}
warehouse:
  ports: {grpc: 50053, admin: 9103}
  database: true
  publishes: true
  lag:
    - {group: warehouse.orders, topic: sampan.orders.orders.v1}
access:
  ports: {grpc: 50054, admin: 9104}
  database: true
  publishes: true
  lag: []
webhooks:
  ports: {grpc: 50055, admin: 9105}
  database: true
  publishes: false
  lag:
    - {group: webhooks.events, topic: sampan.orders.orders.v1}
    - {group: webhooks.events, topic: sampan.warehouse.fulfilments.v1}
    - {group: webhooks.events, topic: sampan.catalog.products.v1}
{{- end -}}

{{/* One service as a whole: defaults, then services.<name>, then its facts. Takes (list . name); gives YAML. */}}
{{- define "sampan.service" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $own := index $root.Values.services $name | default dict -}}
{{- $facts := index (include "sampan.facts" $root | fromYaml) $name -}}
{{- $merged := mergeOverwrite (deepCopy $root.Values.defaults) (deepCopy $own) (dict "name" $name "facts" $facts) -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* Takes (list . name). */}}
{{- define "sampan.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "sampan.labels" -}}
{{- $root := index . 0 -}}
{{ include "sampan.selector" . }}
app.kubernetes.io/part-of: sampan
app.kubernetes.io/version: {{ default $root.Chart.AppVersion $root.Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Takes (list . service). */}}
{{- define "sampan.image" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $repository := printf "%s/%s" $root.Values.image.registry $service.name -}}
{{- if $service.digest -}}
{{- printf "%s@%s" $repository $service.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $root.Chart.AppVersion $root.Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* A service's variables as a map: what the chart decides, then config, then its own config. Takes (list . service). */}}
{{- define "sampan.variables" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $prefix := upper $service.name -}}
{{- $variables := dict "KAFKA_BOOTSTRAP" (required "kafka.bootstrap: name your Kafka's brokers, host:port[,host:port]" $root.Values.kafka.bootstrap) -}}
{{- $_ := set $variables (printf "%s_DRAIN_WAIT_S" $prefix) (toString $service.drainWaitSeconds) -}}
{{- $_ := set $variables (printf "%s_DRAIN_GRACE_S" $prefix) (toString $service.drainGraceSeconds) -}}
{{- if $service.facts.publishes -}}
{{- $_ := set $variables "TOPIC_PARTITIONS" (toString $root.Values.kafka.partitions) -}}
{{- $_ := set $variables "TOPIC_REPLICATION" (toString $root.Values.kafka.replication) -}}
{{- else if not $service.facts.database -}}
{{- range $callee, $its := include "sampan.facts" $root | fromYaml -}}
{{- if $its.ports.grpc -}}
{{- $host := printf "%s-%s.%s.svc.%s" (include "sampan.fullname" $root) $callee $root.Release.Namespace $root.Values.clusterDomain -}}
{{- $_ := set $variables (printf "%s_ADDRESS" (upper $callee)) (printf "dns:///%s:%v" $host $its.ports.grpc) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $use, $files := include "sampan.certificates" $service | fromYaml -}}
{{- range $variable, $file := $files -}}
{{- $_ := set $variables $variable (printf "/etc/sampan/certificates/%s/%s" $use $file) -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $variables (deepCopy $root.Values.config) (deepCopy $service.config)) -}}
{{- end -}}

{{- define "sampan.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "sampan.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* A service's certificates: what for -> the variables that name their files. Takes a service. */}}
{{- define "sampan.certificates" -}}
{{- $all := dict
  "grpc" (dict "GRPC_TLS_CERT_FILE" "tls.crt" "GRPC_TLS_KEY_FILE" "tls.key" "GRPC_TLS_CA_FILE" "ca.crt")
  "http" (dict "GATEWAY_TLS_CERT_FILE" "tls.crt" "GATEWAY_TLS_KEY_FILE" "tls.key")
  "kafka" (dict "KAFKA_CA_FILE" "ca.crt")
  "postgres" dict
-}}
{{- $given := dict -}}
{{- range $use, $secret := .certificates -}}
{{- if and $secret (or (ne $use "http") (eq $.name "gateway")) (or (ne $use "postgres") $.facts.database) -}}
{{- $_ := set $given $use (get $all $use) -}}
{{- end -}}
{{- end -}}
{{- toYaml $given -}}
{{- end -}}

{{/* Their volumes: the whole folder is mounted, or a renewed Secret would not reach the process. Takes a service. */}}
{{- define "sampan.certificateVolumes" -}}
{{- range $use, $_ := include "sampan.certificates" . | fromYaml }}
- name: certificates-{{ $use }}
  secret: {secretName: {{ get $.certificates $use }}, defaultMode: 0444}
{{- end }}
{{- end -}}

{{- define "sampan.certificateMounts" -}}
{{- range $use, $_ := include "sampan.certificates" . | fromYaml }}
- {name: certificates-{{ $use }}, mountPath: /etc/sampan/certificates/{{ $use }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* The secret files, under the names of their variables: SECRETS_DIR finds them. Takes a map of references. */}}
{{- define "sampan.secretsVolume" -}}
name: secrets
projected:
  # Everybody in the pod: there is one process in it, and it is not their owner.
  defaultMode: 0444
  sources:
  {{- range $variable, $reference := . }}
    - secret:
        name: {{ $reference.name }}
        items: [{key: {{ $reference.key }}, path: {{ $variable }}}]
  {{- end }}
{{- end -}}
