/*
 * Small parts that the pages share. Whatever came from elsewhere is shown through Text.
 */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm/preact/standalone.module.js";
import { get } from "./api.js";
import { listen } from "./live.js";
import { parts } from "./text.js";

export { html, useEffect, useLayoutEffect, useRef, useState };

const CUT = 4000;

/* Foreign text: marks for what deceives, a button for what is long. */
export function Text({ of, block }) {
  const [whole, setWhole] = useState(false);
  const text = String(of ?? "");
  const shown = whole || text.length <= CUT * 1.5 ? text : text.slice(0, CUT);
  const inner = parts(shown).map(part => part.kind
    ? html`<span class=${"mark " + part.kind} title=${part.about} tabindex="0" role="note" aria-label=${part.about}>${part.text}</span>`
    : part.text);
  const more = shown.length < text.length && html`
    <button class="link" type="button" onClick=${() => setWhole(true)}>Show all ${text.length.toLocaleString("en")} characters</button>`;
  return block ? html`<pre class="text" tabindex="0">${inner}</pre>${more}` : html`<bdi class="text">${inner}</bdi>${more}`;
}

export const Json = ({ of }) => html`<${Text} block of=${JSON.stringify(of, null, 2)} />`;
export const Command = ({ children }) => html`<code class="command">${children}</code>`;

export function Time({ of }) {
  const at = new Date(of);
  if (!of || isNaN(at))
    return html`<span class="faint">–</span>`;
  return html`<time datetime=${at.toISOString()} title=${at.toISOString()}>${at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" })}</time>`;
}

export const Badge = ({ tone, children }) => html`<span class=${"badge " + (tone ?? "")}>${children}</span>`;

export function Failure({ of }) {
  return of && html`<div class="notice bad" role="alert"><${Text} of=${of.message} />${of.hint && html`<p class="faint"><${Text} of=${of.hint} /></p>`}</div>`;
}

/*
 * What GET `path` says, asked again at the named events and when the daemon is back. → {data, error, reload}
 */
export function useLoad(path, events = []) {
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
    const stop = listen(type => {
      if (type === "state" || events.includes(type)) {
        clearTimeout(timer);
        timer = setTimeout(load, 50);
      }
    });
    return () => { stop(); clearTimeout(timer); current.current = null; };
  }, [path]);
  return { ...state, reload: load };
}

/* Title of the window and of the page. */
export function Page({ title, count, children }) {
  useEffect(() => {
    document.title = `${count ? `(${count}) ` : ""}${title} · Aileron`;
  }, [title, count]);
  return html`<h1 tabindex="-1" id="title">${title}${count > 0 && html` <span class="count">${count}</span>`}</h1>${children}`;
}

export const Pairs = ({ of }) => html`<dl>${of.filter(Boolean).map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl>`;
export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;
