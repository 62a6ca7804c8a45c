"""Signing keys of products: P-256, made and used by `cryptography` (`ecdsa` leaks when it signs)."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from otaspec import cose
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.models import Product, SigningKey
from otacloud.vault import Vault

_PURPOSE = "signing key"


def new_key(product: Product, vault: Vault, now: int) -> SigningKey:
    """A fresh key pair for `product`, its private half sealed."""
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return SigningKey(
        tenant_id=product.tenant_id,
        product_id=product.id,
        kid=cose.kid(public).hex(),
        public_key=public,
        private_sealed=vault.seal(plain, _PURPOSE),
        created_at=now,
    )


async def current_key(session: AsyncSession, product_id: int) -> SigningKey:
    """The newest key in force."""
    query = select(SigningKey).where(SigningKey.product_id == product_id, SigningKey.retired_at.is_(None))
    return (await session.scalars(query.order_by(SigningKey.id.desc()).limit(1))).one()


def private_der(key: SigningKey, vault: Vault) -> bytes:
    """PKCS #8, unencrypted: only ever in memory."""
    return vault.open(key.private_sealed, _PURPOSE)


def public_pem(key: SigningKey) -> str:
    """SubjectPublicKeyInfo, as openssl reads it."""
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key.public_key)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
