#!/bin/sh
# Installs the locked packages of packages.txt into /opt/packages, without pip itself: an image installs nothing.
set -eu
# Hashes are checked here, of wheels; of openapi-ui-bundles, which has none, of its source, built with the locked tools.
/opt/tools/bin/pip wheel --quiet --require-hashes --no-deps --wheel-dir wheels \
    --only-binary :all: --no-binary openapi-ui-bundles --no-build-isolation --use-pep517 -r packages.txt
python3 -m venv --without-pip /opt/packages
/opt/tools/bin/pip --python /opt/packages/bin/python3 install --quiet --no-index --no-deps wheels/*.whl
/opt/tools/bin/pip --python /opt/packages/bin/python3 check
# What only a compiler or a type checker would read.
find /opt/packages -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.c' -o -name '*.h' \) -delete
