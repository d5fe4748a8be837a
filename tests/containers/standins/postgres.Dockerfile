# For the test only, where no registry is reachable: Debian's PostgreSQL behind the part of the official image's
# interface that compose.yaml uses (POSTGRES_PASSWORD_FILE, POSTGRES_INITDB_ARGS, PGDATA, /docker-entrypoint-initdb.d).
ARG BASE
FROM ${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/* \
    && ln -s /usr/lib/postgresql/*/bin /opt/postgresql \
    && mkdir -p /var/lib/postgresql/data /docker-entrypoint-initdb.d \
    && chown -R postgres:postgres /var/lib/postgresql \
    && chmod 1777 /var/lib/postgresql/data \
    && install --directory --owner postgres --group postgres --mode 3777 /var/run/postgresql
ENV PATH=/opt/postgresql:$PATH PGDATA=/var/lib/postgresql/data
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
