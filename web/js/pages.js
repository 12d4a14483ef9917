/*
 * The other pages: overview, actions, bindings, audit, sessions. Each shows what the API says and names the command for what
 * only a terminal can do.
 */
import { call, get } from "./api.js";
import { Badge, Command, Empty, Failure, Json, Page, Pairs, Text, Time, html, useEffect, useLoad, useRef, useState } from "./ui.js";

/* --- overview --- */

const VAULT = {
  locked: ["The vault is locked, so actions that need an account cannot run.", "aileron vault unlock"],
  missing: ["There is no vault yet, so no account can be connected.", "aileron vault init"],
};

export function Overview() {
  const { data, error } = useLoad("/v1/status", ["vault", "session", "actions", "approval"]);
  const vault = VAULT[data?.vault_state];
  const counts = data?.counts;
  return html`<${Page} title="Overview">
    <${Failure} of=${error} />
    ${data && html`
      ${vault && html`<div class="notice warn"><p>${vault[0]}</p><${Command}>${vault[1]}<//></div>`}
      ${data.overrides.length > 0 && html`<div class="notice warn"><p>Development overrides are ${data.overrides_active ? "active" : "given, without effect"}:</p>
        <ul>${data.overrides.map(one => html`<li><${Text} of=${one} /></li>`)}</ul></div>`}
      ${data.degraded.map(one => html`<div class="notice bad"><p><${Text} of=${one.what} /></p><p class="faint">What to do: <${Text} of=${one.do} /></p></div>`)}
      ${!vault && !data.degraded.length && html`<div class="notice good">Everything is in order.</div>`}
      <ul class="tiles">
        <li><a href="/approvals"><b>${counts.approvals_pending}</b> waiting for you</a></li>
        <li><a href="/actions"><b>${counts.actions_enabled}</b> of ${counts.actions} actions enabled</a></li>
        <li><a href="/sessions"><b>${counts.sessions_open}</b> open sessions</a></li>
        <li><b>${counts.calls_running}</b> calls running</li>
      </ul>
      <h2>This daemon</h2>
      <${Pairs} of=${[["Version", data.version], ["Vault", data.vault_state], ["Started", html`<${Time} of=${data.started_at} />`], ["Process", data.pid],
        ["Home", html`<${Text} of=${data.home} />`], ["Log", html`<${Text} of=${data.log} />`],
        ...Object.entries(data.confinement).map(([name, text]) => [`Confinement of the ${name}`, html`<${Text} of=${text} />`])]} />`}
  <//>`;
}

/* --- actions --- */

function ActionBody({ name }) {
  const { data, error } = useLoad(`/v1/actions/${encodeURIComponent(name)}`, ["actions"]);
  return html`<${Failure} of=${error} />${data && html`
    <${Pairs} of=${[["File", html`<${Text} of=${data.file} />`], ["Hash", html`<${Text} of=${data.hash} />`], ["Tool name", html`<${Text} of=${data.mcp_name} />`],
      ["Needs an account", data.needs_credential ? "yes" : "no"]]} />
    ${data.inputs && html`<h4>Inputs</h4><${Json} of=${data.inputs} />`}
    <h4>Steps</h4><${Json} of=${data.steps} />
    ${data.approval && html`<h4>Approval</h4><${Json} of=${data.approval} />`}
    <h4>What the agent reads</h4><${Text} block of=${data.body ?? data.description} />`}`;
}

