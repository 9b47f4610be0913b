#!/bin/busybox sh
# First process of the small guest. Reads a NoCloud seed (a disk with the label "cidata"):
# hostname, SSH keys, DHCP or a static address by MAC, and commands. Of cloud-init's words it
# knows those that gigawatt.drivers.guests.seed writes, one on a line.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
home=/root
ssh_folder=$home/.ssh
mkdir -p /dev/pts /run /tmp /var/log /etc/dropbear "$ssh_folder" /seed
mount -t devpts devpts /dev/pts
echo 0 >/proc/sys/kernel/printk
for module in /modules/*.ko; do insmod "$module" 2>/dev/null; done

field() { sed -n "s/^$1: *//p" "$2" | tr -d '"' | head -n 1; }
items() { awk -v key="$1:" '$0 == key {on = 1; next} /^[^ ]/ {on = 0} on && /^  - / {
  line = substr($0, 5); sub(/^"/, "", line); sub(/"$/, "", line); gsub(/\\"/, "\"", line)
  gsub(/\\\\/, "\\", line); print line}' "$2"; }

for number in 1 2 3 4 5 6 7 8 9 10; do
  for disk in /sys/block/*; do
    mount -t iso9660 -o ro "/dev/${disk##*/}" /seed 2>/dev/null && break 2
  done
  sleep 0.2
done
name=guest
if [ -f /seed/meta-data ]; then name=$(field local-hostname /seed/meta-data); fi
hostname "$name"
echo "$name" >/etc/hostname
echo "127.0.0.1 localhost $name" >/etc/hosts

ip link set lo up
for path in /sys/class/net/eth*; do
  [ -e "$path" ] || continue
  interface=${path##*/}
  ip link set "$interface" up
  address=""
  if [ -f /seed/network-config ]; then
    address=$(awk -v mac="$(cat "$path/address")" '
      $1 == "macaddress:" {gsub(/"/, "", $2); on = ($2 == mac)}
      on && $1 == "addresses:" {gsub(/[\[\]"]/, "", $2); print $2; exit}' /seed/network-config)
  fi
  if [ -n "$address" ]; then ip addr add "$address" dev "$interface"
  else udhcpc -b -t 60 -T 2 -S -i "$interface" -x "hostname:$name" -O mtu -s /etc/udhcpc >/dev/null 2>&1 &
  fi
done

chmod 700 "$home" "$ssh_folder"
if [ -f /seed/user-data ]; then items ssh_authorized_keys /seed/user-data >"$ssh_folder/authorized_keys"; fi
touch "$ssh_folder/authorized_keys"
chmod 600 "$ssh_folder/authorized_keys"
dropbear -R -s -p 22
acpid -f -c /etc/acpi >/dev/null 2>&1 &
if [ -f /seed/user-data ]; then
  items runcmd /seed/user-data >/run/runcmd
  if [ -s /run/runcmd ]; then sh /run/runcmd >/var/log/runcmd 2>&1; fi
fi
umount /seed 2>/dev/null
echo "gigawatt-guest ready: $name up $(cut -d' ' -f1 /proc/uptime) s"
while true; do setsid cttyhack sh </dev/ttyS0 >/dev/ttyS0 2>&1; sleep 1; done
