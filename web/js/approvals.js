/*
 * The approvals: those that wait, kept up to date one by one; those that are over; one alone.
 */
import { get } from "./api.js";
import { Card, StateBadge, agentOf, base, titleOf } from "./card.js";
import { listen } from "./live.js";
import { plain } from "./text.js";
import { Empty, Failure, Page, Text, Time, html, setWaiting, useEffect, useLoad, useRef, useState, useWaiting } from "./ui.js";

const AT_ONCE = 30, LIMIT = 1000, ONE_BY_ONE = 20, NEWS_MAX = 4, OVER_AT_ONCE = 50;

/* --- those that wait --- */

const loadPending = (limit, after = "") => get(`/v1/approvals?status=pending&order=oldest&limit=${limit}${after && `&after=${encodeURIComponent(after)}`}`);

/* `now` in its place; `moved` counts what others may have moved by (a card that changes may be taller or smaller), `news` is what became of those that left, newest first. */
function placed({ list, moved, news, ...rest }, now, isMine) {
  const at = list.findIndex(one => one.id === now.id), others = list.filter(one => one.id !== now.id);
  // One that asks again comes back where it was: ids are in the order of asking.
  const later = others.findIndex(one => one.id > now.id), to = at >= 0 ? at : later < 0 ? others.length : later;
  if (now.state === "pending")
    others.splice(to, 0, now);
  const left = now.state !== "pending" && (at >= 0 || isMine || news.some(one => one.id === now.id));
  return {
    ...rest, list: others, moved: moved + (at >= 0 || (now.state === "pending" && to < others.length - 1)),
    news: now.state === "pending" ? news.filter(one => one.id !== now.id) : left ? [now, ...news.filter(one => one.id !== now.id)].slice(0, NEWS_MAX) : news,
  };
}

/*
 * The first of those that wait, who has waited longest at the head, so a new one moves nothing. An event names which approval to
 * ask for; many at once are asked for together. `mine`: the ids that were decided here; of those being decided (`deciding`) the
 * answer says enough.
 */
function usePending() {
  const waiting = useWaiting();
  const [state, setState] = useState({ list: null, moved: 0, news: [] });
  const mine = useRef(new Set()), deciding = useRef(new Set()), named = useRef(new Set()), now = useRef();
  now.current = { ...state, waiting };

  const failed = error => setState(before => ({ ...before, error }));
  const put = one => setState(before => before.list ? { ...placed(before, one, mine.current.has(one.id)), error: null } : before);
  const load = () => loadPending(Math.min(Math.max(now.current.list?.length ?? 0, AT_ONCE), LIMIT)).then(({ approvals, pending }) => {
    setWaiting(pending);
    setState(before => ({ ...before, list: approvals, moved: before.moved + 1, error: null }));
  }, failed);
  const more = () => loadPending(AT_ONCE, now.current.list.at(-1)?.id).then(({ approvals, pending }) => {
    setWaiting(pending);
    setState(before => ({ ...before, list: [...before.list, ...approvals.filter(one => !before.list.some(({ id }) => id === one.id))] }));
  }, failed);
  useEffect(() => {
    let timer = null;
    const isKnown = id => [...now.current.list, ...now.current.news].some(one => one.id === id) || mine.current.has(id);
    const ask = () => {
      // Those behind the end of an unfinished list only count.
      const { list } = now.current, ids = [...named.current].filter(id => list && (isKnown(id) || list.length >= now.current.waiting));
      named.current.clear();
      timer = null;
      if (!list || ids.length > ONE_BY_ONE)
        load();
      else
        ids.forEach(id => get(base(id)).then(one => deciding.current.has(id) || put(one), load));
    };
    load();
    const stop = listen((type, data) => {
      if (type === "state" || (type === "approval" && !data.id))
        load();
      else if (type === "approval") {
        named.current.add(data.id);
        timer ??= setTimeout(ask, 30);
      }
    });
    return () => { stop(); clearTimeout(timer); };
  }, []);
  const left = state.list ? Math.max(waiting - state.list.length, 0) : 0;
  useEffect(() => { left > 0 && state.list.length < AT_ONCE / 2 && more(); }, [left > 0 && state.list.length]);
  const onDeciding = (id, yes) => yes ? deciding.current.add(id) : deciding.current.delete(id);
  return { ...state, left, more, put, onDeciding, mine: mine.current };
}

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
    setWaiting(Math.max(list.length + left - 1, 0));
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
