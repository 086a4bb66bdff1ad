#!/bin/bash
# Linux's own ext4 on an image that pkslab serves: mounts it (nbdfuse and a loop device), writes, kills the server
# with -9 in the middle, starts it again, and lets e2fsck say whether the file system is sound. Then mounts it once
# more and compares every file that was synced before the kill.
#
# Usage, as root: scripts/ext4-over-nbd.sh [ROUNDS] [--strays RATE]
# Needs nbdfuse (Debian: libnbd-bin, fuse3), mkfs.ext4, e2fsck, and `npm run build`.
set -euo pipefail

rounds=3
serve_options=()
while [ $# -gt 0 ]; do
  case $1 in
    --strays) serve_options+=(--strays "$2"); shift 2 ;;
    *) rounds=$1; shift ;;
  esac
done

root=$(cd "$(dirname "$0")/.." && pwd)
pkslab=(node "$root/packages/cli/bin/pkslab.mjs")
for program in nbdfuse mkfs.ext4 e2fsck losetup sha256sum; do
  command -v "$program" >/dev/null || { echo "skipped: $program is not installed"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo 'skipped: mounting needs root'; exit 0; }

work=$(mktemp -d)
mkdir "$work/fuse" "$work/mnt"
server='' fuse='' writer='' loop=''

detach() {
  [ -z "$writer" ] || kill "$writer" 2>/dev/null || true
  writer=''
  umount -l "$work/mnt" 2>/dev/null || true
  [ -z "$loop" ] || losetup -d "$loop" 2>/dev/null || true
  loop=''
  fusermount3 -u -z "$work/fuse" 2>/dev/null || umount -l "$work/fuse" 2>/dev/null || true
  [ -z "$fuse" ] || { kill "$fuse" 2>/dev/null || true; wait "$fuse" 2>/dev/null || true; }
  fuse=''
}
finish() {
  detach
  [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

serve() {
  "${pkslab[@]}" pmem serve "$work/disk.img" --unix "$work/s" ${serve_options[@]+"${serve_options[@]}"} \
    >"$work/serve.out" 2>"$work/serve.err" &
  server=$!
  for _ in $(seq 100); do
    [ -s "$work/serve.out" ] && return
    sleep 0.1
  done
  cat "$work/serve.err"
  return 1
}

# The server as a block device: a file of FUSE under a loop device.
attach() {
  nbdfuse "$work/fuse/disk" "nbd+unix:///?socket=$work/s" &
  fuse=$!
  for _ in $(seq 100); do
    [ -e "$work/fuse/disk" ] && break
    sleep 0.1
  done
  loop=$(losetup --show -f "$work/fuse/disk")
}

write_files() {
  local round=$1 n=0
  while :; do
    n=$((n + 1))
    local file="$work/mnt/r$round-$n"
    head -c $((RANDOM * 4 + 1)) /dev/urandom >"$file" && sync "$file" "$work/mnt" || return 0
    # Only what is synced, on both levels, is promised: the list is kept outside.
    (cd "$work/mnt" && sha256sum "r$round-$n") >>"$work/promised"
  done
}

"${pkslab[@]}" pmem create "$work/disk.img" --size 256M
serve
attach
mkfs.ext4 -q "$loop"
: >"$work/promised"

for round in $(seq "$rounds"); do
  mount -t ext4 "$loop" "$work/mnt"
  write_files "$round" 2>/dev/null &
  writer=$!
  sleep 2
  kill -9 "$server"
  wait "$server" 2>/dev/null || true
  sleep 0.5
  detach
  # The journal is replayed by a mount, as after a power failure; what e2fsck finds after that counts.
  serve
  attach
  mount -t ext4 "$loop" "$work/mnt"
  (cd "$work/mnt" && sha256sum --quiet -c "$work/promised")
  umount "$work/mnt"
  e2fsck -fn "$loop" >"$work/fsck" 2>&1 || { cat "$work/fsck"; exit 1; }
  echo "round $round: killed, journal replayed, e2fsck clean, $(wc -l <"$work/promised") synced files right"
done

detach
kill -TERM "$server"
wait "$server"
server=''
tail -n +2 "$work/serve.out"
"${pkslab[@]}" pmem check "$work/disk.img"
