/*
 * The app: signing in, the address, the frame around a page. A code in the fragment leaves the address before anything else
 * happens.
 */
import { render } from "../vendor/htm/preact/standalone.module.js";
import { key, onSignedOut, setKey, signIn } from "./api.js";
import { Approval, Approvals } from "./approvals.js";
import { connect, listen, liveState } from "./live.js";
import { Actions, Audit, Bindings, Overview, Sessions } from "./pages.js";
import { Command, Failure, html, useEffect, useState } from "./ui.js";

const PAGES = [
  ["/", "Overview", Overview], ["/approvals", "Approvals", Approvals], ["/actions", "Actions", Actions],
  ["/bindings", "Accounts", Bindings], ["/audit", "Audit", Audit], ["/sessions", "Sessions", Sessions],
];

function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (location.hash)
    history.replaceState(null, "", location.pathname + location.search);
  return code;
}

function SignIn({ error }) {
  useEffect(() => { document.title = "Sign in · Aileron"; }, []);
  return html`<main class="signin" id="main"><h1>Sign in</h1>
    <${Failure} of=${error} />
    <p>This page belongs to whoever runs the daemon. To open it signed in, type in a terminal:</p>
    <p><${Command}>aileron open<//></p>
    <p class="faint">A signed-in page stays so until its window is closed or the daemon is started again.</p></main>`;
}

function usePath() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const go = () => setPath(location.pathname);
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
  return path;
}

function Shell() {
  const path = usePath();
  const [live, setLive] = useState(liveState());
  useEffect(() => listen(type => type === "state" && setLive(liveState())), []);
  const id = path.startsWith("/approvals/") ? decodeURIComponent(path.slice(11)) : null;
  const [, , Current] = PAGES.find(([at]) => at === path) ?? PAGES[0];
  return html`<a class="skip" href="#title">To the page</a>
    <header class="top"><a class="brand" href="/">Aileron</a><nav aria-label="Pages">${PAGES.map(([at, name]) => html`<a href=${at}
      aria-current=${at === path || (id && at === "/approvals") ? "page" : null}>${name}</a>`)}</nav></header>
    <main id="main"><div role="status">${live === "away" && html`<div class="notice warn">The daemon does not answer; trying again. If it was stopped:
      <${Command}>aileron daemon start<//></div>`}</div>${id ? html`<${Approval} key=${id} id=${id} />` : html`<${Current} />`}</main>`;
}

function App({ error: first }) {
  const [state, setState] = useState({ signedIn: Boolean(key()), error: first });
  useEffect(() => {
    const out = () => {
      setKey(null);
      setState({ signedIn: false, error: { message: "You are signed out: the daemon was started again, or the key is not known any more." } });
    };
    onSignedOut(out);
    connect(key(), out).then(shared => {
      if (!shared || key())
        return;
      setKey(shared);
      setState({ signedIn: true });
    });
  }, []);
  return state.signedIn ? html`<${Shell} />` : html`<${SignIn} error=${state.error} />`;
}

async function start() {
  const code = takeCode();
  const root = document.getElementById("app");
  let error = null;
  if (code) {
    try {
      await signIn(code);
    } catch (failed) {
      error = failed;
    }
  }
  root.replaceChildren();
  render(html`<${App} error=${error} />`, root);
}

start();
