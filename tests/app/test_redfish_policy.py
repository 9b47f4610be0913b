"""What a tenant may ask of a BMC, and what it sees of the answer.

Goal: what is not listed is forbidden, however it is written; what goes on to a BMC is one of a few
plain requests; nothing in an answer leads a tenant to what is not its own.
Method: tables of what may and what may not, tricks with addresses and bodies, and hypothesis over
addresses made of what servers have been fooled with, and over answers.
"""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gigawatt.app.redfish_policy import RedfishCall, judge_call, shown_answer
from gigawatt.errors import ForbiddenError, InputError

PREFIX = "/gw/v1/clusters/clu_a/nodes/h1"
MEDIA = ("https://images.example/tenants/",)
RESET = "v1/Systems/1/Actions/ComputerSystem.Reset"
INSERT = "v1/Managers/bmc/VirtualMedia/CD1/Actions/VirtualMedia.InsertMedia"
ONCE = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}
PLAIN = re.compile(r"/redfish/v1(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


@pytest.mark.parametrize(
    "resource",
    ["v1", "v1/", "v1/Systems", "v1/Systems/System.Embedded.1", "v1/Chassis/1/Sensors/Fan_1"],
)
def test_what_may_be_read(resource):
    call = judge_call("GET", resource)
    assert call == RedfishCall("GET", "/redfish/" + resource.rstrip("/"))


@pytest.mark.parametrize(
    "resource",
    [
        *("v1/AccountService", "v1/AccountService/Accounts/1", "v1/SessionService/Sessions"),
        *("v1/Managers/1/EthernetInterfaces", "v1/Managers/1/NetworkProtocol"),
        *("v1/Managers/1/LogServices/Log/Entries", "v1/Systems/1/LogServices"),
        *("v1/EventService", "v1/UpdateService", "v1/CertificateService", "v1/TaskService"),
        *("v1/Systems/1/Bios", "v1/Systems/1/Storage", "v1/Systems/1/Oem/Maker"),
        *("v1/Managers/1/SerialInterfaces", "v1/JsonSchemas", "v1/Registries", "v1/$metadata"),
    ],
)
def test_what_may_not_be_read(resource):
    with pytest.raises(ForbiddenError):
        judge_call("GET", resource)


TRICKS = [
    *("v1/Systems/../AccountService", "v1/Systems/1/../../AccountService", "../v1", "v1/.."),
    *("v1/Systems/%2e%2e/AccountService", "v1/Systems/..%2fAccountService", "v1%2fSystems"),
    *("v1//Systems", "/v1/Systems", "//evil.example/redfish/v1", "v1/Systems//"),
    *("v1/systems", "V1/Systems", "v1/SYSTEMS/1", "v1/accountservice"),
    *("v1/Systems/1?x=/AccountService", "v1/Systems/1#/AccountService", "v1/Systems/1;a=b"),
    *("v1/Systems/1\\..\\AccountService", "v1/Systems/1\n", "v1/Systems/1\0", "v1/Systems/1 "),
    *("https://bmc/redfish/v1", "v1/Systems/@evil.example", "v1/Systems/1:443", "v1/./Systems"),
    *("v1/Systems/\u0130d", "v1/Systems/\uff0e\uff0e", "v1/Systems/" + "a" * 65, "v2/Systems", ""),
    *("v1/Systems/.", "v1/Systems/...", "v1/Systems/-1", "v1/" + "a/" * 50, "v1/Systems/1/%00"),
]


@pytest.mark.parametrize("resource", TRICKS)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_tricks_with_the_address_are_refused(method, resource):
    with pytest.raises(ForbiddenError):
        judge_call(method, resource, {"ResetType": "On"}, MEDIA)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "get", "", "TRACE"])
def test_other_methods_are_refused(method):
    for resource in ("v1", "v1/Systems/1", RESET):
        with pytest.raises(ForbiddenError):
            judge_call(method, resource, {"ResetType": "On"})


PIECES = st.sampled_from(
    [
        *("v1", "Systems", "1", "..", ".", "", "%2e", "%2f", "AccountService", "Accounts"),
        *("Actions", "ComputerSystem.Reset", "VirtualMedia", "Managers"),
        *("\\", "//", "?", "#", ";", "@", ":", "\0"),
    ]
)


