"""Whose a method's name is: that of its first submitter, known by a key or by a repository.

A key is proved by a signature over the manifest (Ed25519, RFC 8032), which names every file of a
bundle. A repository is only named, and anybody can name it: where it is all that binds a name, a
further version must come from the account that the repository is under. Where it is not known who
hands it in, it carries a flag, and is not added to a board.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from spared_bench.errors import SubmissionError, UsageError
from spared_bench.ordinary import read_text
from spared_bench.store.processes import stamp
from spared_bench.strict import text_of
from spared_bench.submissions.schema import Description, read_description
from spared_bench.whereabouts import whereabouts

KEY_PREFIX = "ed25519:"
#: The flag of a name that a repository binds, where it is not known who hands the bundle in.
NAME_BY_REPOSITORY = "name-by-repository"
#: Letters and digits that are taken for one another (Unicode, UTS 39, and what hides one as well).
_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s"})
_PAIRS_ALIKE = (("rn", "m"), ("vv", "w"), ("cl", "d"))


def plain_name(name: str) -> str:
    """Return a name as readers remember it: ``ST-Net`` and ``st_net`` are one.

    >>> plain_name("ST-Net+") == plain_name("st_net")
    True
    """
    return "".join(c for c in name.casefold() if c.isalnum()) or name


def drawn_name(name: str) -> str:
    """Return a name as it looks: ``bleep``, ``b1eep`` and ``BIeep`` are drawn alike.

    >>> drawn_name("B1eep") == drawn_name("bleep"), drawn_name("egn") == drawn_name("eggn")
    (True, False)
    """
    drawn = plain_name(name).translate(_ALIKE)  # first: c1 is cl, too
    for pair, letter in _PAIRS_ALIKE:
        drawn = drawn.replace(pair, letter)
    return drawn


def load_key(path: Path) -> bytes:
    """Return the private key of a file, 32 bytes; a new one is made where there is no file.

    Raises
    ------
    UsageError
        If the file holds something else, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        if not path.exists():
            _keep_key(path, Ed25519PrivateKey.generate().private_bytes_raw())
    except OSError as error:
        told = whereabouts(path.parent) or f"{error.strerror or error}."
        raise UsageError(f"The key {path} cannot be made. {told}") from error
    try:
        key = bytes.fromhex(text_of(path, "key", UsageError).strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UsageError(f"{path} holds no key of `submit build --key`: 64 hex digits.")
    return key


def _keep_key(path: Path, key: bytes) -> None:
    """Write a key whole or not at all, for its owner alone, and in no other's place."""
    beside = path.with_name(f".{path.name}.{stamp()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.hex() + "\n")
        try:
            os.link(beside, path)
        except FileExistsError:  # somebody was quicker
            pass
        except OSError:  # no hard links here
            beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


def public_key(private: bytes) -> str:
    """Return what ``submission.yaml`` says of a key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(private).public_key()
    return KEY_PREFIX + public.public_bytes_raw().hex()


def sign(private: bytes, manifest: bytes) -> str:
    """Return the signature of a manifest, 128 hex digits."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).sign(manifest).hex()


def check_signature(key: str, manifest: bytes, signature: str) -> None:
    """Check that who has a key has signed a manifest.

    Raises
    ------
    SubmissionError
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.removeprefix(KEY_PREFIX)))
        public.verify(bytes.fromhex(signature.strip()), manifest)
    except (InvalidSignature, ValueError) as error:
        raise SubmissionError(
            "submission.yaml names a key, and the signature is not one of it. `spared-bench submit"
            " build --key FILE` signs with the key of the file."
        ) from error


def owners(leaderboards: Path, method: str) -> Iterator[tuple[str, Description | None]]:
    """Yield the entries of a method's name, under any protocol, and what they said.

    Where the name is not there, those of one that looks like it.
    """
    folders = [path for path in sorted(leaderboards.glob("*@*/*@*")) if path.is_dir()]
    names = {path: path.name.partition("@")[0] for path in folders}
    wanted = [path for path in folders if plain_name(names[path]) == plain_name(method)]
    alike = [path for path in folders if drawn_name(names[path]) == drawn_name(method)]
    for folder in wanted or alike:
        try:
            text = read_text(folder / "submission.yaml")
            yield f"{folder.parent.name}/{folder.name}", read_description(text, folder.name)
        except (OSError, ValueError, SubmissionError):
            yield f"{folder.parent.name}/{folder.name}", None


def plain_address(code: str) -> str:
    """Return the address of a repository as forges take it: in any case, with ``.git`` or not.

    >>> plain_address("https://github.com/Somebody/st-net.git/")
    'github.com/somebody/st-net'
    """
    address = code.casefold().removeprefix("https://").removeprefix("www.")
    return address.rstrip("/").removesuffix(".git")


def owner_of(code: str) -> str:
    """Return the account that a repository is under; empty for an address without one.

    >>> owner_of("https://github.com/Somebody/st-net")
    'somebody'
    """
    parts = [part for part in urlsplit(code).path.split("/") if part]
    return parts[0].casefold() if len(parts) > 1 else ""


def _is_of(code: str, sender: str) -> bool:
    """Whether a repository is under an account, which may be told with its host."""
    host, _, account = sender.casefold().rpartition("/")
    found = (urlsplit(code).hostname or "").removeprefix("www.")
    return owner_of(code) == account and host in ("", found)


def who_goes_on(said: Description, sender: str = "") -> str:
    """Return, in a sentence, from whom further versions of a method's name are taken.

    Parameters
    ----------
    said : Description
    sender : str
        As ``why_not_ones_own`` takes it.
    """
    start = f"Further versions of {said.method!r} are taken"
    if said.key:
        return f"{start} with its key alone."
    account = owner_of(said.code)
    if not account:
        return (
            f"{start} from nobody, as neither a key nor a repository says whose it is. Build it"
            " again with `--key FILE` to keep the name."
        )
    place = f"{plain_address(said.code).partition('/')[0]}/{account}"
    told = f"{start} from {place} alone, the account of its repository"
    if sender and not _is_of(said.code, sender):
        return f"{told}; this one is from {sender}. With `--key FILE` they could come from there."
    return f"{told}."


def why_not_ones_own(
    earlier: Sequence[tuple[str, Description | None]], said: Description, sender: str = ""
) -> tuple[str, str]:
    """Return why a name is not the submitter's, and what is to be looked at; empty where nothing.

    Parameters
    ----------
    earlier : sequence
        Who has the name, as ``owners`` gives it.
    said : Description
        Whose key, if it names one, was checked.
    sender : str
        The account that hands it in, as the forge names it, or ``HOST/ACCOUNT``: anybody can take
        the same account at another host. Empty where it is not known.
    """
    if not earlier:
        return "", ""
    keys = {each.key for _, each in earlier if each is not None and each.key}
    where = earlier[0][0]
    taken = (
        f"The name {said.method!r} belongs to whoever submitted {where}, and"
        " {}. Choose another `method`; if it is yours, ask whoever keeps the board."
    )
    if keys:
        mine = said.key in keys
        return ("" if mine else taken.format("this bundle is not signed with that key"), "")
    code = {each.code for _, each in earlier if each is not None and each.code}
    if not code:
        return taken.format("neither a key nor a repository shows who that is"), ""
    if plain_address(said.code) not in map(plain_address, code):
        return taken.format("this bundle names another repository than it"), ""
    if sender and not _is_of(said.code, sender):
        why = (
            f"it is bound to the repository {said.code}, under which {sender} is not; hand it in"
            " from there, or sign with a key from the first version on"
        )
        return taken.format(why), ""
    unknown = (
        f"The name {said.method!r} is bound to the repository {said.code} by {where}; anybody can"
        " name that. It is added to a board only with `--from ACCOUNT`, the account that hands it"
        " in, which must be the repository's."
    )
    return "", "" if sender else unknown
