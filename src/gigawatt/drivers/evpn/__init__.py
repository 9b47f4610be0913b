"""EVPN-VXLAN on Linux switches: networks of clusters, their access ports, and their gateways."""
