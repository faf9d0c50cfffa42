"""An authority for tests of TLS, and the certificates that it issues."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY: Final = timedelta(days=1)


class Pair(NamedTuple):
    """The files of a certificate and its key, in PEM form."""

    cert: Path
    key: Path


class Authority:
    """``Authority(folder)``: keeps ``ca.pem``, for those who shall trust it, and all that it issues in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        builder = _builder(self._name, self._key, datetime.now(UTC) + _DAY)
        builder = builder.issuer_name(self._name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write(self.ca, builder.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, file: str, ends: datetime | None = None) -> Pair:
        """A certificate for the host ``name`` and 127.0.0.1 as ``file.pem`` and ``file.key``, by default for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        hosts = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = _builder(_name(name), key, ends or datetime.now(UTC) + _DAY).issuer_name(self._name)
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        pair = Pair(self.folder / f"{file}.pem", self.folder / f"{file}.key")
        self._write(pair.cert, builder.sign(self._key, hashes.SHA256()))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair

    @staticmethod
    def _write(path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), ends) - _DAY)
        .not_valid_after(ends)
    )
