#!/bin/sh
# Puts the contracts and the code of a distribution into /app, compiled, with the list of what the image holds.
# Arguments: the folder of the distribution's pyproject.toml, then those of the code.
set -eu
project=$1
shift
for folder in "$@"; do
  mkdir -p "/app/$(dirname "$folder")"
  cp -R "$folder" "/app/$folder"
  rm -f "/app/$folder/requirements.txt" "/app/$folder/pyproject.toml"
done
cp -R gen/sampan /app/sampan
find /app -name '*.pyi' -delete
/opt/packages/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /app
/opt/tools/bin/cyclonedx-py environment --output-reproducible --mc-type application \
    --pyproject "$project/pyproject.toml" --output-file /app/sbom.cdx.json \
    /opt/packages/bin/python3
