/*
 * The actions: what each may do, with what, and the switch.
 */
import { call } from "./api.js";
import { Badge, Command, Empty, Failure, Json, Notice, Page, Pairs, Text, html, useLoad, useState } from "./ui.js";

function Body({ name }) {
  const { data, error } = useLoad(`/v1/actions/${encodeURIComponent(name)}`, ["actions"]);
  return html`<${Failure} of=${error} />${data && html`
    <h3>What the agent reads</h3><${Text} block of=${data.body || data.description} />
    ${data.inputs?.length > 0 && html`<h3>What it may give</h3><${Pairs} kind="fields" of=${data.inputs.map(one => [html`<${Text} of=${one.name} />`,
      html`<${Text} of=${one.description} /> <span class="faint">${one.type}${one.required === false ? ", optional" : ""}</span>`])} />`}
    <h3>What it runs</h3><${Json} of=${data.steps} />
    ${data.approval && html`<h3>What you are asked</h3><${Json} of=${data.approval} />`}
    <${Pairs} kind="fields" of=${[["File", html`<${Text} of=${data.file} />`], ["Hash", html`<${Text} of=${data.hash} />`], ["Tool name", html`<${Text} of=${data.mcp_name} />`],
      data.source && ["Source", html`<${Text} of=${data.source} />`], ["Needs an account", data.needs_credential ? "yes" : "no"]]} />`}`;
}

const scopesOf = connector => connector?.credential?.scopes ?? connector?.credential?.oauth2?.scopes ?? [];

/* What an action may do: its operations, and the hosts its connector can reach. */
function May({ of, connectors }) {
  return html`<ul class="may">${of.connectors.map(one => {
    const known = connectors?.find(other => other.hash === one.hash);
    const scopes = scopesOf(known);
    return html`<li>may call <b><${Text} of=${one.ops.join(", ")} /></b> of <${Text} of=${`${one.fqn} ${one.version}`} />
      ${known?.hosts && html`, which can reach ${known.hosts.length ? html`<${Text} of=${known.hosts.join(", ")} />` : "no host"}`}${scopes.length > 0 && html`, with <${Text} of=${scopes.map(scope => scope.replace(/^https:\/\/www\.googleapis\.com\/auth\//, "")).join(", ")} />`}</li>`;
  })}</ul>`;
}

function Action({ of, connectors }) {
  const [open, setOpen] = useState(false);
  const [error, setError] = useState(null);
  const toggle = () => call("PATCH", `/v1/actions/${encodeURIComponent(of.name)}`, { enabled: !of.enabled }).then(() => setError(null), setError);
  return html`<article class=${of.enabled ? "card" : "card off"} aria-label=${`Action ${of.name}`}>
    <header class="row"><div><h2><${Text} of=${of.name} /> <span class="faint"><${Text} of=${of.version} /></span></h2><p><${Text} of=${of.intent} /></p></div>
      <button class="switch" type="button" role="switch" aria-checked=${String(of.enabled)} aria-label=${`Enable ${of.name}`} onClick=${toggle}><span aria-hidden="true"></span>${of.enabled ? "Enabled" : "Disabled"}</button></header>
    <p class="badges"><${Badge} tone=${of.gated ? "warn" : ""}>${of.gated ? "asks you first" : "runs without asking"}<//>${of.read_only && html`<${Badge}>only reads<//>`}
      ${of.unsigned && html`<${Badge} tone="bad">not signed<//>`}${of.signed && html`<${Badge} tone="good">signed<//>`}</p>
    <${May} of=${of} connectors=${connectors} />
    <${Failure} of=${error} />
    <details onToggle=${event => setOpen(event.target.open)}><summary>All of it</summary>${open && html`<${Body} name=${of.name} />`}</details>
  </article>`;
}

const matches = (action, word) => [action.name, action.intent, ...action.connectors.flatMap(one => [one.fqn, ...one.ops])].join(" ").toLowerCase().includes(word);

export function Actions() {
  const { data, error } = useLoad("/v1/actions", ["actions"]);
  const { data: known } = useLoad("/v1/connectors", ["actions"]);
  const [word, setWord] = useState("");
  const shown = data?.actions.filter(one => matches(one, word.toLowerCase()));
  return html`<${Page} title="Actions" about="What agents may ask for. One that is disabled is not shown to them and is refused.">
    <${Failure} of=${error} />
    ${data?.load_errors.map(one => html`<${Notice} tone="bad"><p><${Text} of=${one.message} /></p><p class="faint"><${Text} of=${`${one.file}${one.line ? `:${one.line}` : ""}`} />
      ${one.hint && html` – <${Text} of=${one.hint} />`}</p><//>`)}
    ${data?.actions.length > 5 && html`<label class="search">Search<input type="search" autocomplete="off" onInput=${event => setWord(event.target.value.trim())} /></label>`}
    ${data?.actions.length === 0 && html`<${Empty}><b>No action is installed.</b><p><${Command}>aileron action add-suite github://OWNER/REPO<//></p><//>`}
    ${shown?.map(one => html`<${Action} key=${one.name} of=${one} connectors=${known?.connectors} />`)}
    ${shown?.length === 0 && data.actions.length > 0 && html`<p class="faint" role="status">No action matches.</p>`}
  <//>`;
}
