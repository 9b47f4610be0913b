"""Guests of a lab: a small image of Debian's own parts, libvirt, and what they run on."""
