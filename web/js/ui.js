/*
 * Small parts that the pages share. Whatever came from elsewhere is shown through Text.
 */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm/preact/standalone.module.js";
import { get } from "./api.js";
import { listen } from "./live.js";
import { marked, parts } from "./text.js";

export { html, useEffect, useLayoutEffect, useMemo, useRef, useState };

/* More than this of one text is folded, behind a button that says how much there is. */
export const FOLD = 6000;
/* From which size on a text is said to be long, and may have to be scrolled on a narrow screen (then it can have the focus). */
const SLACK = 1.5, TALL_CHARACTERS = 1500, TALL_LINES = 18, SCROLLS_CHARACTERS = 400, SCROLLS_LINES = 10, COLOURED_MAX = 4000, PIECE = 2000, LONG = 50000;

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
/* A long text with hardly a space: it is broken anywhere, and into pieces, else the browser looks for minutes for good breaks. */
const isDense = text => text.length > 2000 && /\S{300}/.test(text);

export const isFolded = text => text.length > FOLD * SLACK;

/* The first `length` units of a text, without half a character at the end. */
export const cut = (text, length) => text.slice(0, /[\ud800-\udbff]/.test(text[length - 1] ?? "") ? length - 1 : length);

const Mark = ({ of }) => html`<span class=${"mark " + of.kind} role="img" aria-label=${of.about} title=${of.about}>${of.text}</span>`;

const shownParts = list => list.map(part => part.kind ? html`<${Mark} of=${part} />` : part.text);

/* Pieces of about PIECE characters each; so many marks that the page would stand still become signs in the text. */
function pieces(list) {
  const signs = list.length > COLOURED_MAX ? [{ text: list.map(part => part.kind ? ` [${part.text}] ` : part.text).join("") }] : list;
  const made = [[]];
  let room = PIECE;
  for (const part of signs) {
    for (let text = part.text; text; ) {
      const bit = part.kind ? text : cut(text, Math.min(room, text.length)) || text.slice(0, 2);
      made.at(-1).push(part.kind ? part : { text: bit });
      text = text.slice(bit.length);
      if ((room -= bit.length) <= 0) {
        made.push([]);
        room = PIECE;
      }
    }
  }
  return made.filter(piece => piece.length);
}

export function Legend({ of }) {
  return of.length > 0 && html`<p class="legend">Made visible: ${of.slice(0, 6).map(([about, times]) => `${about}${times > 1 ? ` (${times.toLocaleString("en")} times)` : ""}`).join(", ")}${of.length > 6 ? ` and ${of.length - 6} more kinds` : ""}.</p>`;
}

/* Foreign text: marks for what deceives, a button for what is long. `whole`: nothing is folded. */
export function Text({ of, block, whole }) {
  const [all, setAll] = useState(false);
  const text = String(of ?? "");
  const shown = whole || all || !isFolded(text) ? text : cut(text, FOLD);
  const list = useMemo(() => parts(shown), [shown]);
  const dense = isDense(shown) || list.length > COLOURED_MAX;
  const pieced = dense || shown.length > LONG;
  const inner = useMemo(() => pieced ? pieces(list).map(piece => html`<div class="piece">${shownParts(piece)}</div>`) : shownParts(list), [list, pieced]);
  const more = shown.length < text.length && html`
    <button class="link" type="button" onClick=${() => setAll(true)}>Show all ${text.length.toLocaleString("en")} characters</button>`;
  if (!block && !pieced)
    return html`<bdi class="text">${inner}</bdi>${more}`;
  const lines = text.split("\n").length, tall = lines > TALL_LINES || text.length > TALL_CHARACTERS;
  return html`<pre class=${dense ? "text dense" : "text"} tabindex=${lines > SCROLLS_LINES || text.length > SCROLLS_CHARACTERS ? 0 : null}>${inner}</pre>
    ${tall && html`<p class="size">${count(lines, "line")}, ${count(text.length, "character")}</p>`}<${Legend} of=${marked(list)} />${more}`;
}

export const Json = ({ of, whole }) => html`<${Text} block whole=${whole} of=${JSON.stringify(of, null, 2)} />`;

