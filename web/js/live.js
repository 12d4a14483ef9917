/*
 * This tab's end of the event stream: who wants to know of what, and whether the daemon is there.
 */
const POLL_MS = 3000;
const listeners = new Set();
let port = null, state = "new", refused = () => {}, key = null;

export const liveState = () => state;

/* fn(type, data) for each event; type "state" when the daemon comes or goes. Returns what takes it away. */
export function listen(fn) {
  listeners.add(fn);
  return () => listeners.delete(fn);
}

function hear(message) {
  if (message.refused)
    refused();
  if (message.state && message.state !== state) {
    state = message.state;
    listeners.forEach(fn => fn("state", {}));
  }
  if (message.event)
    listeners.forEach(fn => fn(message.event, message.data));
}

/* A browser without SharedWorker: everything is asked for anew, now and then. */
function poll() {
  state = "live";
  setInterval(() => listeners.forEach(fn => fn("state", {})), POLL_MS);
}

/* Resolves to a key that another tab brought, or null. onRefused: the daemon does not know our key. */
export function connect(own, onRefused) {
  refused = onRefused;
  key = own;
  if (!globalThis.SharedWorker) {
    if (state === "new")
      poll();
    return Promise.resolve(null);
  }
  if (!port) {
    port = new SharedWorker("/js/worker.js", { name: "aileron-events" }).port;
    addEventListener("pagehide", () => port.postMessage({ bye: true }));
    addEventListener("pageshow", event => event.persisted && port.postMessage({ key }));
  }
  return new Promise(done => {
    port.onmessage = ({ data }) => {
      if ("key" in data)
        done(key = data.key);
      hear(data);
    };
    port.postMessage({ key: own });
  });
}
