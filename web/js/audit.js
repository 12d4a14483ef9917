/*
 * The audit log: is the chain whole, filters that the daemon answers, a search, and one event as it is written.
 */
import { get } from "./api.js";
import { Badge, Command, Failure, Json, Notice, Page, Text, Time, count, html, useEffect, useLoad, useRef, useState } from "./ui.js";

const PER_PAGE = 200, TYPED_MS = 40;
const TYPES = ["approval.*", "approval.requested", "approval.approved", "approval.denied", "approval.expired", "execution.*", "execution.started", "execution.succeeded",
  "execution.failed", "action.*", "connector.*", "binding.*", "vault.*", "keyring.*", "session.*", "daemon.*", "capability.denied"];
const FILTERS = [["type", "Type"], ["connector", "Connector"], ["class", "Class of failure"], ["session", "Session"], ["since", "From", "date"], ["until", "Until", "date"]];

/* --- the chain --- */

function Verdict({ of }) {
  const anchor = of.anchor?.seq ? ` A signed head vouches for the first ${of.anchor.seq.toLocaleString("en")}; ${of.anchor.later.toLocaleString("en")} came later.` : "";
  return html`${of.intact ? html`<p>The chain of ${count(of.events, "event")} is intact.${anchor}</p>` : html`<p><b>The chain is broken:</b> <${Text} of=${`${of.where ?? ""} ${of.what ?? ""}`} /></p>
    <p><${Command}>aileron audit verify<//></p>`}<details><summary>All of it</summary><${Json} of=${of} /></details>`;
}

/* Checked when the page is opened, then when it is asked for: it reads everything. */
function Chain() {
  const [state, setState] = useState({ busy: true });
  const verify = () => {
    setState(({ data }) => ({ data, busy: true }));
    get("/v1/audit/verify").then(data => setState({ data }), error => setState({ error }));
  };
  useEffect(verify, []);
  const { data, error, busy } = state;
  return html`<section aria-label="Chain"><${Notice} tone=${data ? data.intact ? "good" : "bad" : ""}><div class="row"><div role="status">${data ? html`<${Verdict} of=${data} />` : busy && "Reading the whole chain…"}
    <${Failure} of=${error} /></div><button type="button" disabled=${busy} onClick=${verify}>${busy ? "Checking…" : "Check the chain"}</button></div><//></section>`;
}

/* --- events --- */

const TONES = [[/failed$|denied$|broken|unlock_failed/, "bad"], [/succeeded$|approved$|created$|installed$/, "good"], [/requested$|expired$|cancelled$/, "warn"]];
const SUBJECTS = ["aileron.action.name", "aileron.binding.name", "aileron.connector.fqn", "aileron.session.agent", "aileron.keyring.authority", "aileron.vault.path"];
const toneOf = type => TONES.find(([pattern]) => pattern.test(type))?.[1] ?? "";
const subjectOf = ({ payload = {}, actor }) => SUBJECTS.map(key => payload[key]).find(Boolean) ?? actor?.id ?? "";

/* A receipt in one line that opens to the whole of it. */
export function EventRow({ of }) {
  const [open, setOpen] = useState(false);
  const failure = of.payload?.["aileron.failure.class"], approval = of.payload?.["aileron.approval.id"];
  return html`<li><details onToggle=${event => setOpen(event.target.open)}><summary><span class="when"><${Time} of=${of.timestamp} /></span><${Badge} tone=${toneOf(of.event_type)}><${Text} of=${of.event_type} /><//>
    <span class="subject"><${Text} of=${subjectOf(of)} />${failure && html` <span class="faint"><${Text} of=${failure} /></span>`}</span></summary>
    ${open && html`${approval && html`<p><a href=${`/approvals/${encodeURIComponent(approval)}`}>The approval</a></p>`}<${Json} of=${of} />`}</details></li>`;
}

/* What is asked of the daemon: days become times of this machine's zone, the second of them whole. */
function asked(filters) {
  const query = new URLSearchParams({ limit: String(PER_PAGE) });
  for (const [name, value] of Object.entries(filters)) {
    const day = (name === "since" || name === "until") && new Date(`${value}T00:00:00`);
    if (day && name === "until")
      day.setDate(day.getDate() + 1);
    query.set(name, day ? day.toISOString() : value);
  }
  return query;
}

function Filters({ of, onSet }) {
  return html`<form class="filters" role="search" aria-label="Receipts" onSubmit=${event => event.preventDefault()}>
    <label class="wide">Search<input name="text" type="search" autocomplete="off" spellcheck=${false} value=${of.text ?? ""} onInput=${event => onSet("text", event.target.value.trim())} /></label>
    ${FILTERS.map(([name, label, type]) => html`<label>${label}<input name=${name} type=${type ?? "text"} autocomplete="off" spellcheck=${false} value=${of[name] ?? ""}
      list=${name === "type" ? "types" : null} onInput=${event => onSet(name, event.target.value.trim())} /></label>`)}
    <datalist id="types">${TYPES.map(type => html`<option value=${type} />`)}</datalist></form>`;
}

const NAMES = ["text", ...FILTERS.map(([name]) => name)];

/* The filters, kept in the address so that a view can be kept or sent. */
function useFilters(query) {
  const [filters, setFilters] = useState(() => Object.fromEntries(NAMES.filter(name => query.get(name)).map(name => [name, query.get(name)])));
  const timer = useRef(null), next = useRef(filters);
  const set = (name, value) => {
    const { [name]: _, ...rest } = next.current;
    next.current = value ? { ...rest, [name]: value } : rest;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const text = new URLSearchParams(next.current).toString();
      history.replaceState(null, "", text ? `/audit?${text}` : "/audit");
      setFilters(next.current);
    }, TYPED_MS);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return [filters, set];
}

export function Audit({ query }) {
  const [filters, set] = useFilters(query);
  const [older, setOlder] = useState({ of: filters, events: [], ended: false });
  const [failed, setFailed] = useState(null);
  const ask = asked(filters);
  const { data, error, path } = useLoad(`/v1/audit?${ask}`, ["audit"]);
  const rest = older.of === filters ? older : { events: [], ended: false };
  const events = [...new Map([...(data?.events ?? []), ...rest.events].map(one => [one.audit_id, one])).values()];
  const more = async () => {
    ask.set("before", events.at(-1).audit_id);
    try {
      const next = await get(`/v1/audit?${ask}`);
      setOlder({ of: filters, events: [...rest.events, ...next.events], ended: next.events.length < PER_PAGE });
      setFailed(null);
    } catch (problem) {
      setFailed(problem);
    }
  };
  return html`<${Page} title="Audit" about="A receipt of everything that was done, each chained to the one before.">
    <${Chain} />
    <${Filters} of=${filters} onSet=${set} />
    <${Failure} of=${path === `/v1/audit?${asked(filters)}` ? failed : error ?? failed} />
    <p class="faint" role="status">${data && (events.length ? `${count(events.length, "receipt")} shown, newest first` : "No receipt matches.")}</p>
    ${events.length > 0 && html`<ul class="events card">${events.map(one => html`<${EventRow} key=${one.audit_id} of=${one} />`)}</ul>`}
    ${data?.events.length >= PER_PAGE && !rest.ended && html`<button type="button" onClick=${more}>Older</button>`}
  <//>`;
}
