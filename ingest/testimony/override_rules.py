"""Overrides: what the operator knows about a domain and no report can say. Each is given with a note, holds until a day or until
it is taken back, and changes the verdicts of the days on which it holds. They speak about voices, never about a name that a
sender chose. (``store.overrides`` keeps them.)
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import pydantic

from ingest.rfc import names
from ingest.rfc.mtasts.lint import lint
from ingest.rfc.mtasts.patterns import is_host
from ingest.rfc.mtasts.policy import MAX_BYTES
from ingest.settings.settings import Settings
from ingest.text.shares import percent
from ingest.text.stored import storable

from . import reporters, voices

ACCEPT, REPAIRED, BELIEVE, DISMISS = "accept", "repaired", "believe", "dismiss"
THRESHOLDS, POLICY, MX_HOSTS = "thresholds", "policy", "mx-hosts"
LONGEST_NOTE = 1_000
# As long as the columns, and the parts of columns, that these are compared with.
_LONGEST_NAME, _LONGEST_HOST = 255, 253
_MOST_HOSTS = 200
# Each failure of a domain is held against each of its overrides.
MOST_IN_FORCE = 200


class RefusedOverride(ValueError):
    """This cannot be an override. Show the text; exit with 2."""


class AcceptedCause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Failures that need no repair before the switch. An empty field stands for any; not all three may be empty."""

    result_type: str = ""
    mx_host: str = ""
    voice: str = ""


class RepairedCause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Failures up to ``day`` are repaired; later ones count again. An empty field stands for any; not both may be empty."""

    day: dt.date
    result_type: str = ""
    mx_host: str = ""


class BelievedVoice(msgspec.Struct, frozen=True):
    """The verdict rests on this voice, although it is new."""

    voice: str


class DismissedVoice(msgspec.Struct, frozen=True):
    """The verdict does not rest on this voice, although it may be known."""

    voice: str


class OwnThresholds(msgspec.Struct, frozen=True, omit_defaults=True):
    """Thresholds of this domain instead of the settings VERDICT_*; None leaves one as it is."""

    bound: float | None = None
    reporters: int | None = None
    window_days: int | None = None
    late_days: int | None = None
    confidence: float | None = None


class EnteredPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """The policy file as it is served, and the hosts of the domain's MX records, as far as they were named."""

    text: str
    mx_hosts: tuple[str, ...] = ()


class MxHosts(msgspec.Struct, frozen=True):
    """The hosts of the domain's MX records."""

    hosts: tuple[str, ...]


class _StoredCause(AcceptedCause, frozen=True):
    """An accepted cause as rows hold it: earlier ones name an organisation in the place of a voice."""

    organization: str = ""


Content = AcceptedCause | RepairedCause | BelievedVoice | DismissedVoice | OwnThresholds | EnteredPolicy | MxHosts
CONTENTS: Mapping[str, type[Content]] = {
    ACCEPT: AcceptedCause,
    REPAIRED: RepairedCause,
    BELIEVE: BelievedVoice,
    DISMISS: DismissedVoice,
    THRESHOLDS: OwnThresholds,
    POLICY: EnteredPolicy,
    MX_HOSTS: MxHosts,
}
KINDS = {content: kind for kind, content in CONTENTS.items()}


class Override(msgspec.Struct, frozen=True):
    """An override as it was given. ``until`` is the last day on which it holds, None: until it is taken back."""

    domain: str
    key: str
    content: Content
    note: str
    author: str
    given_at: dt.datetime
    until: dt.date | None = None
    withdrawn_at: dt.datetime | None = None
    withdrawn_by: str = ""
    withdrawal_note: str = ""

    @property
    def kind(self) -> str:
        """One of ACCEPT, REPAIRED, BELIEVE, DISMISS, THRESHOLDS, POLICY, MX_HOSTS."""
        return KINDS[type(self.content)]

    @property
    def since(self) -> dt.date:
        """The first day on which it holds (UTC)."""
        return self.given_at.date()


def _range(name: str) -> pydantic.TypeAdapter[Any]:
    """The range of the setting VERDICT_<name>."""
    field = Settings.model_fields[f"verdict_{name}"]
    allowed: Any = Annotated[field.annotation, *field.metadata]
    return pydantic.TypeAdapter(allowed)


# The thresholds that are shares, written as ``shares`` has them.
SHARES = ("bound", "confidence")
RANGES: Mapping[str, pydantic.TypeAdapter[Any]] = {
    **{name: _range(name) for name in ("bound", "reporters", "window_days", "late_days")},
    "confidence": pydantic.TypeAdapter(Annotated[float, pydantic.Field(ge=0.5, lt=1)]),
}