@given(
    st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=8),
    st.sampled_from(["/", "", "//", "\\", "%2F"]),
    st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
)
@example(["v1", "Systems", "1"], "/", "GET")
def test_whatever_is_let_through_is_plain_and_of_the_nodes_own(pieces, joint, method):
    try:
        call = judge_call(method, joint.join(pieces), {"ResetType": "On"}, MEDIA)
    except (ForbiddenError, InputError):
        return
    assert PLAIN.fullmatch(call.path)
    assert ".." not in call.path.split("/")
    assert not {"AccountService", "Accounts"} & set(call.path.split("/"))
    assert call.path.split("/")[3:4] in ([], ["Systems"], ["Chassis"], ["Managers"])


def test_a_node_may_be_reset_and_told_what_to_boot_from():
    call = judge_call("POST", RESET, {"ResetType": "ForceRestart"})
    assert call == RedfishCall("POST", "/redfish/" + RESET, {"ResetType": "ForceRestart"})
    call = judge_call("PATCH", "v1/Systems/1", {"Boot": ONCE})
    assert call == RedfishCall("PATCH", "/redfish/v1/Systems/1", {"Boot": ONCE})


@pytest.mark.parametrize(
    ("method", "resource", "body"),
    [
        ("POST", RESET, None),
        ("POST", RESET, []),
        ("POST", RESET, {}),
        ("POST", RESET, {"ResetType": "Suspend"}),
        ("POST", RESET, {"ResetType": ["On"]}),
        ("POST", RESET, {"ResetType": "On", "Oem": {}}),
        ("PATCH", "v1/Systems/1", {"Boot": {**ONCE, "BootSourceOverrideEnabled": "Continuous"}}),
        ("PATCH", "v1/Systems/1", {"Boot": {**ONCE, "BootSourceOverrideTarget": "UefiHttp"}}),
        ("PATCH", "v1/Systems/1", {"Boot": {**ONCE, "BootOrder": []}}),
        ("PATCH", "v1/Systems/1", {"Boot": {"BootSourceOverrideTarget": "Pxe"}}),
        ("PATCH", "v1/Systems/1", {"Boot": ONCE, "AssetTag": "mine"}),
        ("PATCH", "v1/Systems/1", {"Boot": None}),
        ("PATCH", "v1/Systems/1", {}),
        ("POST", INSERT.replace("Insert", "Eject"), {"Image": "x"}),
        ("POST", INSERT, {"Image": 5}),
        ("POST", INSERT, {"Image": MEDIA[0] + "a.iso", "UserName": "x"}),
        ("POST", INSERT, {"Image": MEDIA[0] + "a.iso", "Inserted": "yes"}),
        ("POST", INSERT, {"Image": MEDIA[0] + "a" * 2_000}),
    ],
)
def test_bodies_that_say_more_or_less_are_refused(method, resource, body):
    with pytest.raises(InputError) as caught:
        judge_call(method, resource, body, MEDIA)
    assert not isinstance(caught.value, ForbiddenError)


@pytest.mark.parametrize(
    ("method", "resource"),
    [
        ("POST", "v1/Managers/1/Actions/Manager.Reset"),
        ("POST", "v1/Managers/1/Actions/Manager.ResetToDefaults"),
        ("POST", "v1/Systems/1/Actions/ComputerSystem.SetDefaultBootOrder"),
        ("POST", "v1/Systems/1/Bios/Actions/Bios.ResetBios"),
        ("POST", "v1/AccountService/Accounts"),
        ("POST", "v1/SessionService/Sessions"),
        ("POST", "v1/UpdateService/Actions/UpdateService.SimpleUpdate"),
        ("POST", "v1/EventService/Subscriptions"),
        ("POST", "v1/Systems"),
        ("PATCH", "v1/Managers/1"),
        ("PATCH", "v1/Systems/1/Bios/Settings"),
        ("PATCH", "v1/AccountService/Accounts/1"),
        ("PATCH", "v1/Chassis/1"),
    ],
)
def test_what_may_not_be_done(method, resource):
    with pytest.raises(ForbiddenError):
        judge_call(method, resource, {"ResetType": "On"}, MEDIA)


