/*
 * The sessions of agents: who, where, how confined; ending one takes its token away.
 */
import { call } from "./api.js";
import { Badge, Command, Empty, Failure, Page, Pairs, Sure, Text, Time, html, useLayoutEffect, useLoad, useState } from "./ui.js";

const AT_ONCE = 50;
const CONFINEMENT = {
  fence: ["good", "fenced", "It cannot reach Aileron’s files or decide for you."],
  container: ["good", "in a container", "It cannot reach Aileron’s files or decide for you."],
  none: ["warn", "not fenced", "It runs as you. Unless you have set it otherwise, approving what it asks needs the vault’s passphrase."],
};

function Session({ of }) {
  const [error, setError] = useState(null);
  const end = () => call("POST", `/v1/sessions/${encodeURIComponent(of.id)}/end`).then(() => setError(null), setError);
  const [tone, word, about] = CONFINEMENT[of.confinement] ?? CONFINEMENT.none;
  return html`<article class=${of.ended_at ? "card off" : "card"} id=${of.id} aria-label=${`Session ${of.id}`}>
    <header class="row"><h2><${Text} of=${of.agent} /> <${Badge} tone=${tone}>${word}<//></h2>${of.ended_at ? html`<${Badge}>ended<//>`
      : html`<${Sure} label="End" question="End this session?" onSure=${end} />`}</header>
    <${Pairs} kind="meta" of=${[of.folder && ["Folder", html`<${Text} of=${of.folder} />`], ["Started", html`<${Time} of=${of.started_at} />`],
      of.ended_at ? ["Ended", html`<${Time} of=${of.ended_at} />`] : ["Last seen", html`<${Time} of=${of.last_seen_at} ago />`], ["Calls", of.calls],
      of.only && ["Only these actions", html`<${Text} of=${of.only.join(", ")} />`], ["Session", html`<${Text} of=${of.id} />`]]} />
    <p class="faint">${!of.ended_at && about} <a href=${`/audit?session=${of.id}`}>Its receipts</a></p>
    <${Failure} of=${error} /></article>`;
}

function List({ of }) {
  const [many, setMany] = useState(AT_ONCE);
  return html`${of.slice(0, many).map(one => html`<${Session} key=${one.id} of=${one} />`)}
    ${of.length > many && html`<button type="button" onClick=${() => setMany(many + AT_ONCE)}>Show more (${of.length - many} left)</button>`}`;
}

export function Sessions() {
  const { data, error } = useLoad("/v1/sessions", ["session"]);
  const open = data?.sessions.filter(one => !one.ended_at), ended = data?.sessions.filter(one => one.ended_at);
  const wanted = location.hash.slice(1);
  useLayoutEffect(() => { data && wanted && document.getElementById(wanted)?.scrollIntoView(); }, [Boolean(data)]);
  return html`<${Page} title="Sessions" count=${open?.length}>
    <${Failure} of=${error} />
    ${open?.length === 0 && html`<${Empty}><b>No agent has a session.</b><p><${Command}>aileron launch --local claude<//></p><//>`}
    ${open && html`<${List} of=${open} />`}
    ${ended?.length > 0 && html`<details class="ended" open=${ended.some(one => one.id === wanted)}><summary>Ended <span class="faint">${ended.length}</span></summary><${List} of=${ended} /></details>`}
  <//>`;
}
