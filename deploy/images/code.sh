#!/bin/sh
# Puts a service's code and the contracts into /app, compiled, with the list of what the image holds.
set -eu
service=$1
mkdir -p /app/services
cp -R services/chassis "services/$service" /app/services/
cp -R gen/sampan /app/sampan
rm -f /app/services/*/requirements.txt /app/services/*/pyproject.toml
find /app -name '*.pyi' -delete
/opt/packages/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /app
/opt/tools/bin/cyclonedx-py environment --output-reproducible --mc-type application \
    --pyproject "services/$service/pyproject.toml" --output-file /app/sbom.cdx.json \
    /opt/packages/bin/python3
