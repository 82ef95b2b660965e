"""Looks at the dashboard's pages as a browser drew them, and names every effect that a stranger's text had."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dashboard.queries import quarantine, report_pages
from dashboard.queries.question import EVERYTHING
from dashboard.queries.report_pages import ReportFilter
from dashboard.words import plain
from tests.payload_mail import Batch, domain_of
from tests.payloads import Payload

if TYPE_CHECKING:
    from tests.system.test_dashboard_browser import Visitor

WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', event => window.violations.push(event.blockedURI + ' ' + event.violatedDirective));
"""
# What the page holds that our pages do not make of themselves. Tables, links and styles of Streamlit's own are known.
LOOK = """
() => {
  const main = document.querySelector('[data-testid=stMain]'), found = [];
  const say = (what, element) => found.push(what + ': ' + element.outerHTML.slice(0, 200));
  const never = new Set(['script', 'iframe', 'object', 'embed', 'form', 'base', 'meta', 'link', 'style', 'video', 'audio',
    'picture', 'source', 'math', 'marquee', 'noscript', 'template', 'plaintext', 'img', 'blockquote', 'del', 'em', 'sub',
    'sup', 'u', 'hr', 'h4', 'h5', 'h6', 'b', 'i']);
  const written = new Set(['p', 'code', 'strong', 'h1', 'h2', 'h3', 'div', 'span']);
  const ours = element => element.closest('[data-testid=stHeaderActionElements], .vega-bindings')
    || (element.matches('template') && /^<div class="[^"]*" data-rac="" role="group">/.test(element.innerHTML));
  for (const element of main.querySelectorAll('*')) {
    const tag = element.tagName.toLowerCase();
    if (ours(element)) continue;
    if (never.has(tag)) say('element', element);
    if (element.closest('[data-testid=stMarkdownContainer]') && !written.has(tag)) say('Markdown', element);
    if (element.matches('.katex, .stMarkdownColoredText, .stMarkdownBadge, .is-badge')) say('directive', element);
    for (const {name, value} of element.attributes) {
      const said = value.toLowerCase();
      if (name.startsWith('on')) say('handler', element);
      if (['src', 'srcset', 'action', 'formaction', 'data', 'xlink:href'].includes(name) && !said.startsWith('data:image/svg'))
        say('address', element);
      if (name === 'href' && !value.startsWith('#') && new URL(value, location.href).origin !== location.origin)
        say('link', element);
      if (['style', 'class', 'id', 'name', 'href'].includes(name) && !/^[?/]?[a-z/]*[?]/.test(said) && !said.startsWith('http')
          && /attacker|owned|javascript|url[(]/.test(said)) say(name, element);
    }
    // Our own titles are words; an id is a name that scripts may find.
    if (element.matches('h1[id], h2[id], h3[id]') && element.id !== 'this-domain'
        && /[^A-Za-z0-9 ,:]/.test(element.innerText)) say('id', element);
  }
  for (const image of main.querySelectorAll('[data-testid=stMarkdownContainer] [data-testid=stIconMaterial]')) {
    const before = image.parentElement.closest('a, button, [data-testid=stAlert]');
    if (!before && !image.closest('summary')) say('icon', image);
  }
  if (window.owned) found.push('a script ran');
  if (/owned/.test(document.title)) found.push('title: ' + document.title);
  found.push(...window.violations.map(text => 'policy: ' + text));
  const wider = main.scrollWidth - document.documentElement.clientWidth;
  if (wider > 0) found.push('wider than the screen by ' + wider);
  return {found, title: document.title, text: main.textContent};
}
"""
# Characters that nothing shows: categories, and what Unicode calls Default_Ignorable_Code_Point beside them.
_NOT_SHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
_MOST_MARKS = 4
# How often a page that grows is looked at before something is called missing.
_LOOKS = 100


def hidden_in(text: str) -> list[str]:
    """Characters that a page must not hold: invisible ones, and marks that grow over other lines."""
    hidden = {
        f"U+{ord(c):04X}"
        for c in text
        if c not in "\n\t" and (unicodedata.category(c) in _NOT_SHOWN or _IGNORABLE.match(c))
    }
    marks = longest = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        longest = max(longest, marks)
    return sorted(hidden) + ([f"{longest} marks on one letter"] if longest > _MOST_MARKS else [])


