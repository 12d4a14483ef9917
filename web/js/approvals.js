/*
 * The approvals: those that wait, those that are over, one alone.
 */
import { get } from "./api.js";
import { Card, StateBadge, agentOf, base, titleOf } from "./card.js";
import { usePending } from "./pending.js";
import { plain } from "./text.js";
import { Empty, Failure, Page, Text, Time, asking, html, setWaiting, useEffect, useLoad, useState } from "./ui.js";

const OVER_AT_ONCE = 50;

/* --- those that wait --- */

const News = ({ of, mine }) => html`<div class="news" role="status" aria-live="polite">${of.map(one => html`<p key=${one.id}><${StateBadge} of=${one} />
  <a href=${`/approvals/${one.id}`}><${Text} of=${titleOf(one)} /></a>${!mine.has(one.id) && one.decided_at && html` <span class="faint">decided in another window or by another person</span>`}</p>`)}</div>`;

/* After a card has left: the focus goes to the one that took its place, else to the title. */
function focusNear(index) {
  requestAnimationFrame(() => {
    const links = document.querySelectorAll("article.approval h2 a");
    (links[Math.min(index, links.length - 1)] ?? document.getElementById("title"))?.focus({ preventScroll: true });
  });
}

function Waiting() {
  const { list, moved, news, error, left, more, put, onDeciding, mine } = usePending();
  const changed = (now, isMine) => {
    if (isMine)
      mine.add(now.id);
    put(now);
    if (!isMine || now.state === "pending")
      return;
    setWaiting(Math.max(list.length + left - 1, 0), asking());
    focusNear(list.findIndex(one => one.id === now.id));
  };
  return html`<p class="sr" role="status" aria-live="polite">${list && `${list.length + left} waiting`}</p>
    <${Failure} of=${error} />
    <${News} of=${news} mine=${mine} />
    ${list?.length === 0 && !left && html`<${Empty}><b>Nothing waits for you.</b><p>When an agent wants to do something that needs you, it appears here.</p><//>`}
    ${list?.map(one => html`<${Card} key=${one.id} of=${one} onChange=${changed} onDeciding=${onDeciding} moved=${moved} />`)}
    ${left > 0 && html`<button type="button" onClick=${more}>Show more (${left.toLocaleString("en")} left)</button>`}`;
}

/* --- those that are over --- */

function Over() {
  const [older, setOlder] = useState([]);
  const { data, error } = useLoad(`/v1/approvals?limit=${OVER_AT_ONCE}`, ["approval"]);
  const [failed, setFailed] = useState(null);
  const all = [...(data?.approvals ?? []), ...older];
  const shown = [...new Map(all.map(one => [one.id, one])).values()].filter(one => one.state !== "pending");
  const last = (older.length ? older : data?.approvals ?? []).at(-1);
  const [further, setFurther] = useState(null);
  const more = () => get(`/v1/approvals?limit=${OVER_AT_ONCE}&before=${encodeURIComponent(last.id)}`).then(page => {
    setOlder([...older, ...page.approvals]);
    setFurther(page.more);
  }, setFailed);
  return html`<${Failure} of=${error ?? failed} />
    ${data && !shown.length && html`<${Empty}><b>Nothing was decided yet.</b><//>`}
    ${shown.length > 0 && html`<ul class="rows">${shown.map(one => html`<li key=${one.id}><a href=${`/approvals/${one.id}`}><span class="row-title"><${Text} of=${titleOf(one)} /></span>
      <span class="faint"><${Text} of=${agentOf(one)} /> · <${Time} of=${one.decided_at ?? one.requested_at} /></span><${StateBadge} of=${one} /></a></li>`)}</ul>`}
    ${(further ?? data?.more) && html`<button type="button" onClick=${more}>Older</button>`}`;
}

export function Approvals({ query }) {
  const over = query.get("show") === "over";
  return html`<${Page} title="Approvals">
    <nav class="tabs" aria-label="Which approvals"><a href="/approvals" aria-current=${over ? null : "page"}>Waiting</a><a href="/approvals?show=over" aria-current=${over ? "page" : null}>Decided</a></nav>
    ${over ? html`<${Over} />` : html`<${Waiting} />`}
  <//>`;
}

/* --- one alone --- */

export function Approval({ id }) {
  const { data, error, reload } = useLoad(base(id), ["approval"], id);
  const [given, setGiven] = useState(null);
  useEffect(() => setGiven(null), [data]);
  const one = given ?? data;
  return html`<${Page} title=${one ? plain(titleOf(one), 80) : "Approval"}>
    <p class="back"><a href=${one && one.state !== "pending" ? "/approvals?show=over" : "/approvals"}>‹ All approvals</a></p>
    <${Failure} of=${one ? null : error} />
    ${one && html`<${Card} single of=${one} onChange=${now => { setGiven(now); reload(); }} />`}
  <//>`;
}
