"""The certificate that the data plane shows: whether its files can be served, found out before they are needed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from fastgate.config.problems import Finding, Path
from fastgate.config.settings import Tls

_SOON: Final = timedelta(days=14)
_PURPOSES: Final = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)


def tls_files(folder: FilePath, tls: Tls) -> tuple[FilePath, FilePath]:
    """Where certificate and key are; relative paths start at the configuration's ``folder``."""
    return (folder / tls.cert).absolute(), (folder / tls.key).absolute()


def tls_findings(path: Path, folder: FilePath, tls: Tls) -> Iterator[Finding]:
    """Why the pair cannot be served; dates are another matter (:func:`date_warning`)."""
    at_cert, at_key = (*path, "cert"), (*path, "key")
    cert_file, key_file = tls_files(folder, tls)
    try:
        cert = _certificate(cert_file)
    except ValueError as error:
        yield Finding(at_cert, str(error))
        cert = None
    try:
        key = _private_key(key_file)
    except ValueError as error:
        yield Finding(at_key, str(error))
        return
    if not _is_served(key):
        yield Finding(at_key, "is of a kind that is not served", "use RSA from 2048 bits, P-256, P-384 or Ed25519")
    elif cert is not None and cert.public_key() != key.public_key():
        yield Finding(at_key, f"is not the key of the certificate in {cert_file}")
    if cert is not None and not _is_for_servers(cert):
        yield Finding(at_cert, "is not a certificate for servers: its extended key usage leaves them out")


def ca_findings(path: Path, file: FilePath) -> Iterator[Finding]:
    """Why a file cannot be that of authorities which are trusted."""
    try:
        is_pem = file.is_file() and b"-----BEGIN CERTIFICATE-----" in file.read_bytes()
    except OSError as error:
        yield Finding(path, f"{file} cannot be read: {error.strerror}")
        return
    if not is_pem:
        yield Finding(path, f"{file} is not a file with certificates in PEM form")


def date_warning(folder: FilePath, tls: Tls) -> str | None:
    """What there is to say of a usable pair's dates: it has ended, ends soon, or has not begun."""
    file, _ = tls_files(folder, tls)
    cert, now = _certificate(file), datetime.now(UTC)
    begins, ends = cert.not_valid_before_utc, cert.not_valid_after_utc
    if now < begins:
        return f"the certificate in {file} is not valid before {begins}: until then clients refuse it"
    if now > ends:
        return f"the certificate in {file} is not valid any more since {ends}: clients refuse it"
    return f"the certificate in {file} ends at {ends}" if ends - now < _SOON else None


def _certificate(file: FilePath) -> x509.Certificate:
    """The first of a chain; all have to be readable. Raises ``ValueError`` with what is wrong with it."""
    text = _text(file)
    try:
        return x509.load_pem_x509_certificates(text)[0]
    except ValueError:
        raise ValueError(f"{file} does not hold certificates in PEM form") from None


def _private_key(file: FilePath) -> PrivateKeyTypes:
    """Raises ``ValueError`` with what is wrong with it."""
    text = _text(file)
    try:
        return load_pem_private_key(text, password=None)
    except TypeError:
        raise ValueError(f"{file} is encrypted, and nobody can be asked for its passphrase: see openssl pkey") from None
    except Exception:  # noqa: BLE001 - kinds that the library does not know have errors of their own
        raise ValueError(f"{file} does not hold a private key in PEM form") from None


def _text(file: FilePath) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None


def _is_served(key: PrivateKeyTypes) -> bool:
    """Whether the server's TLS library (rustls with ring) can use it: another kind would end every worker."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.key_size >= 2048
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    return isinstance(key, ed25519.Ed25519PrivateKey)


def _is_for_servers(cert: x509.Certificate) -> bool:
    try:
        usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return any(purpose in usage for purpose in _PURPOSES)
