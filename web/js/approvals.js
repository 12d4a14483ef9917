/*
 * Approvals: what an agent wants to do, exactly, and the two buttons. What is sent with a decision is the seal of what was
 * shown, so a card that changed meanwhile decides nothing.
 */
import { call, get } from "./api.js";
import { listen } from "./live.js";
import { plain } from "./text.js";
import { Badge, Command, Empty, Failure, Json, Page, Pairs, Text, Time, html, useEffect, useLayoutEffect, useLoad, useRef, useState } from "./ui.js";

const AT_ONCE = 50;
const SETTLE_MS = 400;
const WORDS = {
  pending: "waiting for you", approved: "approved", running: "running", completed: "done", failed: "failed", denied: "denied",
  expired: "expired", cancelled: "cancelled", unknown: "outcome unknown",
};
const TONES = { pending: "warn", completed: "good", approved: "good", running: "good", failed: "bad", unknown: "bad" };

const base = id => `/v1/approvals/${encodeURIComponent(id)}`;

function Labelled({ pairs, multiline = [] }) {
  return html`<dl>${pairs.map(([label, text]) => html`<dt><${Text} of=${label} /></dt>
    <dd><${Text} of=${text} block=${multiline.includes(label) || String(text).includes("\n")} /></dd>`)}</dl>`;
}

function Shown({ of }) {
  const preview = of.preview ?? { state: "none" };
  if (preview.state === "available")
    return html`<section aria-label="Preview"><h3>What will happen</h3>
      <${Labelled} pairs=${preview.pairs ?? []} multiline=${preview.multiline} /></section>`;
  return html`<section aria-label="Inputs"><h3>What the agent gave</h3>
    ${preview.state === "unavailable" && html`<div class="notice warn">There is no preview: <${Text} of=${preview.reason ?? "it could not be fetched"} /></div>`}
    ${of.inputs?.length ? html`<${Labelled} pairs=${of.inputs} />` : html`<${Empty}>Nothing.<//>`}</section>`;
}

function Difference({ of }) {
  if (!of?.length)
    return null;
  return html`<section class="notice warn" role="alert"><h3>This changed since you looked</h3>
    <p>Nothing was done. Look again, then decide.</p>
    <table><thead><tr><th scope="col">What</th><th scope="col">Before</th><th scope="col">Now</th></tr></thead>
    <tbody>${of.map(row => html`<tr><th scope="row"><${Text} of=${row.label} /></th><td><${Text} of=${row.before ?? "–"} /></td>
      <td><${Text} of=${row.after ?? "–"} /></td></tr>`)}</tbody></table></section>`;
}

