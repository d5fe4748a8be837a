#!/bin/sh
# Installs the locked packages of packages.txt into /opt/packages, without pip itself: an image installs nothing.
set -eu
python3 -m venv --without-pip /opt/packages
/opt/tools/bin/pip --python /opt/packages/bin/python3 install \
    --quiet --require-hashes --only-binary :all: -r packages.txt
