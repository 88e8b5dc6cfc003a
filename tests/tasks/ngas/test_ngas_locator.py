"""The locator service: a real one on loopback, well and ill."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from locations_examples import FILE, entry, report
from locator_service import Service, locating, say

from tasks.errors import Missing, Refused, Transient
from tasks.ngas import Patience
from tasks.ngas.locations import LARGEST, Locations
from tasks.ngas.locator import ask_locator

LOCATOR = "uid://evla/execblock/fec4d4f4-5dd1-48e2-b5fb-3d0a8d6a5e2c"
WHOLE = say(200, report(entry(), aggregate_size=FILE["size"]), Content_Type="application/json")


@pytest.fixture
def locator_service() -> Iterator[Service]:
    with locating() as service:
        yield service


def ask(service: Service, timeout: float = 5, rounds: int = 3) -> Locations:
    patience = Patience(rounds=rounds, first_pause=0.01, longest_pause=0.01)
    return ask_locator(service.prefix, LOCATOR, "DSOC", timeout, patience)


def test_a_locator_is_answered_with_a_report(locator_service: Service) -> None:
    locator_service.answers = [WHOLE]
    (file,) = ask(locator_service).files
    assert file.direct
    assert locator_service.asked == [LOCATOR]


def test_a_prefix_that_has_parameters_keeps_them(locator_service: Service) -> None:
    locator_service.answers, locator_service.prefix = [WHOLE], f"{locator_service.prefix}?v=2"
    assert ask(locator_service).files
    assert locator_service.asked == [LOCATOR]


def test_a_busy_service_is_asked_again(locator_service: Service) -> None:
    locator_service.answers = [say(503), say(502, b"<html>Bad Gateway</html>"), WHOLE]
    assert ask(locator_service).files
    assert len(locator_service.asked) == 3


def test_a_service_that_stays_busy(locator_service: Service) -> None:
    locator_service.answers = [say(503, b"come back later")]
    with pytest.raises(Transient, match=r"HTTP 503, come back later") as caught:
        ask(locator_service)
    assert LOCATOR in str(caught.value)
    assert len(locator_service.asked) == 3


def test_an_unknown_locator_is_missing_at_once(locator_service: Service) -> None:
    with pytest.raises(Missing, match="no such locator") as caught:
        ask(locator_service)
    assert LOCATOR in str(caught.value)
    assert len(locator_service.asked) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            say(200, b"<html><title>Sign in</title></html>", Content_Type="text/html"),
            "begins '<html><title>Sign in",
        ),
        (say(200, b""), "no locations report"),
        (say(200, report(entry(relative_path="../../x"))), "leaves the destination"),
        (say(401), "HTTP 401"),
        (say(400, b"no"), "HTTP 400, no"),
        (say(200, b" " * (LARGEST + 1)), "more than"),
        (say(200, gzip.compress(b" " * (LARGEST + 1)), Content_Encoding="gzip"), "more than"),
        (say(302, Location="/location"), "redirects"),
        (say(302, Location="file:///etc/passwd"), "cannot be spoken to"),
    ],
)
def test_what_is_not_followed(locator_service: Service, answer: object, why: str) -> None:
    locator_service.answers = [answer]  # type: ignore[list-item]
    with pytest.raises(Refused, match=why) as caught:
        ask(locator_service)
    assert LOCATOR in str(caught.value)


def test_an_answer_that_breaks_off(locator_service: Service) -> None:
    locator_service.answers = [say(200, b"{", Content_Length="100")]
    with pytest.raises(Transient, match="the connection failed"):
        ask(locator_service)


def test_a_service_that_never_answers(locator_service: Service) -> None:
    locator_service.answers = [lambda handler: locator_service.over.wait(20) and None]
    began = time.monotonic()
    with pytest.raises(Transient, match="timed out"):
        ask(locator_service, timeout=0.3, rounds=2)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("status", "why"), [(200, "not whole"), (500, "HTTP 500")])
def test_a_trickle_ends_with_the_time_out(locator_service: Service, status: int, why: str) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()
        while not locator_service.over.wait(0.02):
            handler.wfile.write(b" ")

    locator_service.answers = [trickle]
    began = time.monotonic()
    with pytest.raises(Transient, match=why):
        ask(locator_service, timeout=0.5, rounds=1)
    assert time.monotonic() - began < 5


def test_a_chunked_answer(locator_service: Service) -> None:
    def chunked(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        data = report(entry())
        for piece in (data[:100], data[100:], b""):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    locator_service.answers = [chunked]
    assert ask(locator_service).files


def test_nobody_listens(dead_server: str) -> None:
    with pytest.raises(Transient, match="refused"):
        ask(Service(prefix=f"http://{dead_server}/location"), rounds=1)


def test_the_environments_proxy_is_not_asked(
    locator_service: Service, dead_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{dead_server}")
    locator_service.answers = [WHOLE]
    assert ask(locator_service).files


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key and a certificate that it signed itself, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "locator")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "locator.pem"
    path.write_bytes(secret + made.public_bytes(pem))
    return path


def test_over_tls_only_with_a_certificate_that_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locating(str(certificate)) as service:
        service.answers = [WHOLE]
        with pytest.raises(Refused, match="certificate"):
            ask(service)
        assert not service.asked
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert ask(service).files
