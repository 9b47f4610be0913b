"""Explanations, made from the tables that the code runs by."""

import ast
import inspect
import itertools
from collections.abc import Iterator
from contextlib import suppress

from gigawatt import errors
from gigawatt.app.clock import SystemClock
from gigawatt.boundary.plane import Plane
from gigawatt.cli.output import console, count_of, moment, pairs, paragraph, span
from gigawatt.cli.work.connect import Connection, connected
from gigawatt.cli.work.nodes import why_out
from gigawatt.cli.work.planview import PLANE_WORDS
from gigawatt.cli.work.watch import headline
from gigawatt.errors import ForbiddenError, GigawattError, UnknownIdError
from gigawatt.fleet.slices import gpus_in_mask
from gigawatt.planner import phases
from gigawatt.planner.phases import ENDED, TRANSITIONS, Phase
from gigawatt.sdk import documents as doc

ID_LENGTH_MAX = 128

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
    words = {PLANE_WORDS[plane.value]: text for plane, text in PLANES_IN_WORDS.items()}
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
        paragraph(f"{PLANE_WORDS[word]}: {PLANES_IN_WORDS[Plane(word)]}")
    else:
        kinds = [k for k in error_classes() if word in {k.__name__.lower(), str(k.exit_code)}]
        for kind in kinds:
            _one_error(kind)
        return bool(kinds)
    return True


def _cluster(connection: Connection, cluster: doc.Cluster) -> None:
    since_s, phase = cluster.state_since.timestamp(), Phase(cluster.state)
    ago = span(SystemClock().now_s() - since_s)
    lines = [
        ("phase", f"{phase.value}: {phase_meanings()[phase]}"),
        ("since", f"{moment(since_s)} ({ago} ago)"),
        ("why", cluster.state_reason),
    ]
    if cluster.operation_id is not None:
        operation = connection.client.get_operation(cluster.operation_id)
        lines.append(("under way", headline(operation)))
        lines += [("error", operation.state_reason)] if operation.state_reason else []
        is_stuck = operation.state == "stuck"
        command = "gw reconcile" if is_stuck else f"gw cluster watch {cluster.name}"
        lines.append(("carry it on", command))
    if phase in ENDED:
        lines.append(("next", "nothing: it holds nothing any more"))
    lines += [("next", line) for _, line in _transition_lines(phase)]
    lines.append(("more", f"gw cluster show {cluster.name}, gw events {cluster.name}"))
    whose = connection.project_name(cluster.project_id)
    pairs(f"{cluster.name} of {whose} ({cluster.id})", lines)


def _node(connection: Connection, node: doc.Node) -> None:
    at = node.config
    nics = count_of(at.nic_count, "NIC")
    lines = [
        ("state", f"{node.state}: {why_out(node)}" if node.state_reason else node.state),
        ("type", f"{at.node_type}: {at.gpu_count} {at.gpu_type}, {nics}"),
        ("stands", f"site {at.site_id}, hall {at.hall_id}, rack {at.rack_id}"),
        (
            "hangs on",
            (
                f"fabric {at.fabric_id}, pod {at.pod_id}, leaf group {at.leaf_group_id}, "
                f"NVLink domain {at.nvlink_domain_id}"
            ),
        ),
        ("leaves", ", ".join(at.leaf_switch_ids)),
        ("BMC", at.bmc_address),
    ]
    held = [("held by", _held_by(connection, holder)) for holder in node.status.holders]
    pairs(f"Node {node.id}", [*lines, *(held or [("held by", "nobody")])])


def _held_by(connection: Connection, holder: doc.Holder) -> str:
    gpus = gpus_in_mask(holder.gpu_mask)
    role = f" as {holder.role}" if holder.role else ", until it is observed clean"
    share = f"{count_of(len(gpus), 'GPU')} from GPU {gpus[0]} on"
    whose = connection.project_name(holder.project_id)
    return f"{holder.cluster_name} of {whose}{role}, {share}"


def _found_node(connection: Connection, subject: str) -> doc.Node | None:
    """The node of this id, for those who may see nodes."""
    if not subject or len(subject) > ID_LENGTH_MAX:
        return None
    with suppress(UnknownIdError, ForbiddenError):
        return connection.client.get_node(subject)
    return None


def explain(subject: str | None, project: str | None) -> None:
    """Explain a word, a cluster or a node.

    Raises:
        UnknownIdError: it is none of them.
    """
    if subject is None:
        _topics()
        return
    if _words(subject):
        return
    with connected() as connection:
        node = _found_node(connection, subject)
        if node is not None:
            _node(connection, node)
            return
        try:
            cluster = connection.cluster(subject, project)
        except UnknownIdError as error:
            if "tenants" in str(error):
                raise
            raise UnknownIdError(
                f"{subject!r} is no phase, plane, error, cluster or node",
                next_step="'gw explain' says what can be explained; 'gw cluster list --all'.",
            ) from error
        _cluster(connection, cluster)
