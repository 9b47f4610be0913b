"""What can be read: service root, system, manager, chassis, firmware, telemetry, logs, events."""

from gigawatt.lab.redfish.answer import Answer, Json, RefusedError, collection, link
from gigawatt.lab.redfish.request import Request
from gigawatt.lab.redfish.simulated import LogEntry, SimulatedBmc, now_text

ROOT = "/redfish/v1"
SYSTEM, MANAGER, CHASSIS = f"{ROOT}/Systems/1", f"{ROOT}/Managers/1", f"{ROOT}/Chassis/1"
DRIVE = f"{SYSTEM}/VirtualMedia/Cd"
LOG = f"{MANAGER}/LogServices/Log"
SERVICES = ("AccountService", "SessionService", "UpdateService", "EventService", "TelemetryService")
COLLECTIONS = ("Systems", "Managers", "Chassis")
VENDOR = "Gigawatt lab (simulator)"
RESETS = (
    "On",
    "ForceOff",
    "GracefulShutdown",
    "ForceRestart",
    "GracefulRestart",
    "PowerCycle",
    "ForceOn",
)
BOOT_TARGETS = ("None", "Cd", "Hdd")
OVERRIDES = ("Disabled", "Once", "Continuous")
OK = {"State": "Enabled", "Health": "OK"}


def described(path: str, kind: str, name: str, **properties: object) -> Json:
    """A resource with the four properties that all have; ``kind`` is ``Type.vX_Y_Z``."""
    return {
        "@odata.id": path,
        "@odata.type": f"#{kind}.{kind.partition('.')[0]}",
        "Id": path.rpartition("/")[2],
        "Name": name,
        **properties,
    }


def service_root(request: Request) -> Answer:
    """Where all begins; nobody needs to log in."""
    body = described(
        f"{ROOT}/",
        "ServiceRoot.v1_16_0",
        "Root Service",
        RedfishVersion="1.18.0",
        UUID=request.bmc.uuid,
        Vendor=VENDOR,
        Product="Simulated BMC of a Gigawatt lab: no hardware is behind it",
        Links={"Sessions": link(f"{ROOT}/SessionService/Sessions")},
        ProtocolFeaturesSupported={
            "ExpandQuery": {"ExpandAll": False, "NoLinks": True, "Links": False, "Levels": False},
            "FilterQuery": False,
            "OnlyMemberQuery": False,
            "SelectQuery": False,
            "ExcerptQuery": False,
        },
        **{name: link(f"{ROOT}/{name}") for name in (*SERVICES, *COLLECTIONS)},
    )
    return Answer(200, {**body, "Id": "RootService"})


def top_collection(request: Request) -> Answer:
    """Systems, managers or chassis: one each."""
    (name,) = request.names
    kind = {
        "Systems": "ComputerSystemCollection",
        "Managers": "ManagerCollection",
        "Chassis": "ChassisCollection",
    }[name]
    return Answer(200, collection(f"{ROOT}/{name}", kind, [f"{ROOT}/{name}/1"], name))


def system(request: Request) -> Answer:
    """The host."""
    bmc = request.bmc
    is_on, progress = bmc.machine.state()
    body = described(
        SYSTEM,
        "ComputerSystem.v1_22_0",
        bmc.config.node_id,
        SystemType="Physical",
        HostName=bmc.config.node_id,
        Manufacturer=VENDOR,
        Model="Simulated host",
        UUID=bmc.uuid,
        Status=OK if is_on else {"State": "Disabled", "Health": "OK"},
        PowerState="On" if is_on else "Off",
        BiosVersion=bmc.firmware_versions.get("BIOS", ""),
        BootProgress={"LastState": progress},
        Boot={
            "BootSourceOverrideTarget": bmc.boot.target,
            "BootSourceOverrideTarget@Redfish.AllowableValues": list(BOOT_TARGETS),
            "BootSourceOverrideEnabled": bmc.boot.enabled,
            "BootSourceOverrideEnabled@Redfish.AllowableValues": list(OVERRIDES),
            "BootSourceOverrideMode": "UEFI",
            "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI"],
        },
        SerialConsole={"MaxConcurrentSessions": 1, "SSH": {"ServiceEnabled": False, "Port": 2200}},
        VirtualMedia=link(f"{SYSTEM}/VirtualMedia"),
        Links={"ManagedBy": [link(MANAGER)], "Chassis": [link(CHASSIS)]},
        Actions={
            "#ComputerSystem.Reset": {
                "target": f"{SYSTEM}/Actions/ComputerSystem.Reset",
                "ResetType@Redfish.AllowableValues": list(RESETS),
            }
        },
    )
    return Answer(200, body)


