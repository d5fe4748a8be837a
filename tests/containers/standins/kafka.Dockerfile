# For the test only, where no registry is reachable: Apache Kafka's jars on Debian's JRE, behind the official image's
# interface. KAFKA_* variables become server.properties by the class that the official image runs for it.
ARG BASE
FROM ${BASE}
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --user-group --no-create-home appuser \
    && mkdir -p /opt/kafka/config /var/lib/kafka/data /mnt/shared/config \
    && chown -R appuser:appuser /opt/kafka /var/lib/kafka
COPY libs /opt/kafka/libs
COPY kafka-defaults /etc/kafka/docker
COPY log4j2.properties /etc/kafka/log4j2.properties
COPY kafka-entrypoint.sh /usr/local/bin/kafka-entrypoint.sh
USER appuser
ENTRYPOINT ["kafka-entrypoint.sh"]
