/*
 * The accounts (bindings): their state, until when, and the command that mends or renews them. No value is ever here.
 */
import { Badge, Command, Empty, Failure, Json, Notice, Page, Pairs, Text, Time, html, useLoad } from "./ui.js";

/* As `aileron binding list` has it. */
const reauthorize = one => `aileron binding reauthorize ${one.binding}`;
const setup = one => `aileron binding setup ${one.connector_fqn}`;
const STATES = {
  active: { tone: "good", word: "active" },
  locked: { tone: "warn", word: "locked", why: "The vault is locked.", mend: () => "aileron vault unlock" },
  stale: { tone: "bad", word: "stale", why: "The provider does not take it any more, or it covers less than the connector needs.", mend: reauthorize },
  no_grant: { tone: "bad", word: "no consent", why: "Nobody has consented to where it may be sent.", mend: one => `aileron binding rebind ${one.binding}` },
  expired_no_refresh: { tone: "bad", word: "expired", why: "Its token has ended and cannot be renewed.", mend: reauthorize },
  revoked: { tone: "bad", word: "revoked", why: "It was taken back.", mend: setup },
};

function until(one) {
  if (!one.expires_at)
    return null;
  const over = new Date(one.expires_at) < Date.now();
  return html`<${Time} of=${one.expires_at} /> <span class="faint">(<${Time} of=${one.expires_at} ago />${over && one.refresh_token_present !== false ? "; renewed at the next use" : ""})</span>`;
}

function Account({ of }) {
  const name = of.binding, state = STATES[of.state] ?? { tone: "", word: of.state };
  return html`<article class="card" aria-label=${`Account ${name}`}>
    <header class="row"><h2><${Text} of=${name} /></h2><${Badge} tone=${state.tone}>${state.word}<//></header>
    <${Pairs} kind="meta" of=${[of.account && ["Account", html`<${Text} of=${of.account} />`], ["Connector", html`<${Text} of=${of.connector_fqn} />`],
      of.expires_at && ["Access token until", until(of)], of.last_used_at && ["Last used", html`<${Time} of=${of.last_used_at} ago />`],
      of.missing_scopes?.length > 0 && ["Not granted", html`<${Text} of=${of.missing_scopes.join(" ")} />`],
      of.stale_reason && ["Why", html`<${Text} of=${of.stale_reason} />`], of.connector_installed === false && ["Note", "its connector is not installed"]]} />
    ${state.why && html`<${Notice} tone=${state.tone}><p>${state.why}</p><${Command}>${state.mend(of)}<//><//>`}
    ${!state.why && html`<p class="faint">${of.kind === "oauth2" ? "To sign in anew:" : "To put a new key in its place:"} <${Command}>${of.kind === "oauth2" ? reauthorize(of) : setup(of)}<//></p>`}
    <details><summary>All of it</summary><${Json} of=${of} /></details></article>`;
}

export function Accounts() {
  const { data, error } = useLoad("/v1/bindings", ["vault"]);
  return html`<${Page} title="Accounts" about="What the keeper holds a credential for. No credential is ever shown here.">
    <${Failure} of=${error} />
    ${data?.bindings.length === 0 && html`<${Empty}><b>No account is connected.</b><p><${Command}>aileron binding setup<//></p><//>`}
    ${data?.bindings.map(one => html`<${Account} key=${one.binding} of=${one} />`)}
  <//>`;
}