function Action({ of }) {
  const [open, setOpen] = useState(false);
  const [error, setError] = useState(null);
  const toggle = async () => {
    try {
      await call("PATCH", `/v1/actions/${encodeURIComponent(of.name)}`, { enabled: !of.enabled });
      setError(null);
    } catch (failed) {
      setError(failed);
    }
  };
  return html`<article class="card" aria-label=${`Action ${of.name}`}>
    <header class="row"><div><h2><${Text} of=${of.name} /> <span class="faint"><${Text} of=${of.version} /></span></h2><p><${Text} of=${of.intent} /></p></div>
      <button type="button" role="switch" aria-checked=${String(of.enabled)} aria-label=${`Enable ${of.name}`} onClick=${toggle}>${of.enabled ? "Enabled" : "Disabled"}</button></header>
    <p><${Badge} tone=${of.gated ? "warn" : ""}>${of.gated ? "asks you first" : "runs without asking"}<//> ${of.read_only && html`<${Badge}>only reads<//>`}
      ${of.unsigned && html` <${Badge} tone="bad">not signed<//>`} ${of.signed && html` <${Badge} tone="good">signed<//>`}</p>
    <ul>${of.connectors.map(one => html`<li><${Text} of=${`${one.fqn} ${one.version}`} />: <${Text} of=${one.ops.join(", ")} /></li>`)}</ul>
    <${Failure} of=${error} />
    <details onToggle=${event => setOpen(event.target.open)}><summary>All of it</summary>${open && html`<${ActionBody} name=${of.name} />`}</details>
  </article>`;
}

export function Actions() {
  const { data, error } = useLoad("/v1/actions", ["actions"]);
  return html`<${Page} title="Actions">
    <${Failure} of=${error} />
    ${data?.load_errors.map(one => html`<div class="notice bad"><p><${Text} of=${one.message} /></p><p class="faint"><${Text} of=${`${one.file}${one.line ? `:${one.line}` : ""}`} />
      ${one.hint && html` – <${Text} of=${one.hint} />`}</p></div>`)}
    ${data?.actions.length === 0 && html`<${Empty}>No action is installed. <${Command}>aileron action add FILE --local<//><//>`}
    ${data?.actions.map(one => html`<${Action} key=${one.name} of=${one} />`)}
  <//>`;
}

/* --- bindings --- */

const MEND = {
  stale: name => `aileron binding reauthorize ${name}`,
  no_grant: name => `aileron binding reauthorize ${name}`,
  expired_no_refresh: name => `aileron binding reauthorize ${name}`,
  locked: () => "aileron vault unlock",
};

