"""What must not be shown, and hiding it.

Rule 1: a name tells a secret: of a variable of the environment, of a parameter, of an option of a
command. So does its place, such as `apiKeys`.
Rule 2: what is secret is hidden wherever it has got to: a macro carries it into a command, a slip
of the pen into a message.
"""

import re
from collections.abc import Iterable, Mapping

MASK = "***"

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_TELLING = frozenset(
    [
        *("key", "apikey", "token", "secret", "password", "passwd", "passphrase", "pass"),
        *("auth", "authorization", "credential", "credentials"),
    ]
)
# Of a file that holds a secret the path is none.
_HARMLESS = frozenset(("file", "dir", "path", "sock"))

# "--api-key VALUE", "--hf-token=VALUE"; "--max-num-batched-tokens" is none.
_OPTION = re.compile(
    r"(?<!\S)(--?(?:[a-z0-9]+[-_])*(?:api)?(?:key|token|secret|password|passwd)(?:[-_][a-z0-9]+)*"
    r"(?:\s*=\s*|\s+))(\"[^\"]*\"|'[^']*'|[^\s\"']+)",
    re.IGNORECASE,
)

# Shorter texts occur anywhere by chance.
_SHORTEST = 6


def names_secret(name: str) -> bool:
    """Say whether what is called so is a secret: `HF_TOKEN`, `apiKey`; not `MAX_TOKENS`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return not _TELLING.isdisjoint(words) and words[-1] not in _HARMLESS


def secrets_of(environ: Mapping[str, str]) -> frozenset[str]:
    """Collect the secrets of an environment."""
    return frozenset(value for name, value in environ.items() if names_secret(name))


class Secrets:
    """Texts to hide."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        long = {text for text in texts if len(text) >= _SHORTEST}
        # The longest first: one secret may be the beginning of another.
        self._texts = sorted(long, key=lambda text: (-len(text), text))

    def within(self, text: str) -> "Secrets":
        """Keep only those that a text has: there may be many, and many texts to look at."""
        return Secrets(secret for secret in self._texts if secret in text)

    def hidden(self, text: str) -> str:
        """Mask every secret in a text."""
        for secret in self._texts:
            text = text.replace(secret, MASK)
        return text


def hidden_options(command: str) -> str:
    """Mask the values of a command's options that are called secrets."""
    return _OPTION.sub(lambda found: f"{found[1]}{MASK}", command)
