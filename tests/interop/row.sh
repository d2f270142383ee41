#!/bin/bash
# One row, in the guest: world.sh starts this for each.
set -u
# shellcheck source=tests/interop/steps.sh disable=SC2154 # here: of world.sh
. "$here/steps.sh"
# shellcheck source=/dev/null
. "$1"
echo "row: done"
