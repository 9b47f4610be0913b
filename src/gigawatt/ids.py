"""The identifiers that everybody uses, as distinct types so that one cannot stand for another.

Fleet ids (node, switch, rack) are the operator's own names. Ids made by us have a prefix:
``clu_`` cluster, ``fsy_`` file system, ``fwr_`` firewall ruleset, ``ten_`` tenant, ``pln_`` plan,
``op_`` operation, ``wai_`` waiting request, ``res_`` reservation,
``ntc_`` notice.
"""

from typing import NewType

SiteId = NewType("SiteId", str)
HallId = NewType("HallId", str)
RackId = NewType("RackId", str)
PowerFeedId = NewType("PowerFeedId", str)
FabricId = NewType("FabricId", str)
SwitchId = NewType("SwitchId", str)
NodeId = NewType("NodeId", str)
StoragePoolId = NewType("StoragePoolId", str)
TenantId = NewType("TenantId", str)
ClusterId = NewType("ClusterId", str)
FileSystemId = NewType("FileSystemId", ClusterId)
"""A file system holds a key and is fenced like a cluster, so its id may stand where theirs do."""
FirewallRulesetId = NewType("FirewallRulesetId", str)
PlanId = NewType("PlanId", str)
OperationId = NewType("OperationId", str)
WaitingId = NewType("WaitingId", str)
ReservationId = NewType("ReservationId", str)
NoticeId = NewType("NoticeId", str)
DeviceId = NewType("DeviceId", str)
"""``<class>/<name>``: fabric/F, port/NODE, gateway/SITE, bmc/NODE, oob/SITE, pool/P, host/NODE."""
KeyPoolId = NewType("KeyPoolId", str)
"""``<class>/<scope>``: p_key/FABRIC, compute_vni/FABRIC, vni/SITE, subnet/SITE, filesystem/POOL."""