def decoded(kind: str, content: str) -> Content:
    """The override that a row holds."""
    if kind != ACCEPT:
        return msgspec.json.decode(content, type=CONTENTS[kind])
    stored = msgspec.json.decode(content, type=_StoredCause)
    # A name of which nothing is left when it is folded must not come to stand for every voice.
    voice = stored.voice or voice_named(stored.organization) or stored.organization
    return AcceptedCause(stored.result_type, stored.mx_host, voice)


def voice_named(text: str) -> str:
    """The voice that a signer, a sub-domain of it, a mail address or the name of an organisation stands for, as far as that
    needs no report; ``""`` for none. A name that is not on the shipped list stands for itself, folded.
    """
    return voices.voice_of("", "", text, text, reporters.voice_of_name)


def checked(content: Content, today: dt.date) -> Content:
    """The override as it is stored. Raises RefusedOverride."""
    match content:
        case AcceptedCause():
            return _accepted(content)
        case RepairedCause():
            return _repaired(content, today)
        case BelievedVoice() | DismissedVoice():
            return type(content)(_voice(content.voice))
        case OwnThresholds():
            return _thresholds(content)
        case EnteredPolicy():
            return _policy(content)
    return MxHosts(_hosts(content.hosts, at_least=1))


def _accepted(asked: AcceptedCause) -> AcceptedCause:
    if not (asked.result_type or asked.mx_host or asked.voice):
        raise RefusedOverride("name a result type, an MX host or a voice: otherwise every failure would be accepted")
    voice = _voice(asked.voice) if asked.voice else ""
    return AcceptedCause(*_cause(asked), voice)


def _repaired(asked: RepairedCause, today: dt.date) -> RepairedCause:
    if not (asked.result_type or asked.mx_host):
        raise RefusedOverride("name a result type or an MX host: otherwise every failure would count as repaired")
    if asked.day > today:
        raise RefusedOverride(
            f"{asked.day} is not there yet: nothing can have been repaired after today, {today} (UTC)"
        )
    return RepairedCause(asked.day, *_cause(asked))


def _cause(asked: AcceptedCause | RepairedCause) -> tuple[str, str]:
    """Result type and MX host as they are stored."""
    result_type, mx_host = storable(asked.result_type), storable(asked.mx_host)
    if len(result_type) > _LONGEST_NAME or len(mx_host) > _LONGEST_HOST:
        raise RefusedOverride("longer than any result type or host is")
    return result_type, mx_host


def _voice(asked: str) -> str:
    voice = storable(asked.strip())
    if not voice or len(voice) > _LONGEST_NAME:
        raise RefusedOverride("name a voice: the domain that signs, or the name of an organisation that signs nothing")
    return voice


def _thresholds(asked: OwnThresholds) -> OwnThresholds:
    values = {name: value for name in RANGES if (value := getattr(asked, name)) is not None}
    if not values:
        raise RefusedOverride("no threshold is given")
    for name, value in values.items():
        try:
            RANGES[name].validate_python(value)
        except pydantic.ValidationError as error:
            raise RefusedOverride(f"{name.replace('_', ' ')} {_written(name, value)}: {_why(error)}") from error
    return OwnThresholds(**values)


def _written(name: str, value: float) -> str:
    return percent(value) if name in SHARES else str(value)


def _why(error: pydantic.ValidationError) -> str:
    return error.errors()[0]["msg"].lower()


def _policy(asked: EnteredPolicy) -> EnteredPolicy:
    file = storable(asked.text).encode()
    if len(file) > MAX_BYTES:
        raise RefusedOverride(f"larger than {MAX_BYTES} bytes, which no sender reads")
    policy = lint(file)
    if not (policy.mode or policy.mx):
        raise RefusedOverride("this is no policy file: it has neither a mode line nor an mx line")
    return EnteredPolicy(file.decode(), _hosts(asked.mx_hosts))


def _hosts(typed: Sequence[str], at_least: int = 0) -> tuple[str, ...]:
    """MX hosts in their stored form, none twice."""
    hosts: dict[str, None] = {}
    for text in typed:
        try:
            name = names.domain_name(text)
        except ValueError as error:
            raise RefusedOverride(f"MX host {text[:_LONGEST_HOST]!r}: {error}") from error
        if not is_host(name):
            raise RefusedOverride(f"{text[:_LONGEST_HOST]!r} is no MX host: give its name, without its preference")
        hosts[name] = None
    if not at_least <= len(hosts) <= _MOST_HOSTS:
        raise RefusedOverride(f"name at least {at_least} and at most {_MOST_HOSTS} MX hosts")
    return tuple(hosts)
