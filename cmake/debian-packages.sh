#!/bin/sh
# Install the Debian packages that weir is built with and tested by, where they are missing.
# usage: sh cmake/debian-packages.sh          (does nothing on a machine without dpkg, or when all are there)
set -eu

packages="build-essential gfortran cmake ninja-build pkg-config
  libyaml-dev libjansson-dev libcairo2-dev libfftw3-dev libnetcdf-dev libhdf5-dev libblosc-dev libzstd-dev zlib1g-dev
  libtiff-dev libpng-dev libjpeg-dev liblapack-dev libopenmpi-dev openmpi-bin libcmocka-dev
  procps valgrind python3 python3-numpy python3-zarr python3-xarray python3-netcdf4 python3-pil"

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "weir: not a Debian system; these packages, by the names they have there, are needed:" $packages
  exit 0
fi
missing=""
for package in $packages; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "weir: as root, run: apt-get install$missing" >&2
    exit 1
  fi
  sudo=sudo
fi
echo "weir: installing with apt-get:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
