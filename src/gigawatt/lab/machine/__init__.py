"""Machines of a lab: each stands in for a bare-metal node, behind its simulated BMC.

``python -m gigawatt.lab.machine --config FILE`` and then:

| words | does | prints |
|---|---|---|
| ``state NODE`` | asks the kernel's process table | ``on`` or ``off``, and a boot progress |
| ``on NODE [--media FILE]`` | powers on; a ``cidata`` medium (NoCloud) is read first | nothing |
| ``off NODE [--graceful]`` | kills all that runs in it, or asks its init to end | nothing |
| ``prove-off NODE`` | looks for a process of it; exit code 1 if there is one | what it found |
| ``sanitise NODE`` | erases the disk; the machine must be off | what was there |
| ``sample NODE`` | looks what is on the disk; exit code 1 if anything is | what it found |

Exit code 0: it is so. 1: it is not, with one line on standard error. 2: wrong words, no such node.

A machine has process, mount, host-name and IPC namespaces of its own, the network namespace of its
node, and an overlay over this machine's root file system. The upper layer is "the disk": all that
its tenant writes is there and nowhere else, but for ``/tmp``, ``/run`` and ``/dev``, which are
memory. ``/home``, ``/root``, ``/etc/ssh``, ``/mnt`` and the lab's own folder start empty. Its init
(BusyBox) takes an address by DHCP, runs an SSH server with keys of this disk, and reaps.

Not there: GPUs, systemd and D-Bus, limits of memory. Its root is root of the machine that the lab
runs on, without the capabilities to mount, to load modules or to make devices: a stand-in for a
node, not a sandbox for strangers.
"""
