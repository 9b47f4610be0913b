"""SSH keys of the project; the same as those of the native API."""

from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gigawatt.api.lambda_cloud import documents as doc
from gigawatt.api.lambda_cloud.access import Allowed
from gigawatt.api.lambda_cloud.route import new_router, operation
from gigawatt.api.routes.accounts import PUBLIC_KEY
from gigawatt.errors import ConflictError, InputError, UnknownIdError
from gigawatt.identity.accounts import check_label
from gigawatt.interfaces.directory import SshKey

router = new_router()


def key_document(key: SshKey, private_key: str | None = None) -> doc.SshKey:
    """A key; its private half in the first answer only."""
    return doc.SshKey(
        id=key.ssh_key_id, name=key.name, public_key=key.public_key, private_key=private_key
    )


def new_pair() -> tuple[str, str]:
    """Public and private half of a new Ed25519 key, as OpenSSH reads them."""
    pair = Ed25519PrivateKey.generate()
    private = pair.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = pair.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return public.decode(), private.decode()


@operation(router, "GET", "/ssh-keys")
def list_lambda_ssh_keys(access: Allowed) -> doc.Answer[list[doc.SshKey]]:
    """SSH keys, oldest first."""
    project = access.workspace()
    return doc.Answer(data=[key_document(key) for key in access.ssh_keys(project)])


@operation(router, "POST", "/ssh-keys")
def add_lambda_ssh_key(body: doc.AddSshKey, access: Allowed) -> doc.Answer[doc.SshKey]:
    """Keep a key; adding the same again is no error. Without one, make a pair."""
    project, service = access.workspace(), access.service
    check_label("an SSH key", body.name)
    private_key = None
    if body.public_key is None:
        public_key, private_key = new_pair()
    else:
        public_key = body.public_key.strip()
    if PUBLIC_KEY.fullmatch(public_key) is None:
        raise InputError("public_key is not one line of an OpenSSH public key")
    made = SshKey(
        service.control.new_id("ssh"), project.project_id, body.name, public_key, service.now_s()
    )
    with suppress(ConflictError):
        service.directory.add_ssh_key(made)
        return doc.Answer(data=key_document(made, private_key))
    # Tools add their key at every launch, several at a time: whoever comes second gets the first.
    for kept in access.ssh_keys(project):
        if kept.name == body.name and kept.public_key == public_key:
            return doc.Answer(data=key_document(kept))
    raise InputError(
        f"the project has another SSH key {body.name!r}",
        next_step="Take another name, or delete that key first.",
    )


@operation(router, "DELETE", "/ssh-keys/{ssh_key_id}")
def delete_lambda_ssh_key(ssh_key_id: str, access: Allowed) -> doc.Answer[doc.Nothing]:
    """Forget a key; instances that have it keep it."""
    project = access.workspace()
    found = [key for key in access.ssh_keys(project) if key.ssh_key_id == ssh_key_id]
    if not found:
        raise UnknownIdError(f"no SSH key {ssh_key_id[:64]!r}")
    access.service.directory.remove_ssh_key(ssh_key_id)
    return doc.Answer(data=doc.Nothing())