export function Bindings() {
  const { data, error } = useLoad("/v1/bindings", ["vault"]);
  return html`<${Page} title="Accounts">
    <${Failure} of=${error} />
    ${data?.bindings.length === 0 && html`<${Empty}>No account is connected. <${Command}>aileron binding setup<//><//>`}
    ${data?.bindings.map(one => {
      const name = one.binding;
      return html`<article class="card" key=${name} aria-label=${`Account ${name}`}>
        <header><${Badge} tone=${one.state === "active" ? "good" : one.state === "locked" ? "warn" : "bad"}>${one.state}<//> <h2><${Text} of=${name} /></h2></header>
        <${Pairs} of=${[one.account && ["Account", html`<${Text} of=${one.account} />`], ["Connector", html`<${Text} of=${one.connector_fqn} />`],
          ["Access token until", html`<${Time} of=${one.expires_at} />`], one.missing_scopes?.length > 0 && ["Not granted", html`<${Text} of=${one.missing_scopes.join(" ")} />`],
          one.stale_reason && ["Why", html`<${Text} of=${one.stale_reason} />`], !one.connector_installed && ["Note", "its connector is not installed"]]} />
        ${MEND[one.state] && html`<p>To mend it: <${Command}>${MEND[one.state](name)}<//></p>`}
        <details><summary>All of it</summary><${Json} of=${one} /></details></article>`;
    })}
  <//>`;
}

/* --- audit --- */

const FILTERS = [["type", "Type of event"], ["session", "Session"], ["connector", "Connector"], ["class", "Class of failure"]];
const PER_PAGE = 200;

function Chain() {
  const [state, setState] = useState(null);
  const verify = async () => {
    setState({ busy: true });
    try {
      setState({ data: await get("/v1/audit/verify") });
    } catch (error) {
      setState({ error });
    }
  };
  return html`<section aria-label="Chain"><button type="button" disabled=${state?.busy} onClick=${verify}>${state?.busy ? "Checking…" : "Check the chain"}</button>
    <div role="status">${state?.data && html`<div class=${"notice " + (state.data.intact ? "good" : "bad")}>
      ${state.data.intact ? `The chain of ${state.data.events} events is intact.` : html`The chain is broken: <${Text} of=${`${state.data.where ?? ""} ${state.data.what ?? ""}`} />`}
      <details><summary>All of it</summary><${Json} of=${state.data} /></details></div>`}</div><${Failure} of=${state?.error} /></section>`;
}

function Event({ of }) {
  const [open, setOpen] = useState(false);
  return html`<li><details onToggle=${event => setOpen(event.target.open)}><summary><${Time} of=${of.timestamp} /> <b><${Text} of=${of.event_type} /></b>
    <span class="faint"> <${Text} of=${of.payload?.["aileron.action.name"] ?? of.actor?.id ?? ""} /></span></summary>${open && html`<${Json} of=${of} />`}</details></li>`;
}

export function Audit() {
  const [asked, setAsked] = useState({});
  const [word, setWord] = useState("");
  const [older, setOlder] = useState([]);
  const query = new URLSearchParams({ ...asked, limit: String(PER_PAGE) });
  const { data, error } = useLoad(`/v1/audit?${query}`, ["audit"]);
  const timer = useRef(null);
  const set = (name, value) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setOlder([]);
      setAsked(({ [name]: _, ...rest }) => value ? { ...rest, [name]: value } : rest);
    }, 120);
  };
  const seen = new Set();
  const events = [...(data?.events ?? []), ...older].filter(one => !seen.has(one.audit_id) && seen.add(one.audit_id));
  const found = word ? events.filter(one => JSON.stringify(one).toLowerCase().includes(word.toLowerCase())) : events;
  const more = async () => {
    query.set("before", events.at(-1).audit_id);
    const next = await get(`/v1/audit?${query}`);
    setOlder([...older, ...next.events]);
  };
  return html`<${Page} title="Audit">
    <${Chain} />
    <form class="filters" role="search" onSubmit=${event => event.preventDefault()}>
      ${FILTERS.map(([name, label]) => html`<label>${label}<input name=${name} autocomplete="off" spellcheck=${false} onInput=${event => set(name, event.target.value.trim())} /></label>`)}
      <label>Search in what is shown<input name="word" type="search" autocomplete="off" onInput=${event => setWord(event.target.value)} /></label>
    </form>
    <${Failure} of=${error} />
    <p class="faint" role="status">${found.length} shown</p>
    <ul class="events">${found.map(one => html`<${Event} key=${one.audit_id} of=${one} />`)}</ul>
    ${events.length >= PER_PAGE && html`<button type="button" onClick=${more}>Older</button>`}
  <//>`;
}

/* --- sessions --- */

function Session({ of }) {
  const [error, setError] = useState(null);
  const end = () => call("POST", `/v1/sessions/${encodeURIComponent(of.id)}/end`).then(() => setError(null), setError);
  return html`<article class="card" aria-label=${`Session ${of.id}`}>
    <header class="row"><h2><${Text} of=${of.agent} /></h2>${of.ended_at ? html`<${Badge}>ended<//>` : html`<button class="danger" type="button" onClick=${end}>End</button>`}</header>
    <${Pairs} of=${[["Session", html`<${Text} of=${of.id} />`], of.folder && ["Folder", html`<${Text} of=${of.folder} />`], ["Started", html`<${Time} of=${of.started_at} />`],
      ["Last seen", html`<${Time} of=${of.last_seen_at} />`], of.ended_at && ["Ended", html`<${Time} of=${of.ended_at} />`], ["Calls", of.calls]]} />
    <${Failure} of=${error} /></article>`;
}

export function Sessions() {
  const { data, error } = useLoad("/v1/sessions", ["session"]);
  return html`<${Page} title="Sessions">
    <${Failure} of=${error} />
    ${data?.sessions.length === 0 && html`<${Empty}>No agent has a session. <${Command}>aileron launch AGENT<//><//>`}
    ${data?.sessions.map(one => html`<${Session} key=${one.id} of=${one} />`)}
  <//>`;
}
