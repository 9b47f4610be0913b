"""A simulator of baseboard management controllers (BMCs): Redfish over HTTPS, one process a lab.

It is a simulator and says so (``ServiceRoot.Vendor``, ``Manager.Model``). Each BMC listens in a
network namespace of its own, so what reaches it really crossed the out-of-band network.

The machine behind a BMC: ``power_command``
===========================================
A BMC does not run its host; it tells a command to. Settings give the first words
(``power_command``, e.g. ``["python", "-m", "gigawatt.lab.machine"]``), the simulator appends:

| words appended | does | prints |
|---|---|---|
| ``state NODE`` | nothing | a line: ``on`` or ``off``, and after a space perhaps a boot progress |
| ``on NODE`` | powers on, boots from the node's own disk; nothing to do if it is on | nothing |
| ``on NODE --media FILE`` | the same, but boots from the CD image FILE (absolute path) | nothing |
| ``off NODE`` | power off at once; nothing to do if it is off | nothing |
| ``off NODE --graceful`` | asks the operating system to stop, and waits until it has | nothing |

- NODE is the id of the node in the fleet (``NodeId``), never the number of the BMC.
- Boot progress is a word of Redfish's ``BootProgressTypes``: ``None``, ``OSBootStarted``,
  ``OSRunning``. Without it the simulator says ``OSRunning`` for "on" and ``None`` for "off".
- Exit code 0: it is so now. 1: it is not, the reason is one line on standard error, and nothing
  was half done; the simulator answers 500 with that line. 2: wrong words, or no such node.
- A reset is ``off NODE`` and then ``on NODE ...``. FILE is given when a virtual CD is inserted and
  the boot override says ``Cd``; an override for once is spent by that ``on``.
- Calls for one node come one at a time. A call that takes longer than ``POWER_S_MAX`` is killed
  and answered with 500.
- It runs in the room (the management node), outside the BMC's namespace, with the simulator's
  environment.

Without ``power_command`` a BMC just remembers a state: ``on`` and ``off`` succeed at once.

Virtual media: ``InsertMedia`` takes an ``http://`` address, which the BMC fetches from its own
namespace, so over the out-of-band network: serve it at ``layout.MANAGEMENT_BMC_SIDE``, TCP port
``layout.MEDIA_PORT``, the only port of the management node that BMCs may connect to.
"""

POWER_S_MAX = 60.0
"""A power command is killed after this many seconds. Ours: a guest starts within a second."""