/* A command to type, and a button that copies it. */
export function Command({ children }) {
  const [copied, setCopied] = useState(false);
  const text = [children].flat().join("");
  const copy = () => navigator.clipboard.writeText(text).then(() => {
    setCopied(true);
    setTimeout(setCopied, 1500, false);
  }, () => {});
  return html`<span class="command"><code>${text}</code><button type="button" aria-label=${`Copy: ${text}`} onClick=${copy}>${copied ? "Copied" : "Copy"}</button></span>`;
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function relative(at, now = Date.now()) {
  const seconds = (at - now) / 1000;
  if (Math.abs(seconds) < 2)
    return "now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return RELATIVE.format(Math.round(seconds / size), unit);
}

const DATES = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/* A time as this machine's clock would show it; with `ago` as far off as it is, kept right. */
export function Time({ of, ago }) {
  const at = new Date(of);
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = ago && setInterval(() => tick(n => n + 1), 20000);
    return () => clearInterval(timer);
  }, [ago]);
  if (!of || isNaN(at))
    return html`<span class="faint">–</span>`;
  return html`<time datetime=${at.toISOString()} title=${ago ? DATES.format(at) : at.toISOString()}>${ago ? relative(at) : DATES.format(at)}</time>`;
}

export const Badge = ({ tone, children }) => html`<span class=${"badge " + (tone ?? "")}>${children}</span>`;

export function Notice({ tone = "", role, children }) {
  return html`<div class=${"notice " + tone} role=${role}>${children}</div>`;
}

export function Failure({ of }) {
  return of && html`<${Notice} tone="bad" role="alert"><p><${Text} of=${of.message} /></p>${of.hint && html`<p class="faint"><${Text} of=${of.hint} /></p>`}<//>`;
}

/*
 * What GET `path` says, asked again at the named events (those of `only` this id, or end of one) and when the daemon is back.
 * → {data, error, reload}
 */
export function useLoad(path, events = [], only = "") {
  const [state, setState] = useState({});
  const current = useRef(null);
  const load = async () => {
    const asked = current.current = { path };
    try {
      const data = await get(path);
      if (current.current === asked)
        setState({ data, path });
    } catch (error) {
      if (current.current === asked)
        setState(before => ({ ...before, error }));
    }
  };
  useEffect(() => {
    let timer = null;
    load();
    const stop = listen((type, data) => {
      if (type === "state" || (events.includes(type) && (data.id ?? only).endsWith(only)))
        timer ??= setTimeout(() => { timer = null; load(); }, 50);
    });
    return () => { stop(); clearTimeout(timer); current.current = null; };
  }, [path]);
  return { ...state, reload: load };
}

/* --- how many wait --- */

let waiting = 0, known = 0, clock = 0;
const watchers = new Set();

/* A number for each question to the daemon: of two answers the one that was asked for later counts. */
export const asking = () => ++clock;

/* `asked`: asking() of the question whose answer it is. */
export function setWaiting(number, asked) {
  if (asked < known)
    return;
  known = asked;
  if (waiting === number)
    return;
  waiting = number;
  watchers.forEach(fn => fn(number));
}

export function useWaiting() {
  const [number, setNumber] = useState(waiting);
  useEffect(() => {
    setNumber(waiting);
    watchers.add(setNumber);
    return () => watchers.delete(setNumber);
  }, []);
  return number;
}

/* Title of the window, with how many wait, and of the page. */
export function Page({ title, count, about, children }) {
  const number = useWaiting();
  useEffect(() => {
    document.title = `${number ? `(${number}) ` : ""}${title} · Aileron`;
  }, [title, number]);
  return html`<div class="head"><h1 tabindex="-1" id="title">${title}${count > 0 && html` <span class="count">${count}</span>`}</h1>${about && html`<p class="faint">${about}</p>`}</div>${children}`;
}

export const Pairs = ({ of, kind = "" }) => html`<dl class=${kind}>${of.filter(Boolean).map(([label, value]) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
export const Empty = ({ children }) => html`<div class="empty">${children}</div>`;

/* A button that asks once more before it does what cannot be undone. */
export function Sure({ label, question, onSure }) {
  const [asked, setAsked] = useState(false);
  const yes = useRef(null);
  useLayoutEffect(() => { asked && yes.current?.focus(); }, [asked]);
  if (!asked)
    return html`<button class="danger quiet" type="button" onClick=${() => setAsked(true)}>${label}</button>`;
  return html`<span class="sure" role="group" aria-label=${question}><span>${question}</span>
    <button class="danger" ref=${yes} type="button" onClick=${() => { setAsked(false); onSure(); }}>${label}</button>
    <button type="button" onClick=${() => setAsked(false)}>Back</button></span>`;
}
