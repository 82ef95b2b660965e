"""Names and addresses as the store keeps them: A-labels, lower case, no trailing dot."""

import functools
import ipaddress
import unicodedata

# RFC 1035 section 3.1; longer cannot be looked up, and would not fit an index.
MAX_DOMAIN = 253
# Reports name the same few hosts over and over; longer texts are no names, and would fill the memory.
_MAX_CACHED = 8_192
_MAX_ADDRESS = 64
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))  # the other full stops of IDNA (RFC 3490 section 3.1)


def domain_name(text: str) -> str:
    """``text`` as A-labels in lower case without a trailing dot.

    A label outside ASCII becomes its Punycode form as it stands (RFC 5891 section 4.4 maps nothing): ``straße`` is not
    ``strasse``. Raises ValueError with a reason for what can be no domain name; patterns such as ``*.example`` pass.
    """
    return _cached_name(text) if len(text) <= MAX_DOMAIN else _domain_name(text)


def host_name(text: str) -> str:
    """The same for a host; what can be no name (an address, a text) is returned as it came."""
    try:
        return domain_name(text)
    except ValueError:
        return text


def _domain_name(text: str) -> str:
    name = _folded(text)
    if len(name) > MAX_DOMAIN:  # Punycode only adds to it, and its cost grows with the square
        raise ValueError(f"longer than {MAX_DOMAIN} characters, so no domain name")
    name = ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in name.split(".")
    )
    if len(name) > MAX_DOMAIN:
        raise ValueError(f"longer than {MAX_DOMAIN} characters, so no domain name")
    if " " in name or not name.isprintable():  # other blanks are not printable
        raise ValueError("has blanks or control characters, so no domain name")
    return name


_cached_name = functools.lru_cache(_MAX_CACHED)(_domain_name)


def _folded(text: str) -> str:
    """Lower case, composed (NFC), with plain dots.

    Label by label, because a Greek sigma ends otherwise than it begins; composed last, because some letters (``ẖ``) are
    one character in lower case only.
    """
    bare = text.strip()
    if bare.isascii() or len(bare) > 4 * MAX_DOMAIN:  # composing shortens, by less than this
        return bare.lower().rstrip(".")
    lower = ".".join(label.lower() for label in bare.translate(_DOTS).split("."))
    return unicodedata.normalize("NFC", lower).rstrip(".")


def ip_address(text: str) -> str:
    """An address in its usual short form (RFC 5952); the SMTP form ``[IPv6:...]`` is read too.

    What is no address is returned as it came: senders write ``x.x.x.x``, or host names.
    """
    bare = text.strip()
    return _cached_address(bare) if len(bare) <= _MAX_ADDRESS else bare


@functools.lru_cache(_MAX_CACHED)
def _cached_address(text: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    if bare[:5].lower() == "ipv6:":
        bare = bare[5:]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(address)  # RFC 5952 section 5
