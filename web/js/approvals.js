/*
 * The approvals: those that wait, kept up to date one by one; those that are over; one alone.
 */
import { get } from "./api.js";
import { Card, StateBadge, WORDS, base } from "./card.js";
import { listen } from "./live.js";
import { plain } from "./text.js";
import { Empty, Failure, Page, Text, Time, html, setWaiting, useEffect, useLoad, useRef, useState } from "./ui.js";

const AT_ONCE = 30, PER_REQUEST = 200, LOADED_MAX = 1000, ONE_BY_ONE = 20, NEWS_MAX = 4, OVER_AT_ONCE = 50;

/* --- those that wait --- */

/* Every pending one, up to a bound, who has waited longest first. → {list, pending} */
async function loadPending() {
  const list = [];
  for (let before = "";;) {
    const page = await get(`/v1/approvals?status=pending&limit=${PER_REQUEST}${before}`);
    list.push(...page.approvals);
    const pending = page.pending ?? list.length;
    if (!(page.more ?? page.approvals.length === PER_REQUEST) || list.length >= LOADED_MAX)
      return { list: list.reverse(), pending: Math.max(pending, list.length) };
    before = `&before=${encodeURIComponent(list.at(-1).id)}`;
  }
}

/* `now` in its place; `moved` counts what others moved by. */
function placed({ list, moved, pending, ...rest }, now) {
  const at = list.findIndex(one => one.id === now.id), others = list.filter(one => one.id !== now.id);
  if (now.state === "pending")
    others.splice(at < 0 ? others.length : at, 0, now);
  return { ...rest, list: others, moved: moved + (at >= 0 && now.state !== "pending"), pending: pending + others.length - list.length };
}

/*
 * An event names which approval to ask for; many at once are asked for together. Who has waited longest comes first, so a new
 * one moves nothing. `news`: what became of those that left, newest first; `mine` are the ids that were decided here.
 */
function usePending() {
  const [state, setState] = useState({ list: null, moved: 0, pending: 0, news: [] });
  const mine = useRef(new Set()), named = useRef(new Set());
  const put = now => setState(before => {
    if (!before.list)
      return before;
    const left = now.state !== "pending" && (before.list.some(one => one.id === now.id) || before.news.some(one => one.id === now.id) || mine.current.has(now.id));
    const news = left ? [now, ...before.news.filter(one => one.id !== now.id)].slice(0, NEWS_MAX) : before.news;
    return placed({ ...before, news, error: null }, now);
  });
  const load = async () => {
    try {
      const now = await loadPending();
      setState(before => ({ ...before, ...now, moved: before.moved + 1, error: null }));
    } catch (error) {
      setState(before => ({ ...before, error }));
    }
  };
  useEffect(() => {
    let timer = null;
    const ask = async () => {
      const ids = [...named.current];
      named.current.clear();
      timer = null;
      if (ids.length > ONE_BY_ONE)
        load();
      else
        await Promise.all(ids.map(id => get(base(id)).then(put, load)));
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
  useEffect(() => { state.list && setWaiting(state.pending); }, [state.list, state.pending]);
  return { ...state, put, mine: mine.current };
}

const News = ({ of, mine }) => html`<div class="news" role="status" aria-live="polite">${of.map(one => html`<p key=${one.id}><${StateBadge} of=${one} />
  <a href=${`/approvals/${one.id}`}><${Text} of=${one.title ?? one.action} /></a>${!mine.has(one.id) && one.decided_at && html` <span class="faint">decided in another window or by another person</span>`}</p>`)}</div>`;

/* After a card has left: the focus goes to the one that took its place, else to the title. */
function focusNear(index) {
  requestAnimationFrame(() => {
    const links = document.querySelectorAll("article.approval h2 a");
    (links[Math.min(index, links.length - 1)] ?? document.getElementById("title"))?.focus({ preventScroll: true });
  });
}

function Waiting() {
  const { list, moved, pending, news, error, put, mine } = usePending();
  const [many, setMany] = useState(AT_ONCE);
  const changed = (now, isMine) => {
    if (isMine)
      mine.add(now.id);
    put(now);
    if (isMine && now.state !== "pending")
      focusNear(list.findIndex(one => one.id === now.id));
  };
  return html`<p class="sr" role="status" aria-live="polite">${list && `${pending} waiting`}</p>
    <${Failure} of=${error} />
    <${News} of=${news} mine=${mine} />
    ${pending > list?.length && html`<p class="folded">${(pending - list.length).toLocaleString("en")} more wait than are listed here; they follow as these are decided.</p>`}
    ${list?.length === 0 && html`<${Empty}><b>Nothing waits for you.</b><p>When an agent wants to do something that needs you, it appears here.</p><//>`}
    ${list?.slice(0, many).map(one => html`<${Card} key=${one.id} of=${one} onChange=${changed} moved=${moved} />`)}
    ${list?.length > many && html`<button type="button" onClick=${() => setMany(many + AT_ONCE)}>Show more (${list.length - many} left)</button>`}`;
}

/* --- those that are over --- */

function Over() {
  const [older, setOlder] = useState([]);
  const { data, error } = useLoad(`/v1/approvals?limit=${OVER_AT_ONCE}`, ["approval"]);
  const [failed, setFailed] = useState(null);
  const all = [...(data?.approvals ?? []), ...older];
  const shown = [...new Map(all.map(one => [one.id, one])).values()].filter(one => one.state !== "pending");
  const last = (older.length ? older : data?.approvals ?? []).at(-1);
  const [ended, setEnded] = useState(false);
  const more = () => get(`/v1/approvals?limit=${OVER_AT_ONCE}&before=${encodeURIComponent(last.id)}`).then(page => {
    setOlder([...older, ...page.approvals]);
    setEnded(page.approvals.length < OVER_AT_ONCE);
  }, setFailed);
  return html`<${Failure} of=${error ?? failed} />
    ${data && !shown.length && html`<${Empty}><b>Nothing was decided yet.</b><//>`}
    ${shown.length > 0 && html`<ul class="rows">${shown.map(one => html`<li key=${one.id}><a href=${`/approvals/${one.id}`}><span class="row-title"><${Text} of=${one.title ?? one.action ?? one.id} /></span>
      <span class="faint"><${Text} of=${one.agent || "you"} /> · <${Time} of=${one.decided_at ?? one.requested_at} /></span><${StateBadge} of=${one} /></a></li>`)}</ul>`}
    ${data?.approvals.length >= OVER_AT_ONCE && !ended && html`<button type="button" onClick=${more}>Older</button>`}`;
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
  const { data, error, reload } = useLoad(base(id), ["approval"]);
  const [given, setGiven] = useState(null);
  useEffect(() => setGiven(null), [data]);
  const one = given ?? data;
  return html`<${Page} title=${one ? plain(one.title ?? one.action ?? WORDS[one.state], 80) : "Approval"}>
    <p class="back"><a href=${one && one.state !== "pending" ? "/approvals?show=over" : "/approvals"}>‹ All approvals</a></p>
    <${Failure} of=${one ? null : error} />
    ${one && html`<${Card} single of=${one} onChange=${now => { setGiven(now); reload(); }} />`}
  <//>`;
}
