#!/bin/bash
# Writes the configuration and formats the storage, then becomes the broker.
set -eu
run=(java -Dlog4j2.configurationFile=/etc/kafka/log4j2.properties -XX:+UseSerialGC -cp '/opt/kafka/libs/*')
if ! said=$("${run[@]}" -XX:TieredStopAtLevel=1 kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \
  --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1); then
  # A second start finds the storage as the first one has formatted it.
  grep -qi 'already formatted' <<<"$said" || { echo "$said" >&2; exit 1; }
fi
# shellcheck disable=SC2086 # options, separated by spaces
exec "${run[@]}" ${KAFKA_HEAP_OPTS:-} kafka.Kafka /opt/kafka/config/server.properties
