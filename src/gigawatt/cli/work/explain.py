"""Explanations, made from the tables that the code runs by."""

import ast
import inspect
import itertools
from collections.abc import Iterator

from gigawatt import errors
from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control
from gigawatt.boundary.plane import Plane
from gigawatt.cli.output import console, count_of, moment, pairs, paragraph, span
from gigawatt.cli.work.nodes import holders_of
from gigawatt.cli.work.planview import PLANE_WORDS
from gigawatt.cli.work.watch import headline
from gigawatt.errors import GigawattError, UnknownIdError
from gigawatt.fleet.slices import gpus_in_mask
from gigawatt.ids import NodeId
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.planner import phases
from gigawatt.planner.phases import ENDED, TRANSITIONS, Phase

PLANES_IN_WORDS = {
    Plane.FABRIC: "The network between GPUs. InfiniBand: every NIC of the cluster is in one "
    "partition (P_Key) that nobody else has. RoCE: one compute VNI, likewise.",
    Plane.IN_BAND: "The hosts' ordinary network: a VNI and a /20 of the cluster's own, and a "
    "gateway that lets out only where the request said.",
    Plane.OUT_OF_BAND: "The BMCs, which can switch a host off or replace its firmware: an account "
    "of the cluster's own, reached through the proxy only. Guests get no way to a BMC.",
    Plane.STORAGE: "A file system of the cluster's own, exported to its in-band network only.",
    Plane.HOST: "The machine itself: held off and clean until all other planes are closed, then "
    "booted with the tenant's image and keys; stopped and cleaned before anybody else gets it.",
}


def phase_meanings() -> dict[Phase, str]:
    """What each phase means: the sentence that stands below it in the source."""
    tree = ast.parse(inspect.getsource(phases))
    (body,) = (n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Phase")
    meanings = {}
    for member, text in itertools.pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            phase = Phase(ast.literal_eval(member.value))
            meanings[phase] = str(ast.literal_eval(text.value))
    return meanings


def error_classes() -> list[type[GigawattError]]:
    """Every error that is raised on purpose, by exit status, then by name."""
    found = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, GigawattError) and kind is not GigawattError
    ]
    return sorted(found, key=lambda kind: (kind.exit_code, kind.__name__))


def _transition_lines(phase: Phase | None = None) -> Iterator[tuple[str, str]]:
    """(from, event and to) of the transitions out of a phase; of all when None."""
    for source, event, target in TRANSITIONS:
        if phase is None or source is phase:
            yield source.value if source else "(new)", f"-- {event} --> {target.value}"


def _phases() -> None:
    pairs("Phases of a cluster", {p.value: text for p, text in phase_meanings().items()})
    pairs("\nWhat leads from one to the next", _transition_lines())


def _one_phase(phase: Phase) -> None:
    paragraph(f"{phase.value}: {phase_meanings()[phase]}")
    if phase in ENDED:
        console.print("  It is an end: the cluster holds nothing any more.")
    pairs("", _transition_lines(phase))


def _planes() -> None:
    words = {PLANE_WORDS[plane]: text for plane, text in PLANES_IN_WORDS.items()}
    pairs("The five planes that fence a cluster", words)


def _errors() -> None:
    rows = [
        (
            f"{kind.exit_code}  {kind.__name__}",
            f"{(kind.__doc__ or '').splitlines()[0]} Next: {kind.next_step}",
        )
        for kind in error_classes()
    ]
    pairs("Exit status, error, and what to do", rows)


def _one_error(kind: type[GigawattError]) -> None:
    paragraph(f"{kind.__name__}: {(kind.__doc__ or '').splitlines()[0]}")
    pairs("", {"exit status": kind.exit_code, "who acts": kind.kind, "next": kind.next_step})


def _topics() -> None:
    lines = {
        "phases": ", ".join(phase.value for phase in Phase),
        "planes": ", ".join(PLANE_WORDS.values()),
        "errors": "what each exit status means, and what to do",
        "a cluster": "by name or id: what it is doing, why, and what comes next",
        "a node": "by id: who holds it, and where it is",
    }
    pairs("gw explain ...", lines)


def _words(subject: str) -> bool:
    """Explain a word, if it is one of ours."""
    word = subject.lower().replace("-", "_").replace(" ", "_")
    topics = {"phases": _phases, "planes": _planes, "errors": _errors}
    if word in topics:
        topics[word]()
    elif word in set(Phase):
        _one_phase(Phase(word))
    elif word in set(Plane):
        paragraph(f"{PLANE_WORDS[Plane(word)]}: {PLANES_IN_WORDS[Plane(word)]}")
    else:
        kinds = [k for k in error_classes() if word in {k.__name__.lower(), str(k.exit_code)}]
        for kind in kinds:
            _one_error(kind)
        return bool(kinds)
    return True


