"""The out-of-band plane: accounts on BMCs by Redfish, and who reaches which BMC by nftables."""
