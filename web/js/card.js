/*
 * One approval as a card: what an agent wants to do, exactly, and the two buttons. What is sent with a decision is the seal of
 * what was shown, so a card that changed meanwhile decides nothing. What is folded is said beside the buttons.
 */
import { call } from "./api.js";
import { marked, parts } from "./text.js";
import { Badge, Command, Empty, FOLD, Failure, Json, Legend, Notice, Pairs, Text, Time, count, html, isFolded, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./ui.js";

const SETTLE_MS = 400, FIELDS = 40, CONTEXT = 70, WORD_MAX = 24, ODD_SCAN = 200000;
const WORDS = {
  pending: "waiting for you", approved: "approved", running: "running", completed: "done", failed: "failed", denied: "denied",
  expired: "expired", cancelled: "cancelled", unknown: "outcome unknown",
};
export const TONES = { pending: "warn", completed: "good", approved: "good", running: "good", failed: "bad", unknown: "bad" };

export const base = id => `/v1/approvals/${encodeURIComponent(id)}`;
export const StateBadge = ({ of }) => html`<${Badge} tone=${TONES[of.state]}>${WORDS[of.state] ?? of.state}<//>`;

/* What is forgotten, a while after its answer was collected, has neither card nor agent's name. */
export const isForgotten = of => !of.action;
export const titleOf = of => of.title ?? of.action ?? `Approval ${shortId(of.id)}`;
/* Who has no session is the owner; an agent may call itself what it likes, and is labelled as an agent all the same. */
export const agentOf = of => of.session_id ? of.agent || "an agent" : "you, on the command line";
const shortId = id => id && (id.length > 12 ? `…${id.slice(-8)}` : id);

/* --- what is shown --- */

function shownPairs(of) {
  return (of.preview?.state === "available" ? of.preview.pairs : of.inputs) ?? [];
}

/* What a card does not show until it is asked to: fields, and texts with their characters. */
export function foldsOf(of, stepTexts) {
  const pairs = shownPairs(of), shown = pairs.slice(0, FIELDS).map(([, text]) => String(text));
  const long = [...shown, ...stepTexts].filter(isFolded);
  return {
    fields: Math.max(pairs.length - FIELDS, 0), texts: long.length,
    characters: long.reduce((sum, text) => sum + text.length - FOLD, 0),
  };
}

function foldsText({ fields, texts, characters }) {
  return [fields && count(fields, "field"), texts && `${count(characters, "character")} of ${count(texts, "long text")}`].filter(Boolean).join(" and ");
}

function Labelled({ pairs, multiline = [], whole }) {
  const shown = whole ? pairs : pairs.slice(0, FIELDS);
  return html`<dl class="fields">${shown.map(([label, text]) => html`<div><dt><${Text} of=${label} /></dt>
    <dd>${text === "" ? html`<span class="faint">(empty)</span>` : html`<${Text} of=${text} whole=${whole} block=${multiline.includes(label) || String(text).includes("\n")} />`}</dd></div>`)}</dl>
    ${shown.length < pairs.length && html`<p class="folded">${count(pairs.length - shown.length, "more field is", "more fields are")} not shown.</p>`}`;
}

function Shown({ of, whole }) {
  const preview = of.preview ?? { state: "none" };
  if (preview.state === "available")
    return html`<section aria-label="Preview"><h3>${of.state === "pending" ? "What will happen" : "What was to happen"}</h3>
      <${Labelled} pairs=${preview.pairs ?? []} multiline=${preview.multiline} whole=${whole} /></section>`;
  return html`<section aria-label="Inputs"><h3>What the agent gave</h3>
    ${preview.state === "unavailable" && html`<${Notice} tone="warn">There is no preview: <${Text} of=${preview.reason ?? "it could not be fetched"} /><//>`}
    ${of.inputs?.length ? html`<${Labelled} pairs=${of.inputs} whole=${whole} />` : html`<p class="faint">Nothing.</p>`}</section>`;
}

function Arguments({ steps, whole }) {
  const characters = steps.reduce((sum, step) => sum + step.text.length, 0);
  return html`<details class="arguments" open><summary>Exact arguments <span class="faint">${steps.length > 1 ? `${steps.length} steps, ` : ""}${count(characters, "character")}</span></summary>
    ${steps.map(step => html`<h4><${Text} of=${step.op} /></h4><${Text} block whole=${whole} of=${step.text} />`)}</details>`;
}

/* Everything in a card that a person reads, for a word about odd characters at its head. */
function oddOf(of, steps) {
  const texts = [of.title, of.agent, of.folder, of.binding, ...shownPairs(of).flat(), ...steps.map(step => step.text)];
  const found = new Map();
  let left = ODD_SCAN;
  for (const text of texts.map(one => String(one ?? ""))) {
    for (const [about, times] of marked(parts(text.slice(0, left))))
      found.set(about, (found.get(about) ?? 0) + times);
    if ((left -= text.length) <= 0)
      break;
  }
  return [...found];
}

/* --- what changed --- */

/* Where two texts begin and end to differ. */
function middleOf(before, after) {
  const most = Math.min(before.length, after.length);
  let start = 0, end = 0;
  while (start < most && before[start] === after[start])
    start++;
  while (end < most - start && before.at(-1 - end) === after.at(-1 - end))
    end++;
  // Whole words, if they are not too long, and never half a character.
  const isInside = (a, b) => /\S/.test(a ?? " ") && /\S/.test(b ?? " ");
  for (let n = 0; start > 0 && (n < WORD_MAX ? isInside(before[start - 1], before[start] ?? after[start]) : /[\ud800-\udbff]/.test(before[start - 1])); n++)
    start--;
  for (let n = 0; end > 0 && (n < WORD_MAX ? isInside(before.at(-end - 1) ?? after.at(-end - 1), before.at(-end)) : /[\udc00-\udfff]/.test(before.at(-end))); n++)
    end--;
  return { start, end };
}

function Side({ text, start, end, tag }) {
  const from = Math.max(start - CONTEXT, 0), to = Math.min(text.length - end + CONTEXT, text.length);
  const inner = text.slice(start, text.length - end);
  return html`<pre class="text side">${from > 0 && "…"}<${Text} of=${text.slice(from, start)} />${inner && html`<${tag}><${Text} of=${inner} /><//>`}<${Text} of=${text.slice(text.length - end, to)} />${to < text.length && "…"}</pre>`;
}

function Change({ of }) {
  const before = of.before ?? "", after = of.after ?? "";
  const { start, end } = middleOf(before, after);
  return html`<li><h4><${Text} of=${of.label} /></h4><div class="sides">
    <div><span class="faint">Before</span><${Side} tag="del" text=${before} start=${start} end=${end} /></div>
    <div><span class="faint">Now</span><${Side} tag="ins" text=${after} start=${start} end=${end} /></div></div></li>`;
}

function Difference({ of }) {
  if (!of?.length)
    return null;
  return html`<section class="notice warn" role="alert"><h3>This changed since you looked</h3>
    <p>Nothing was done. Look again, then decide.</p><ul class="changes">${of.map(row => html`<${Change} of=${row} />`)}</ul></section>`;
}

/* --- what became of it --- */

const SAID = {
  approved: "It was approved and runs as soon as it can.", running: "It runs now.", completed: "It was done, once.",
  failed: "It was tried and failed.", denied: "Nothing was done.", expired: "Nobody decided in time. Nothing was done.",
  cancelled: "It was cancelled before anybody decided. Nothing was done.",
};

function Resolve({ of, onChange }) {
  const [error, setError] = useState(null);
  const resolve = () => call("POST", `${base(of.id)}/resolve`, {}).then(onChange, setError);
  return html`<${Notice} tone="bad"><p><b>Nobody knows whether this was done.</b> The request may have left, and no answer was seen: the network broke, or
    Aileron was stopped at that moment. It is never run again by itself, and while it is open the agent cannot repeat it.</p>
    <p>Look at the service itself. Then say so here, or in a terminal: <${Command}>aileron approval resolve ${of.id}<//></p>
    <div class="buttons"><button type="button" onClick=${resolve}>I have looked: resolved</button></div><${Failure} of=${error} /><//>`;
}

function Outcome({ of, onChange }) {
  const forgotten = isForgotten(of) || (of.state === "completed" && of.output === undefined);
  return html`<section class="outcome" aria-label="Outcome"><h3>What became of it</h3>
    ${of.state === "unknown" && !of.resolved_at ? html`<${Resolve} of=${of} onChange=${onChange} />` : html`<p>${of.state === "unknown"
      ? "Nobody saw whether it was done. A person has looked after it since." : SAID[of.state]}</p>`}
    <${Pairs} kind="meta" of=${[of.reason && ["Reason", html`<${Text} of=${of.reason} />`], of.decided_at && ["Decided", html`<${Time} of=${of.decided_at} />`],
      of.finished_at && ["Finished", html`<${Time} of=${of.finished_at} />`], of.collected_at && ["Collected by the agent", html`<${Time} of=${of.collected_at} />`],
      of.resolved_at && ["Resolved", html`<${Time} of=${of.resolved_at} />`]]} />
    ${of.failure && html`<h4>Failure</h4><p><${Text} of=${of.failure.message ?? ""} /></p><details><summary>All of it</summary><${Json} of=${of.failure} /></details>`}
    ${of.output !== undefined && html`<h4>Answer</h4><${Json} of=${of.output} />`}
    ${forgotten && html`<p class="faint">${isForgotten(of) ? "What it was about" : "Its answer"} is not kept any longer${of.collected_at ? ": the agent has had its answer" : ""}. The receipts stay.</p>`}
    <p><a href=${`/audit?text=${encodeURIComponent(of.id)}`}>Its receipts</a></p></section>`;
}

/* --- deciding --- */

/* What a decision that did not go through says; nothing when it only has to be shown anew. */
function refusalOf(error) {
  if (error.code === "changed")
    return null;
  if (error.status === 409)
    return { message: "This was decided meanwhile, in another window or by another person." };
  if (error.status === 0)
    return { message: "The daemon did not answer, so it is not known whether this was decided.", hint: "It is shown anew as soon as the daemon is back." };
  return error;
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

function Deny({ of, busy, onDeny, onBack }) {
  const [reason, setReason] = useState("");
  const field = useRef(null);
  const id = `reason-${of.id}`;
  useLayoutEffect(() => field.current?.focus(), []);
  return html`<form class="deny" onSubmit=${event => { event.preventDefault(); onDeny(reason.trim()); }}
      onKeyDown=${event => event.key === "Escape" && onBack()}>
    <label for=${id}>Reason, told to the agent (optional)</label>
    <input id=${id} ref=${field} value=${reason} maxlength="340" autocomplete="off" onInput=${event => setReason(event.target.value)} />
    <div class="buttons"><button class="danger" type="submit" disabled=${busy}>Deny</button><button type="button" onClick=${onBack}>Back</button></div></form>`;
}

const Ticket = ({ of }) => html`<${Notice}><p>A click is not enough here: what asked for this is not fenced off, so it could click as well as you.
  To approve it, type in a terminal, where the vault’s passphrase is asked for:</p><${Command}>aileron approval approve ${of.id}<//><//>`;

function Decide({ of, heading, onChange, onDeciding, moved, folds, onWhole }) {
  const settled = useSettled(of.seal, moved);
  const [denying, setDenying] = useState(false);
  const [busy, setBusy] = useState(null);
  const [error, setError] = useState(null);
  const button = useRef(null);

  const decide = async (approved, reason) => {
    setBusy(approved ? "approve" : "deny");
    setError(null);
    onDeciding?.(of.id, true);
    try {
      onChange(await call("POST", `${base(of.id)}/decide`, { approved, seal: of.seal, ...(reason ? { reason } : {}) }), true);
    } catch (failed) {
      setError(failed);
      if (failed.body?.approval)
        onChange(failed.body.approval);
    } finally {
      onDeciding?.(of.id, false);
    }
    setBusy(null);
  };
  const back = () => {
    setDenying(false);
    requestAnimationFrame(() => button.current?.focus());
  };
  const needsTicket = of.needs_ticket || error?.status === 428;
  return html`<div class="decide">
    ${needsTicket && html`<${Ticket} of=${of} />`}
    ${error?.status !== 428 && html`<${Failure} of=${error && refusalOf(error)} />`}
    ${folds && html`<p class="folded" role="note">Not shown yet: ${folds}. <button class="link" type="button" onClick=${onWhole}>Show everything</button></p>`}
    <div class="buttons">
      ${!needsTicket && html`<button class="primary" type="button" disabled=${busy} aria-disabled=${String(!settled)} aria-describedby=${heading}
        onClick=${() => settled && decide(true)}>${busy === "approve" ? "Checking…" : folds ? "Approve without seeing all" : "Approve"}</button>`}
      ${!denying && html`<button class="danger" ref=${button} type="button" disabled=${busy} aria-describedby=${heading} onClick=${() => setDenying(true)}>Deny</button>`}
    </div>
    ${denying && html`<${Deny} of=${of} busy=${busy} onDeny=${reason => decide(false, reason)} onBack=${back} />`}
  </div>`;
}

/* --- the card --- */

function Who({ of }) {
  return html`<${Pairs} kind="meta" of=${[
    [of.session_id ? "Agent" : "Asked by", html`<${Text} of=${agentOf(of)} />`], of.folder && ["Folder", html`<${Text} of=${of.folder} />`],
    ["Asked", html`<${Time} of=${of.requested_at} ago />`], of.state === "pending" && of.expires_at && ["Expires", html`<${Time} of=${of.expires_at} ago />`],
    of.binding && ["Account", html`<${Text} of=${of.binding} />`], of.connector && ["Connector", html`<${Text} of=${`${of.connector.fqn} ${of.connector.version}`} />`],
    of.session_id && ["Session", html`<a href=${`/sessions#${of.session_id}`} title=${of.session_id}>${shortId(of.session_id)}</a>`]]} />`;
}

function Identity({ of }) {
  return html`<details><summary>What exactly runs <span class="faint">versions, hashes, seal</span></summary><${Pairs} kind="fields" of=${[
    ["Action", html`<${Text} of=${`${of.action} ${of.version ?? ""}`} />`], of.action_hash && ["Action’s hash", html`<${Text} of=${of.action_hash} />`],
    of.connector && ["Connector", html`<${Text} of=${`${of.connector.fqn} ${of.connector.version}`} />`], of.connector?.hash && ["Connector’s hash", html`<${Text} of=${of.connector.hash} />`],
    of.session_id && ["Session", html`<${Text} of=${of.session_id} />`], ["Requested", html`<${Time} of=${of.requested_at} />`],
    of.expires_at && ["Expires", html`<${Time} of=${of.expires_at} />`], ["Approval", html`<${Text} of=${of.id} />`], ["Seal", html`<${Text} of=${of.seal} />`]]} /></details>`;
}

/*
 * `single`: it is the whole page. `moved` counts what changed places in the list. onChange(approval, mine): it is this now; `mine`
 * when it was decided here. onDeciding(id, yes): a decision of this card is under way, or is not any more.
 */
export function Card({ of, onChange, onDeciding, single, moved }) {
  const [whole, setWhole] = useState(false);
  const heading = single ? "title" : `title-${of.id}`, pending = of.state === "pending";
  const steps = useMemo(() => (of.arguments ?? []).map(step => ({ op: step.op, text: JSON.stringify(step.args, null, 2) ?? "" })), [of.seal, of.arguments]);
  const odd = useMemo(() => oddOf(of, steps), [of.seal, steps]);
  const folds = whole ? "" : foldsText(foldsOf(of, steps.map(step => step.text)));
  useEffect(() => setWhole(false), [of.seal]);
  return html`<article class="card approval" aria-labelledby=${heading}>
    <header><div class="badges">${of.badge && html`<${Badge} tone="kind">${of.badge}<//>`}${!pending && html`<${StateBadge} of=${of} />`}</div>
      ${!single && html`<h2 id=${heading}><a href=${`/approvals/${of.id}`}><${Text} of=${titleOf(of)} /></a></h2>`}<${Who} of=${of} /></header>
    ${pending && html`<${Difference} of=${of.difference} />`}
    ${odd.length > 0 && html`<${Notice} tone="warn"><p><b>Some characters here are not what they seem.</b> They are marked.</p><${Legend} of=${odd} /><//>`}
    ${of.before && html`<${Notice} tone="warn">The same was done before, <${Time} of=${of.before.at} />: <a href=${`/approvals/${of.before.id}`}>look at it</a><//>`}
    ${pending && of.client_gone && html`<${Notice}>The agent has stopped waiting. If you approve, it still runs once, and the answer is kept for it.<//>`}
    ${!pending && html`<${Outcome} of=${of} onChange=${onChange} />`}
    ${!isForgotten(of) && html`<${Shown} of=${of} whole=${whole} /><${Arguments} steps=${steps} whole=${whole} /><${Identity} of=${of} />`}
    ${pending && html`<${Decide} key=${of.seal} of=${of} heading=${heading} onChange=${onChange} onDeciding=${onDeciding} moved=${moved} folds=${folds} onWhole=${() => setWhole(true)} />`}
    ${!pending && folds && html`<p class="folded">Not shown yet: ${folds}. <button class="link" type="button" onClick=${() => setWhole(true)}>Show everything</button></p>`}
  </article>`;
}
