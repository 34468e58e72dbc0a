#!/bin/sh
# Makes configure and the Makefile.in files from a fresh checkout.
set -eu
cd "$(dirname "$0")"
exec autoreconf --force --install --warnings=all