function Outcome({ of, onChange }) {
  const [error, setError] = useState(null);
  const resolve = async () => {
    try {
      onChange(await call("POST", `${base(of.id)}/resolve`, {}));
    } catch (failed) {
      setError(failed);
    }
  };
  return html`<section aria-label="Outcome"><h3>What became of it</h3>
    <${Pairs} of=${[["State", html`<${Badge} tone=${TONES[of.state]}>${WORDS[of.state] ?? of.state}<//>`],
      of.decided_at && ["Decided", html`<${Time} of=${of.decided_at} />`], of.finished_at && ["Finished", html`<${Time} of=${of.finished_at} />`],
      of.collected_at && ["Collected by the agent", html`<${Time} of=${of.collected_at} />`], of.reason && ["Reason", html`<${Text} of=${of.reason} />`]]} />
    ${of.failure && html`<h4>Failure</h4><${Json} of=${of.failure} />`}
    ${of.output !== undefined && html`<h4>Answer</h4><${Json} of=${of.output} />`}
    ${of.state === "unknown" && !of.resolved_at && html`<div class="notice bad">The request may have left, and no answer was seen. It is never run again by
      itself. Look at the service, then say that you know. <button type="button" onClick=${resolve}>I have looked: resolved</button></div>`}
    <${Failure} of=${error} /></section>`;
}

/* What a decision that did not go through says; nothing when it only has to be shown anew. */
function refusalOf(error) {
  if (error.code === "already_decided")
    return { message: "This was decided meanwhile, in another window or by another person." };
  return error.code === "changed" ? null : error;
}

/*
 * False for a moment after this card's content, its place (`moved`) or the window itself came before the person: a click that
 * was meant for something else must not approve.
 */
function useSettled(seal, moved) {
  const [settled, setSettled] = useState(false);
  useLayoutEffect(() => {
    let timer = null;
    const again = () => {
      setSettled(false);
      clearTimeout(timer);
      timer = setTimeout(setSettled, SETTLE_MS, true);
    };
    again();
    addEventListener("focus", again);
    document.addEventListener("visibilitychange", again);
    return () => {
      clearTimeout(timer);
      removeEventListener("focus", again);
      document.removeEventListener("visibilitychange", again);
    };
  }, [seal, moved]);
  return settled;
}

function Decide({ of, onChange, moved }) {
  const settled = useSettled(of.seal, moved);
  const [reason, setReason] = useState("");
  const [denying, setDenying] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const field = useRef(null);
  const reasonId = `reason-${of.id}`;
  useLayoutEffect(() => { denying && field.current?.focus(); }, [denying]);

  const decide = async approved => {
    setBusy(true);
    setError(null);
    try {
      onChange(await call("POST", `${base(of.id)}/decide`, { approved, seal: of.seal, ...(reason && !approved ? { reason } : {}) }));
    } catch (failed) {
      const now = failed.body?.approval ?? failed.body?.error?.approval;
      setError(refusalOf(failed));
      if (now)
        onChange(now);
    }
    setBusy(false);
  };
  const needsTicket = of.needs_ticket || error?.status === 428;
  return html`<div class="decide">
    ${needsTicket && html`<div class="notice">This agent runs as you, so a click is no proof that it was you. Approve it in a terminal, with the vault's
      passphrase: <${Command}>aileron approval approve ${of.id}<//></div>`}
    ${error?.status !== 428 && html`<${Failure} of=${error} />`}
    <div class="buttons">
      ${!needsTicket && html`<button class="primary" type="button" disabled=${busy} aria-disabled=${String(!settled)} onClick=${() => settled && decide(true)}>Approve</button>`}
      ${!denying && html`<button class="danger" type="button" disabled=${busy} onClick=${() => setDenying(true)}>Deny</button>`}
    </div>
    ${denying && html`<form class="deny" onSubmit=${event => { event.preventDefault(); decide(false); }}>
      <label for=${reasonId}>Reason, for the agent (optional)</label>
      <input id=${reasonId} ref=${field} value=${reason} maxlength="1000" autocomplete="off" onInput=${event => setReason(event.target.value)} />
      <div class="buttons"><button class="danger" type="submit" disabled=${busy}>Deny</button>
      <button type="button" onClick=${() => setDenying(false)}>Back</button></div></form>`}
  </div>`;
}

export function Card({ of, onChange, single, moved }) {
  const heading = `title-${of.id}`;
  return html`<article class="card" aria-labelledby=${heading}>
    <header><${Badge} tone="kind">${of.badge ?? "ACTION"}<//> ${of.state !== "pending" && html`<${Badge} tone=${TONES[of.state]}>${WORDS[of.state] ?? of.state}<//>`}
      <h2 id=${heading}>${single ? html`<${Text} of=${of.title ?? of.action} />` : html`<a href=${`/approvals/${of.id}`}><${Text} of=${of.title ?? of.action} /></a>`}</h2>
      <p class="faint"><${Text} of=${of.agent} /> asks, <${Time} of=${of.requested_at} /></p></header>
    <${Difference} of=${of.difference} />
    ${of.before && html`<div class="notice warn">The same was done before, <${Time} of=${of.before.at} />: <a href=${`/approvals/${of.before.id}`}>look at it</a></div>`}
    ${of.client_gone && html`<div class="notice">The agent has stopped waiting. If you approve, it still runs once, and the answer is kept for it.</div>`}
    <${Shown} of=${of} />
    <details open><summary>Exact arguments</summary>${(of.arguments ?? []).map(step => html`<h4><${Text} of=${step.op} /></h4><${Json} of=${step.args} />`)}</details>
    <details open=${single}><summary>Who asks, and what runs</summary><${Pairs} of=${[
      ["Agent", html`<${Text} of=${of.agent} />`], ["Session", html`<${Text} of=${of.session_id} />`], of.folder && ["Folder", html`<${Text} of=${of.folder} />`],
      ["Since", html`<${Time} of=${of.requested_at} />`], ["Expires", html`<${Time} of=${of.expires_at} />`],
      ["Action", html`<${Text} of=${`${of.action} ${of.version ?? ""}`} />`], of.action_hash && ["Action's hash", html`<${Text} of=${of.action_hash} />`],
      of.connector && ["Connector", html`<${Text} of=${`${of.connector.fqn} ${of.connector.version}`} />`], of.connector?.hash && ["Connector's hash", html`<${Text} of=${of.connector.hash} />`],
      of.binding && ["Account", html`<${Text} of=${of.binding} />`], ["Approval", html`<${Text} of=${of.id} />`], ["Seal", html`<${Text} of=${of.seal} />`]]} /></details>
    ${of.state === "pending" ? html`<${Decide} of=${of} onChange=${onChange} moved=${moved} />` : html`<${Outcome} of=${of} onChange=${onChange} />`}
  </article>`;
}

/*
 * The pending ones, kept up to date one by one: an event names which one to ask for. Who has waited longest comes first, so a
 * new one moves nothing; `moved` counts what did.
 */
function usePending() {
  const [state, setState] = useState({ list: null, moved: 0 });
  const put = one => setState(({ list, moved }) => {
    const rest = (list ?? []).filter(other => other.id !== one.id);
    const at = (list ?? []).findIndex(other => other.id === one.id);
    if (one.state === "pending")
      rest.splice(at < 0 ? rest.length : at, 0, one);
    return { list: rest, moved: moved + (at >= 0 && one.state !== "pending") };
  });
  const load = async () => {
    try {
      const { approvals } = await get("/v1/approvals?status=pending");
      setState(({ moved }) => ({ list: approvals.reverse(), moved: moved + 1 }));
    } catch (error) {
      setState(before => ({ ...before, error }));
    }
  };
  useEffect(() => {
    load();
    return listen(async (type, data) => {
      if (type === "state" || (type === "approval" && !data.id))
        load();
      else if (type === "approval")
        await get(base(data.id)).then(put, load);
    });
  }, []);
  return { ...state, put };
}

export function Approvals() {
  const { list, moved, error, put } = usePending();
  const [many, setMany] = useState(AT_ONCE);
  const [last, setLast] = useState(null);
  const changed = now => { put(now); setLast(now.state === "pending" ? null : now); };
  return html`<${Page} title="Approvals" count=${list?.length}>
    <p class="sr" role="status" aria-live="polite">${list && `${list.length} waiting`}</p>
    <${Failure} of=${error} />
    ${last && html`<div class="notice" role="status"><a href=${`/approvals/${last.id}`}><${Text} of=${last.title ?? last.action} /></a>: ${WORDS[last.state] ?? last.state}</div>`}
    ${list?.length === 0 && html`<${Empty}>Nothing waits for you. When an agent wants to do something that needs you, it appears here.<//>`}
    ${list?.slice(0, many).map(one => html`<${Card} key=${one.id} of=${one} onChange=${changed} moved=${moved} />`)}
    ${list?.length > many && html`<button type="button" onClick=${() => setMany(many + AT_ONCE)}>Show more (${list.length - many} left)</button>`}
  <//>`;
}

export function Approval({ id }) {
  const { data, error, reload } = useLoad(base(id), ["approval"]);
  const [given, setGiven] = useState(null);
  useEffect(() => setGiven(null), [data]);
  const one = given ?? data;
  return html`<${Page} title=${one ? plain(one.title ?? one.action, 80) : "Approval"}>
    <p><a href="/approvals">All that wait</a></p>
    <${Failure} of=${one ? null : error} />
    ${one && html`<${Card} single of=${one} onChange=${now => { setGiven(now); reload(); }} />`}
  <//>`;
}
