/*
 * The app: signing in, the address, the frame around a page. A code in the fragment leaves the address before anything else
 * happens.
 */
import { render } from "../vendor/htm/preact/standalone.module.js";
import { Accounts } from "./accounts.js";
import { Actions } from "./actions.js";
import { get, key, onSignedOut, setKey, signIn } from "./api.js";
import { Approval, Approvals } from "./approvals.js";
import { Audit } from "./audit.js";
import { connect, listen, liveState } from "./live.js";
import { Overview } from "./overview.js";
import { Sessions } from "./sessions.js";
import { Command, Failure, Notice, asking, html, setWaiting, useEffect, useLoad, useState, useWaiting } from "./ui.js";

/* Addresses; src/web/assets.c has the same list. */
const PAGES = [
  ["/", "Overview", Overview], ["/approvals", "Approvals", Approvals], ["/actions", "Actions", Actions],
  ["/bindings", "Accounts", Accounts], ["/audit", "Audit", Audit], ["/sessions", "Sessions", Sessions],
];
const ONE_APPROVAL = "/approvals/";

function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code !== null)
    history.replaceState(null, "", location.pathname + location.search);
  return code;
}

function SignIn({ error }) {
  useEffect(() => { document.title = "Sign in · Aileron"; }, []);
  return html`<main class="signin" id="main"><p class="brand">Aileron</p><h1>Sign in</h1>
    <${Failure} of=${error} />
    <p>This page belongs to whoever runs the daemon. To open it signed in, type in a terminal:</p>
    <p><${Command}>aileron open<//></p>
    <p class="faint">A signed-in page stays so until its window is closed or the daemon is started again.</p></main>`;
}

/* The address without its fragment; links of ours are followed without loading the page anew. */
function useAddress() {
  const [at, setAt] = useState(location.pathname + location.search);
  useEffect(() => {
    const go = () => setAt(location.pathname + location.search);
    const click = event => {
      const link = event.target.closest?.("a[href^='/']");
      if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
        return;
      event.preventDefault();
      history.pushState(null, "", link.getAttribute("href"));
      go();
      scrollTo(0, 0);
      requestAnimationFrame(() => document.getElementById("title")?.focus());
    };
    addEventListener("popstate", go);
    document.addEventListener("click", click);
    return () => { removeEventListener("popstate", go); document.removeEventListener("click", click); };
  }, []);
  return new URL(at, location.origin);
}

/* How many wait, for the title of every page; the pages that load it themselves say so too. */
function useCounting() {
  useEffect(() => {
    let timer = null;
    const ask = () => {
      const asked = asking();
      timer = null;
      get("/v1/approvals?status=pending&limit=1").then(({ pending }) => setWaiting(pending, asked), () => {});
    };
    ask();
    const stop = listen(type => {
      if (type === "state" || type === "approval")
        timer ??= setTimeout(ask, 150);
    });
    return () => { stop(); clearTimeout(timer); };
  }, []);
  return useWaiting();
}

const LIVE = { live: "Live", away: "Not connected", new: "Connecting" };

function Top({ path, live }) {
  const waiting = useCounting();
  return html`<header class="top"><a class="brand" href="/">Aileron</a><nav aria-label="Pages">${PAGES.map(([at, name]) => html`<a href=${at}
    aria-current=${at === path || (at === "/approvals" && path.startsWith(ONE_APPROVAL)) ? "page" : null}>${name}${at === "/approvals" && waiting > 0 && html` <span class="count" aria-label=${`${waiting} waiting`} role="img">${waiting}</span>`}</a>`)}</nav>
    <span class=${"live " + live}>${LIVE[live]}</span></header>`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/* While development overrides count, every page says so. */
function Overrides() {
  const { data } = useLoad("/v1/status", ["vault"]);
  return data?.overrides_active && html`<p class="overrides" role="note">Development overrides are active: requests of connectors may go elsewhere than they say. <a href="/">Which</a></p>`;
}

function Shell() {
  const { pathname: path, search, searchParams } = useAddress();
  const [live, setLive] = useState(liveState());
  useEffect(() => listen(type => type === "state" && setLive(liveState())), []);
  const id = path.startsWith(ONE_APPROVAL) ? decoded(path.slice(ONE_APPROVAL.length)) : null;
  const [, , Current] = PAGES.find(([at]) => at === path) ?? PAGES[0];
  return html`<a class="skip" href="#title">To the page</a><${Top} path=${path} live=${live} /><${Overrides} />
    <main id="main"><div role="status">${live === "away" && html`<${Notice} tone="warn"><p>The daemon does not answer; trying again. If it was stopped:</p>
      <${Command}>aileron daemon start<//><//>`}</div>${id ? html`<${Approval} key=${id} id=${id} />` : html`<${Current} key=${path + search} query=${searchParams} />`}</main>`;
}

function App({ error: first }) {
  const [state, setState] = useState({ signedIn: Boolean(key()), error: first });
  useEffect(() => {
    const out = () => {
      setKey(null);
      setState({ signedIn: false, error: { message: "You are signed out: the daemon was started again, or the key is not known any more." } });
    };
    onSignedOut(out);
    const into = () => connect(key(), out).then(shared => {
      if (!shared || key())
        return;
      setKey(shared);
      setState({ signedIn: true });
    });
    // An address with a code, pasted over that of this very page.
    const again = async () => {
      const code = takeCode();
      if (!code)
        return;
      const error = await trade(code);
      if (!error)
        await into();
      setState({ signedIn: Boolean(key()), error });
    };
    into();
    addEventListener("hashchange", again);
    return () => removeEventListener("hashchange", again);
  }, []);
  return state.signedIn ? html`<${Shell} />` : html`<${SignIn} error=${state.error} />`;
}

/* Null, or why the code is none. */
const trade = code => signIn(code).then(() => null, error => error);

async function start() {
  const code = takeCode();
  const root = document.getElementById("app");
  const error = code ? await trade(code) : null;
  root.replaceChildren();
  render(html`<${App} error=${error} />`, root);
}

start();