def _cluster(control: Control, record: ClusterRecord) -> None:
    now_s = control.around.clock.now_s()
    ago = span(now_s - record.phase_since_s)
    lines = [
        ("phase", f"{record.phase.value}: {phase_meanings()[record.phase]}"),
        ("since", f"{moment(record.phase_since_s)} ({ago} ago)"),
        ("why", record.phase_reason),
    ]
    operations = control.around.store.operations_of(record.cluster_id)
    if operations and operations[-1].finished_s is None:
        operation = operations[-1]
        journal = control.around.store.journal(operation.operation_id)
        lines.append(("under way", headline(operation, journal, now_s)))
        lines += [("error", operation.error)] if operation.error else []
        is_stuck = operation.state == "stuck"
        command = "gw reconcile" if is_stuck else f"gw cluster watch {record.name}"
        lines.append(("carry it on", command))
    if record.phase in ENDED:
        lines.append(("next", "nothing: it holds nothing any more"))
    lines += [("next", line) for _, line in _transition_lines(record.phase)]
    lines.append(("more", f"gw cluster show {record.name}, gw events {record.name}"))
    pairs(f"{record.name} of {record.tenant_id} ({record.cluster_id})", lines)


def _node(control: Control, node_id: NodeId) -> None:
    fleet = control.around.fleet
    row = fleet.node_index(node_id)
    snapshot = control.around.store.snapshot(control.around.clock.now_s())
    state, reason = snapshot.node_states.get(node_id, ("available", ""))
    node_type = fleet.node_type(row)
    bmc = int(fleet.nodes.bmc_ipv4[row])
    first, last = fleet.first_nic_of_node[row], fleet.first_nic_of_node[row + 1]
    leaves = [fleet.switches.ids[int(leaf)] for leaf in fleet.nics.leaf[first:last].tolist()]
    rack = int(fleet.nodes.rack[row])
    lines = [
        ("state", f"{state}: {reason}" if reason else f"{state}"),
        (
            "type",
            (
                f"{node_type.name}: {node_type.gpu_count} {node_type.gpu_type}, "
                f"{count_of(node_type.nic_count, 'NIC')}"
            ),
        ),
        (
            "stands",
            (
                f"site {fleet.sites.ids[int(fleet.site_of_node[row])]}, hall "
                f"{fleet.halls.ids[int(fleet.racks.hall[rack])]}, rack {fleet.racks.ids[rack]}"
            ),
        ),
        (
            "hangs on",
            (
                f"fabric {fleet.fabrics.ids[int(fleet.fabric_of_node[row])]}, pod "
                f"{fleet.pods.ids[int(fleet.pod_of_node[row])]}, leaf group "
                f"{fleet.leaf_groups.ids[int(fleet.nodes.leaf_group[row])]}, NVLink domain "
                f"{fleet.nvlink_domains.ids[int(fleet.nodes.nvlink_domain[row])]}"
            ),
        ),
        ("leaves", ", ".join(dict.fromkeys(leaves))),
        ("BMC", ".".join(str(bmc >> shift & 0xFF) for shift in (24, 16, 8, 0))),
    ]
    held = [*_held_by(control, node_id)]
    pairs(f"Node {node_id}", [*lines, *(held or [("held by", "nobody")])])


def _held_by(control: Control, node_id: NodeId) -> Iterator[tuple[str, str]]:
    snapshot = control.around.store.snapshot(control.around.clock.now_s())
    for cluster_id in holders_of(snapshot, node_id):
        record = snapshot.clusters[cluster_id]
        gpus = gpus_in_mask(snapshot.allocations[node_id, cluster_id])
        members = record.target.members if record.target else ()
        roles = [m.role for m in members if m.node_id == node_id]
        role = f" as {roles[0]}" if roles else ", until it is observed clean"
        share = f"{count_of(len(gpus), 'GPU')} from GPU {gpus[0]} on"
        yield "held by", f"{record.name} of {record.tenant_id}{role}, {share}"


def explain(subject: str | None, tenant: str | None) -> None:
    """Explain a word, a cluster or a node.

    Raises:
        UnknownIdError: it is none of them.
    """
    if subject is None:
        _topics()
        return
    if _words(subject):
        return
    with open_control(Home.default()) as control:
        if subject in control.around.fleet.nodes.index_of:
            _node(control, NodeId(subject))
            return
        try:
            cluster_id = control.cluster_id_of(subject, tenant)
        except UnknownIdError as error:
            if "tenants" in str(error):
                raise
            raise UnknownIdError(
                f"{subject!r} is no phase, plane, error, cluster or node",
                next_step="'gw explain' says what can be explained; 'gw cluster list --all'.",
            ) from error
        _cluster(control, control.around.store.cluster(cluster_id))