def effects(visitor: "Visitor", where: str, expected: Iterable[str] = ()) -> list[str]:
    """Every effect on the page that is shown now; a text of ``expected`` that is not there, literally, is one too."""
    for toggle in visitor.page.get_by_text("Show the report as it came").all():
        before = visitor.page.locator("[data-testid=stCode]").count()
        toggle.click()
        visitor.page.wait_for_function(
            "before => document.querySelectorAll('[data-testid=stCode]').length > before", arg=before, timeout=60_000
        )
    wanted = {text: _squeezed(text) for text in expected}
    seen, missing = _whole(visitor, wanted)
    page_effects = [
        *seen["found"],
        *(f"hidden: {character}" for character in hidden_in(seen["text"])),
        *(f"not shown as it is: {text[:100]!r}" for text in missing),
    ]
    page_effects += [f"asked elsewhere: {url}" for url in visitor.strayed] + [
        f"said: {text}" for text in visitor.complaints
    ]
    visitor.strayed.clear()
    visitor.complaints.clear()
    return [f"{where}: {effect}" for effect in page_effects]


def _whole(visitor: "Visitor", wanted: dict[str, str]) -> tuple[Any, list[str]]:
    """What LOOK says when the page no longer grows (what is folded in is drawn last), and which texts are missing then."""
    length = -1
    for _ in range(_LOOKS):
        seen = visitor.page.evaluate(LOOK)
        page_text = _squeezed(seen["text"])
        missing = [text for text, squeezed in wanted.items() if squeezed not in page_text]
        if len(page_text) == length and not missing:
            break
        length = len(page_text)
        visitor.page.wait_for_timeout(250)
    return seen, missing


def _squeezed(text: str) -> str:
    return "".join(text.split())


def as_stored(text: str) -> str:
    """A report's text as the store keeps it."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def of_batch(engine: sa.Engine, batch: Batch) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """The pages that show a batch: path, what is asked, and the texts that must stand there."""
    texts = [as_stored(payload.text) for payload in batch.payloads]
    labels = [
        plain.visible(text[:255].strip().lower(), 40).replace(":material/", ":material[U+002F]") for text in texts
    ]
    lines = [
        plain.visible_lines(line, 8_000)
        for text in texts
        if not text.lstrip().startswith("[")
        for line in text.splitlines()
        if len(line) < 4_000
    ]
    yield "/domain", {"domain": batch.domain, "reports": "unproven", "policy": "sts"}, []
    for name, wanted in (("entries", [*labels, *lines]), ("details", [])):
        yield (
            "/reports",
            {"domain": batch.domain, "report": key_of(engine, f"{name} of {batch.domain}", batch.domain)},
            wanted,
        )


def of_payload(engine: sa.Engine, payload: Payload) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """The pages about one payload: where it names a domain, a reporter, or the figure that was clicked."""
    text, domain = as_stored(payload.text), domain_of(payload)
    named = [plain.visible(domain, 200)]
    yield "/domain", {"domain": domain}, named
    yield "/reports", {"domain": domain, "reporter": text[:200], "result": text, "mx": text, "policy": text}, []
    key = key_of(engine, text[:255], domain)
    yield "/reports", {"domain": domain, "report": key}, [plain.visible(text[:255]), *named]


def of_quarantine(engine: sa.Engine, every: int) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """The list, and one message in ``every``."""
    yield "/quarantine", {}, []
    rows = quarantine.list_messages(engine, EVERYTHING, limit=100_000)
    for row in rows.iloc[::every].to_dict("records"):
        yield "/quarantine", {"message": row["message_digest"]}, [plain.visible(row["explanation"], 2_000)]


def key_of(engine: sa.Engine, organization: str, domain: str) -> str:
    """The key of the report by exactly this organisation about this domain."""
    rows = report_pages.list_reports(engine, EVERYTHING, ReportFilter(domain=domain), limit=100_000)
    return str(rows.loc[rows["organization"] == organization, "report_key"].iloc[0])


def watch(visitor: "Visitor") -> "Visitor":
    """Let the pages note what their Content-Security-Policy had to stop: a payload got that far."""
    visitor.page.add_init_script(WATCH)
    return visitor


def look(visitor: "Visitor", pages: Iterable[tuple[str, dict[str, str], list[str]]]) -> list[str]:
    """Open each page (of a visitor who is watched: see ``watch``) and name its effects."""
    every_effect = []
    for path, asked, expected in pages:
        visitor.go(path, **{name: value.encode("utf-8", "replace").decode() for name, value in asked.items()})
        every_effect += effects(visitor, f"{path} {asked}"[:160], expected)
    return every_effect
