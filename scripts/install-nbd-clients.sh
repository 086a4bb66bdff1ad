#!/bin/sh
# Installs the NBD clients that tests and benchmarks use if they are there. Debian and its kin, as root; anywhere
# else it says so and does nothing: nothing depends on them.
set -eu

packages="nbdkit libnbd-bin qemu-utils fio"

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "install-nbd-clients: needs root and apt-get; skipped ($packages)"
  exit 0
fi
if ! apt-get update -qq || ! DEBIAN_FRONTEND=noninteractive \
  apt-get install -qq -y --no-install-recommends $packages >/dev/null; then
  echo "install-nbd-clients: apt could not install them; skipped ($packages)"
  exit 0
fi
echo "install-nbd-clients: installed $packages"
