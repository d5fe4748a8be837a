# For the test only, where no registry is reachable: Debian's Prometheus and Alertmanager, started as the official
# images start theirs: as nobody, with a folder for data, all else by arguments.
ARG BASE
FROM ${BASE} AS monitoring
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends prometheus prometheus-alertmanager \
    && rm -rf /var/lib/apt/lists/* /etc/prometheus/* \
    && mkdir -p /prometheus /alertmanager /etc/alertmanager \
    && chown nobody:nogroup /prometheus /alertmanager
USER nobody

FROM monitoring AS prometheus
WORKDIR /prometheus
VOLUME /prometheus
ENTRYPOINT ["prometheus"]

FROM monitoring AS alertmanager
WORKDIR /alertmanager
VOLUME /alertmanager
ENTRYPOINT ["prometheus-alertmanager"]
