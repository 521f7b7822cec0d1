"""Passwords: argon2id hashes, checked in a thread, as slow for a stranger as for a known person."""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import BadInput

MIN_LENGTH = 10
MAX_LENGTH = 200


class Passwords:
    """Hashes and checks. `hasher` sets the cost; the default is argon2-cffi's (RFC 9106, low memory)."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))
        # Each check takes 64 MiB: a storm of log-ins must not take the machine's memory.
        self._turn = asyncio.Semaphore(2)

    def hash(self, password: str) -> str:
        """The string to store. Blocking, about 50 ms."""
        return self._hasher.hash(password)

    async def check(self, stored: str, password: str) -> bool:
        """Whether the password is right; an empty `stored` costs the same time and is never right."""
        async with self._turn:
            right = await asyncio.to_thread(self._verify, stored or self._nobody, password)
        return right and bool(stored)

    def outdated(self, stored: str) -> bool:
        """Whether the hash was made with other cost parameters and should be made anew."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def check_quality(user: str, password: str) -> None:
    """Raises BadInput for a password that is too short, too long or the user's name."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise BadInput(
            f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters",
            field="password",
            hint="take a longer one",
        )
    if password.lower() in (user.lower(), user.lower() * 2) or len(set(password)) < 4:
        raise BadInput("this password is too easy to guess", field="password", hint="take another one")


def random_password() -> str:
    """A password to print once: 16 characters that are not mistaken for one another."""
    alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return "".join(secrets.choice(alphabet) for _ in range(16))