def manager(request: Request) -> Answer:
    """The BMC itself."""
    bmc = request.bmc
    body = described(
        MANAGER,
        "Manager.v1_19_0",
        f"BMC of {bmc.config.node_id}",
        ManagerType="BMC",
        Manufacturer=VENDOR,
        Model="Simulated BMC",
        UUID=bmc.uuid,
        FirmwareVersion=bmc.firmware_versions.get("BMC", ""),
        DateTime=now_text(),
        DateTimeLocalOffset="+00:00",
        PowerState="On",
        Status=OK,
        LogServices=link(f"{MANAGER}/LogServices"),
        Links={"ManagerForServers": [link(SYSTEM)], "ManagerForChassis": [link(CHASSIS)]},
        Actions={
            "#Manager.Reset": {
                "target": f"{MANAGER}/Actions/Manager.Reset",
                "ResetType@Redfish.AllowableValues": ["ForceRestart", "GracefulRestart"],
            }
        },
    )
    return Answer(200, body)


def drives(_: Request) -> Answer:
    """Virtual drives."""
    path = f"{SYSTEM}/VirtualMedia"
    return Answer(200, collection(path, "VirtualMediaCollection", [DRIVE], "Virtual media"))


def drive(request: Request) -> Answer:
    """The virtual CD drive."""
    held = request.bmc.drive
    is_full = held.url is not None
    body = described(
        DRIVE,
        "VirtualMedia.v1_6_3",
        "Virtual CD",
        MediaTypes=["CD", "DVD"],
        ConnectedVia="URI" if is_full else "NotConnected",
        Image=held.url,
        ImageName=held.url.rpartition("/")[2] if held.url else None,
        Inserted=is_full,
        WriteProtected=True,
        TransferProtocolType="HTTP",
        TransferMethod="Upload",
        Actions={
            f"#VirtualMedia.{action}": {"target": f"{DRIVE}/Actions/VirtualMedia.{action}"}
            for action in ("InsertMedia", "EjectMedia")
        },
    )
    return Answer(200, body)


def chassis(request: Request) -> Answer:
    """The box."""
    body = described(
        CHASSIS,
        "Chassis.v1_25_0",
        f"Chassis of {request.bmc.config.node_id}",
        ChassisType="RackMount",
        Manufacturer=VENDOR,
        Status=OK,
        PowerState="On" if request.bmc.machine.state()[0] else "Off",
        Sensors=link(f"{CHASSIS}/Sensors"),
        EnvironmentMetrics=link(f"{CHASSIS}/EnvironmentMetrics"),
        Power=link(f"{CHASSIS}/Power"),
        Links={"ComputerSystems": [link(SYSTEM)], "ManagedBy": [link(MANAGER)]},
    )
    return Answer(200, body)


def power_w(bmc: SimulatedBmc) -> int:
    """What the host draws, as the settings say; made up."""
    return bmc.config.power_w_on if bmc.machine.state()[0] else bmc.config.power_w_off


def sensors(_: Request) -> Answer:
    """Sensors of the box."""
    path = f"{CHASSIS}/Sensors"
    return Answer(200, collection(path, "SensorCollection", [f"{path}/Power"], "Sensors"))


def sensor(request: Request) -> Answer:
    """The one sensor: power."""
    body = described(
        f"{CHASSIS}/Sensors/Power",
        "Sensor.v1_9_0",
        "Power, simulated",
        ReadingType="Power",
        Reading=power_w(request.bmc),
        ReadingUnits="W",
        Status=OK,
    )
    return Answer(200, body)


def environment(request: Request) -> Answer:
    """Metrics of the box."""
    reading = {"DataSourceUri": f"{CHASSIS}/Sensors/Power", "Reading": power_w(request.bmc)}
    path = f"{CHASSIS}/EnvironmentMetrics"
    return Answer(
        200,
        described(path, "EnvironmentMetrics.v1_3_1", "Metrics, simulated", PowerWatts=reading),
    )


def power(request: Request) -> Answer:
    """The box's power, in the form of before ``Sensors``."""
    path = f"{CHASSIS}/Power"
    control = {
        "@odata.id": f"{path}#/PowerControl/0",
        "MemberId": "0",
        "Name": "Power, simulated",
        "PowerConsumedWatts": power_w(request.bmc),
    }
    return Answer(200, described(path, "Power.v1_7_1", "Power", PowerControl=[control]))