def test_media_are_the_operators_only_and_never_writable():
    call = judge_call("POST", INSERT, {"Image": MEDIA[0] + "a/b.iso"}, MEDIA)
    wanted = {"Image": MEDIA[0] + "a/b.iso", "Inserted": True, "WriteProtected": True}
    assert call.body == wanted
    assert judge_call("POST", INSERT.replace("Insert", "Eject"), {}).body == {}
    with pytest.raises(ForbiddenError):
        judge_call("POST", INSERT, {"Image": MEDIA[0] + "a.iso"})
    for url in (
        "http://images.example/tenants/a.iso",
        "https://images.example/tenants",
        "https://images.example/tenants/",
        "https://images.example/tenants/../operator.iso",
        "https://images.example/tenants/%2e%2e/operator.iso",
        "https://images.example/tenants/a.iso?token=1",
        "https://images.example/tenants/a//b.iso",
        "https://images.example.evil/tenants/a.iso",
        "https://100.64.0.2/redfish/v1",
        "file:///etc/passwd",
        "//images.example/tenants/a.iso",
        MEDIA[0] + "a.iso#x",
        MEDIA[0] + "a\\b.iso",
    ):
        with pytest.raises(ForbiddenError):
            judge_call("POST", INSERT, {"Image": url}, MEDIA)


SYSTEM = {
    "@odata.id": "/redfish/v1/Systems/1",
    "@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem",
    "@odata.context": "/redfish/v1/$metadata#ComputerSystem.ComputerSystem",
    "Name": "System",
    "PowerState": "On",
    "Processors": {"@odata.id": "/redfish/v1/Systems/1/Processors"},
    "LogServices": {"@odata.id": "/redfish/v1/Systems/1/LogServices"},
    "HostName": "operator-name",
    "Links": {
        "ManagedBy": [{"@odata.id": "/redfish/v1/Managers/1"}],
        "Elsewhere": [{"@odata.id": "https://other-bmc/redfish/v1"}],
        "Elsewhere@odata.count": 1,
    },
    "Oem": {"Maker": {"Secret": 1}},
    "Actions": {
        "#ComputerSystem.Reset": {"target": "/redfish/v1/" + RESET.removeprefix("v1/")},
        "#ComputerSystem.SetDefaultBootOrder": {
            "target": "/redfish/v1/Systems/1/Actions/ComputerSystem.SetDefaultBootOrder"
        },
        "Oem": {"#Maker.Wipe": {"target": "/redfish/v1/Oem/Wipe"}},
    },
    "Power": {"@odata.id": "/redfish/v1/Chassis/1/Power#/PowerControl/0", "PowerW": 5},
}


def test_an_answer_leads_nowhere_but_through_us():
    assert shown_answer(SYSTEM, PREFIX) == {
        "@odata.id": f"{PREFIX}/redfish/v1/Systems/1",
        "@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem",
        "Name": "System",
        "PowerState": "On",
        "Processors": {"@odata.id": f"{PREFIX}/redfish/v1/Systems/1/Processors"},
        "Links": {
            "ManagedBy": [{"@odata.id": f"{PREFIX}/redfish/v1/Managers/1"}],
            "Elsewhere": [],
            "Elsewhere@odata.count": 0,
        },
        "Actions": {"#ComputerSystem.Reset": {"target": f"{PREFIX}/redfish/{RESET}"}},
        "Power": {"@odata.id": f"{PREFIX}/redfish/v1/Chassis/1/Power#/PowerControl/0", "PowerW": 5},
    }


@pytest.mark.parametrize(
    "value",
    [
        *("https://bmc.example/x", "http://[::1]/", "//evil.example", "ssh://root@bmc"),
        *("/redfish/v1/AccountService", "/Redfish/v1/Systems/1", "/redfish/v1/../x"),
        *("/redfish/v1/Systems/1/../../AccountService", "/redfish/v1/Systems/1?a", "/redfish"),
        *("//redfish/v1/Systems/1", "/redfish/v1/Systems/1#//", "see https://bmc.example"),
    ],
)
def test_addresses_in_answers_are_left_out_wherever_they_stand(value):
    answer = {"a": value, "b": [value, {"c": value}], "d": {"@odata.id": value, "e": 1}}
    assert shown_answer(answer, PREFIX) == {"b": [{}]}


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.text(max_size=8),
        st.sampled_from(["/redfish/v1/AccountService", "https://x/", "/redfish/v1/Systems/1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=4), st.sampled_from(["@odata.id", "Oem", "#A.B", "target"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_answer_shows_an_address_that_is_not_ours(answer):
    text = json.dumps(shown_answer(answer, PREFIX))
    assert "AccountService" not in text
    assert "://" not in text
    assert "/redfish" not in text.replace(f"{PREFIX}/redfish/v1", "")


def test_an_answer_without_end_is_refused():
    answer: object = 1
    for _ in range(100):
        answer = [answer]
    with pytest.raises(InputError, match="levels deep"):
        shown_answer(answer, PREFIX)
