"""Derives a key from a password, which a native library makes slow on purpose."""
import hashlib

print(hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 6000000).hex()[:8])
