/*
 * The overview: is all well, what waits, what happened last; for what is locked or degraded the command that mends it.
 */
import { Badge, Command, Failure, Notice, Page, Pairs, Text, Time, html, useLoad } from "./ui.js";
import { EventRow } from "./audit.js";

const RECENT = 6;
const VAULT = {
  locked: ["The vault is locked, so actions that need an account cannot run.", "aileron vault unlock"],
  missing: ["There is no vault yet, so no account can be connected.", "aileron vault init"],
};

/* Advice is a sentence; a command in it stands between backquotes, or is all of it. */
function Advice({ of }) {
  if (/^aileron [a-z0-9 ._-]+$/.test(of))
    return html`<p><${Command}>${of}<//></p>`;
  return html`<p>What to do: ${of.split(/`(aileron [^`]+)`/).map((part, index) => index % 2 ? html`<${Command}>${part}<//>` : html`<${Text} of=${part} />`)}</p>`;
}

function Troubles({ of }) {
  const vault = VAULT[of.vault_state];
  return html`
    ${vault && html`<${Notice} tone="warn"><p>${vault[0]}</p><${Command}>${vault[1]}<//><//>`}
    ${of.overrides.length > 0 && html`<${Notice} tone="warn"><p>Development overrides are ${of.overrides_active ? "active" : "given, without effect"}:</p>
      <ul>${of.overrides.map(one => html`<li><${Text} of=${one} /></li>`)}</ul><//>`}
    ${of.degraded.map(one => html`<${Notice} tone="bad"><p><${Text} of=${one.what} /></p><${Advice} of=${one.do} /><//>`)}
    ${!vault && !of.degraded.length && html`<${Notice} tone="good">Everything is in order.<//>`}`;
}

function Tiles({ counts }) {
  return html`<ul class="tiles">
    <li class=${counts.approvals_pending ? "hot" : ""}><a href="/approvals"><b>${counts.approvals_pending}</b> waiting for you</a></li>
    <li><a href="/actions"><b>${counts.actions_enabled}</b> of ${counts.actions} actions enabled</a></li>
    <li><a href="/sessions"><b>${counts.sessions_open}</b> open ${counts.sessions_open === 1 ? "session" : "sessions"}</a></li>
    <li><span><b>${counts.calls_running}</b> ${counts.calls_running === 1 ? "call" : "calls"} running</span></li></ul>`;
}

function Recent() {
  const { data } = useLoad(`/v1/audit?limit=${RECENT}`, ["audit"]);
  return data && html`<section class="card" aria-labelledby="recent"><header class="row"><h2 id="recent">Latest receipts</h2><a href="/audit">All of them</a></header>
    <ul class="events">${data.events.map(one => html`<${EventRow} key=${one.audit_id} of=${one} />`)}</ul></section>`;
}

export function Overview() {
  const { data, error } = useLoad("/v1/status", ["vault", "session", "actions", "approval", "audit"]);
  return html`<${Page} title="Overview">
    <${Failure} of=${error} />
    ${data && html`<${Troubles} of=${data} /><${Tiles} counts=${data.counts} /><${Recent} />
      <section class="card" aria-labelledby="daemon"><h2 id="daemon">This daemon</h2>
      <${Pairs} kind="fields" of=${[["Version", data.version], ["Vault", html`<${Badge} tone=${data.vault_state === "unlocked" ? "good" : "warn"}>${data.vault_state}<//>`],
        ["Started", html`<${Time} of=${data.started_at} />`], ["Process", data.pid], ["Home", html`<${Text} of=${data.home} />`], ["Log", html`<${Text} of=${data.log} />`],
        ...Object.entries(data.confinement).map(([name, text]) => [`Confinement of the ${name}`, html`<${Text} of=${text} />`])]} /></section>`}
  <//>`;
}