def update_service(_: Request) -> Answer:
    """Firmware; it can be read only, but sushy insists on an action to change it."""
    path = f"{ROOT}/UpdateService"
    target = f"{path}/Actions/UpdateService.SimpleUpdate"
    body = described(
        path,
        "UpdateService.v1_14_0",
        "Update service",
        ServiceEnabled=False,
        FirmwareInventory=link(f"{path}/FirmwareInventory"),
        Actions={"#UpdateService.SimpleUpdate": {"target": target}},
    )
    return Answer(200, body)


def refuse_update(_: Request) -> Answer:
    """Firmware of a simulator is set by its side door.

    Raises:
        RefusedError: always.
    """
    raise RefusedError(503, "ServiceDisabled", "firmware cannot be updated")


def firmwares(request: Request) -> Answer:
    """All firmware."""
    path = f"{ROOT}/UpdateService/FirmwareInventory"
    members = [f"{path}/{name}" for name in request.bmc.firmware_versions]
    return Answer(200, collection(path, "SoftwareInventoryCollection", members, "Firmware"))


def firmware(request: Request) -> Answer:
    """One firmware.

    Raises:
        RefusedError: there is none of this name.
    """
    (name,) = request.names
    if name not in request.bmc.firmware_versions:
        raise RefusedError(404, "ResourceMissingAtURI", f"there is no firmware {name!r}")
    path = f"{ROOT}/UpdateService/FirmwareInventory/{name}"
    version = request.bmc.firmware_versions[name]
    body = described(
        path, "SoftwareInventory.v1_10_2", name, Version=version, Updateable=False, Status=OK
    )
    return Answer(200, body)


def event_service(_: Request) -> Answer:
    """Events, by server-sent events only."""
    path = f"{ROOT}/EventService"
    body = described(
        path,
        "EventService.v1_10_1",
        "Event service",
        ServiceEnabled=True,
        Status=OK,
        ServerSentEventUri=f"{path}/SSE",
    )
    return Answer(200, body)


def telemetry_service(_: Request) -> Answer:
    """Telemetry: one report."""
    path = f"{ROOT}/TelemetryService"
    reports = link(f"{path}/MetricReports")
    body = described(path, "TelemetryService.v1_3_3", "Telemetry", MetricReports=reports, Status=OK)
    return Answer(200, body)


def reports(_: Request) -> Answer:
    """Metric reports."""
    path = f"{ROOT}/TelemetryService/MetricReports"
    return Answer(200, collection(path, "MetricReportCollection", [f"{path}/Power"], "Reports"))


def report(request: Request) -> Answer:
    """The report of power."""
    path = f"{ROOT}/TelemetryService/MetricReports/Power"
    value = {
        "MetricId": "PowerWatts",
        "MetricValue": str(power_w(request.bmc)),
        "Timestamp": now_text(),
        "MetricProperty": f"{CHASSIS}/Sensors/Power#/Reading",
    }
    body = described(
        path,
        "MetricReport.v1_5_1",
        "Power, simulated",
        ReportSequence=str(request.bmc.request_count),
        Timestamp=now_text(),
        MetricValues=[value],
    )
    return Answer(200, body)


def log_services(_: Request) -> Answer:
    """Logs: one."""
    path = f"{MANAGER}/LogServices"
    return Answer(200, collection(path, "LogServiceCollection", [LOG], "Logs"))


def log_service(_: Request) -> Answer:
    """The log of the BMC."""
    body = described(
        LOG,
        "LogService.v1_7_0",
        "Log",
        OverWritePolicy="WrapsWhenFull",
        Entries=link(f"{LOG}/Entries"),
    )
    return Answer(200, body)


def _entry(entry: LogEntry) -> Json:
    return described(
        f"{LOG}/Entries/{entry.number}",
        "LogEntry.v1_16_1",
        f"Entry {entry.number}",
        EntryType="Event",
        Severity="OK",
        Created=entry.at,
        MessageId=entry.message_id,
        Message=entry.message,
    )


def log_entries(request: Request) -> Answer:
    """What was logged, expanded as the standard wants it."""
    path = f"{LOG}/Entries"
    body = collection(path, "LogEntryCollection", [], "Entries")
    entries = [_entry(entry) for entry in list(request.bmc.log)]
    return Answer(200, {**body, "Members": entries, "Members@odata.count": len(entries)})


def log_entry(request: Request) -> Answer:
    """One entry.

    Raises:
        RefusedError: there is none of this number.
    """
    for entry in list(request.bmc.log):
        if request.names == (str(entry.number),):
            return Answer(200, _entry(entry))
    raise RefusedError(404, "ResourceMissingAtURI", "there is no such entry")
